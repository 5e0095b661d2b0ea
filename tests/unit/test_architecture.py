"""What the folders may know of each other, of third-party clients and of the cases."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_backbone.case.files import load_case

ROOT = Path(__file__).parents[2]
SERVICES = ("prediction_service", "monitoring_service", "stream_generator", "training", "local_stack")
PACKAGES = ("event_backbone", *SERVICES)

#: Third-party client → the only modules that may import it. Each is imported where it is used, never at a module's top.
CLIENTS = {
    "mlflow": {"event_backbone/model/mlflow_registry.py", "training/fitting/tracking.py"},
    "boto3": {"event_backbone/model/mlflow_registry.py"},
    "botocore": {"event_backbone/model/mlflow_registry.py"},
    "evidently": {
        "monitoring_service/drift/univariate.py",
        "monitoring_service/evaluation/process.py",
        "monitoring_service/reports/evidently_page.py",
    },
    "great_expectations": {"training/quality/great_expectations_gate.py"},
    "granian": {"event_backbone/web/server.py"},
    "kafka": {
        "event_backbone/kafka/admin.py",
        "event_backbone/kafka/client.py",
        "event_backbone/kafka/consumer.py",
        "event_backbone/kafka/producer.py",
    },
    "onnxruntime": {"event_backbone/model/onnx_session.py"},
    "prefect": {"training/weekly/prefect_flow.py"},
    "pymongo": {"event_backbone/mongodb/access.py", "event_backbone/mongodb/connection.py"},
    "bson": {"event_backbone/mongodb/connection.py"},
    "river": {"monitoring_service/drift/adwin.py"},
    # Dashboards are made beside the services, by grafana/generate.py.
    "grafana_foundation_sdk": set(),
    "pickle": set(),
    "joblib": set(),
    "cloudpickle": set(),
}


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Top-level names of every module imported anywhere in a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_a_service_imports_the_backbone_and_never_another_service(package: str) -> None:
    others = {name for name in SERVICES if name != package}
    found = {str(path.relative_to(ROOT)): imports_of(path) & others for path in python_files(package)}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_third_party_client_lives_in_the_modules_named_here(client: str) -> None:
    users = {str(path.relative_to(ROOT)) for path in python_files(*PACKAGES) if client in imports_of(path)}
    assert users <= CLIENTS[client]


def test_serving_loads_no_training_monitoring_or_registry_code() -> None:
    heavy = {"mlflow", "pandas", "pyarrow", "evidently", "xgboost", "sklearn", "matplotlib", "onnx", "pymongo", "kafka"}
    program = "import sys, prediction_service.bootstrap; print(' '.join({name.split('.')[0] for name in sys.modules}))"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert heavy.isdisjoint(output.split())


def test_no_python_names_a_column_of_a_case() -> None:
    columns = {
        name
        for case in ("census", "housing")
        for name in (*load_case(ROOT / "cases" / f"{case}.yaml").column_names, load_target(case))
    }
    named = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files(*PACKAGES, "benchmarks")
        for name in columns & names_in(path)
    }
    assert named == set()


def load_target(case: str) -> str:
    return load_case(ROOT / "cases" / f"{case}.yaml").target.name


def names_in(path: Path) -> set[str]:
    """What could name a column: whole strings, attributes, arguments, and snake_case words in longer texts."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {node.value, *re.findall(r"[a-z]+(?:_[a-z]+)+", node.value)}
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, (ast.arg, ast.keyword)) and node.arg:
            names.add(node.arg)
    return names


def test_importing_any_module_changes_nothing_on_disk_and_starts_nothing(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in python_files(*PACKAGES)
        if path.name not in ("__main__.py", "__init__.py")
    ]
    program = (
        "import importlib, sys, threading, os\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(threading.active_count(), os.listdir('.'))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split(maxsplit=1) == ["1", "[]\n"]
