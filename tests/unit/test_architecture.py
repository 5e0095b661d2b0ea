"""What the folders may know of each other, of third-party clients and of the cases."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
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
        "monitoring_service/drift/evidently_score.py",
        "monitoring_service/reports/evidently_page.py",
    },
    "great_expectations": {"training/quality/great_expectations_gate.py"},
    "granian": {
        "event_backbone/server/serve.py",
        "event_backbone/server/body_reader.py",
        "event_backbone/server/wsgi_bridge.py",
    },
    "kafka": {
        "event_backbone/kafka/admin.py",
        "event_backbone/kafka/client.py",
        "event_backbone/kafka/consumer.py",
        "event_backbone/kafka/group_consumer.py",
        "event_backbone/kafka/assigned_consumer.py",
        "event_backbone/kafka/internals.py",
        "event_backbone/kafka/producer.py",
    },
    "lz4": {"event_backbone/decoding/decompression.py"},
    "snappy": {"event_backbone/decoding/decompression.py"},
    "zstandard": {"event_backbone/decoding/decompression.py"},
    "onnxruntime": {"event_backbone/model/onnx_session.py"},
    "prefect": {"training/weekly/prefect_flow.py"},
    "pymongo": {"event_backbone/mongodb/access.py", "event_backbone/mongodb/connection.py"},
    "bson": {"event_backbone/mongodb/connection.py"},
    # What the outside is asked for data; everything else goes through the one HTTP client.
    "requests": {"event_backbone/web/http_client.py", "training/data/retrieval.py"},
    "river": {"monitoring_service/drift/adwin.py"},
    # Dashboards are made beside the services, by grafana/generate.py.
    "grafana_foundation_sdk": set(),
    "pickle": set(),
    "joblib": set(),
    "cloudpickle": set(),
}


#: Files that may lie flat in a package, beside its rooms.
FLAT = {
    "event_backbone": {"errors", "ports", "settings"},
    "prediction_service": {"__main__", "bootstrap", "settings"},
    "monitoring_service": {"__main__", "bootstrap", "wiring", "settings", "messages"},
    "stream_generator": {"__main__", "bootstrap", "settings"},
    "training": {"__main__", "bootstrap", "settings"},
}

#: Package → room → the rooms that it may import. A room imports only rooms that stand below it, so nothing goes round.
#: ``local_stack`` is one room.
ROOMS = {
    "event_backbone": {
        "openapi": "guards web decoding formats",
        "server": "guards web process errors",
        "guards": "web settings events errors",
        "prediction_log": "mongodb events ports settings errors",
        "mongodb": "events ports settings errors",
        "kafka": "case decoding events ports settings errors",
        "web": "decoding process settings events errors",
        "model": "case decoding events ports process errors",
        "in_memory": "events ports errors",
        "settings": "case errors",
        "case": "decoding events errors",
        "ports": "events",
        "events": "decoding",
        "process": "formats errors",
        "decoding": "errors",
        "statistics": "",
        "formats": "",
        "errors": "",
    },
    "prediction_service": {
        "__main__": "bootstrap worker operations journal settings",
        "bootstrap": "serving operations delivery inference journal model_sync settings",
        "worker": "delivery inference model_sync settings",
        "serving": "delivery inference journal model_sync",
        "operations": "delivery journal settings",
        "delivery": "journal model_sync settings",
        "inference": "model_sync",
        "journal": "",
        "model_sync": "",
        "settings": "",
    },
    "monitoring_service": {
        "__main__": "bootstrap lifecycle views settings",
        "bootstrap": "wiring lifecycle web checks views evaluation intake alerting messages settings",
        "wiring": "lifecycle web checks views evaluation references intake alerting inbox state messages settings",
        "lifecycle": "checks views evaluation intake alerting inbox state reports windows settings",
        "web": "checks views references intake alerting performance reports",
        "checks": "views evaluation references inbox state drift reports messages windows",
        "views": "evaluation references intake alerting inbox state drift performance reports messages windows",
        "evaluation": "references drift performance reports messages windows",
        "references": "inbox drift performance messages windows",
        "intake": "inbox reports windows",
        "alerting": "state settings",
        "inbox": "drift messages windows",
        "state": "drift performance messages windows",
        "drift": "messages windows",
        "performance": "messages",
        "reports": "messages",
        "messages": "windows",
        "windows": "",
        "settings": "",
    },
    "stream_generator": {
        "__main__": "checking runs rescoring commands sending scenario settings",
        "checking": "bootstrap commands books recording sending settings",
        "runs": "bootstrap commands books recording sending scenario settings",
        "rescoring": "bootstrap commands recording sending settings",
        "bootstrap": "commands books sending settings",
        "commands": "recording sending",
        "recording": "sending scenario settings",
        "books": "sending",
        "sending": "scenario",
        "scenario": "",
        "settings": "",
    },
    "training": {
        "__main__": "pipeline weekly server comparison versions bootstrap commands flow fitting families data settings",
        "pipeline": "bootstrap commands flow fitting families quality data settings",
        "weekly": "bootstrap commands flow promotion fitting families quality data settings",
        "server": "bootstrap flow fitting data settings",
        "comparison": "bootstrap commands flow promotion fitting families data settings",
        "versions": "bootstrap commands promotion settings",
        "bootstrap": "flow fitting quality data settings",
        "commands": "flow fitting data settings",
        "flow": "promotion fitting quality data",
        "promotion": "fitting data",
        "fitting": "families data",
        "families": "data",
        "quality": "data",
        "data": "",
        "settings": "",
    },
}
MOST_FILES = 14
MOST_LINES = 300
#: Room → modules that it must not import, though they are no rooms of its package.
NEVER = {
    "prediction_service/serving": {"pandas", "mlflow", "pymongo", "kafka"},
    "prediction_service/inference": {"flask"},
    "monitoring_service/web": {"sqlite3", "threading", "numpy"},
    "monitoring_service/checks": {"flask"},
    "monitoring_service/views": {"flask"},
    "monitoring_service/evaluation": {"flask"},
    "monitoring_service/references": {"flask"},
    "monitoring_service/inbox": {"flask", "kafka", "numpy"},
    "monitoring_service/alerting": {"flask"},
}
#: Values in, values out: neither clock, file, socket, thread, SQL, log nor Prometheus.
PURE = (
    "event_backbone/statistics",
    "monitoring_service/drift",
    "monitoring_service/performance",
    "monitoring_service/state/conditions.py",
    "monitoring_service/state/condition_rules.py",
    "monitoring_service/state/monitor_state.py",
    "monitoring_service/alerting/lifecycle.py",
    "monitoring_service/alerting/catalogue.py",
    "monitoring_service/alerting/views.py",
    "stream_generator/scenario/changes.py",
)
IMPURE = {"time", "datetime", "os", "socket", "threading", "sqlite3", "structlog", "prometheus_client", "requests"}


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Top-level names of every module imported anywhere in a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return frozenset(names)


def room_of(path: Path) -> str:
    """The room of a file in its package, or its own name where it lies flat."""
    inside = path.relative_to(ROOT).parts[1:]
    return inside[0] if len(inside) > 1 else path.stem


def rooms_imported(path: Path, package: str) -> Iterator[str]:
    """Rooms of the same package that a file imports, other than its own."""
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            name, *rooms = module.split(".")
            if name == package and rooms and rooms[0] != room_of(path):
                yield rooms[0]


def row(package: str, room: str) -> str:
    return f"{package}: {room} may import {ROOMS[package][room] or 'nothing'}"


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_imports_only_what_its_row_names(package: str) -> None:
    broken = [
        f"{row(package, room_of(path))}, but {path.relative_to(ROOT)} imports {imported}"
        for path in python_files(package)
        if path.parent != ROOT / package or path.name != "__init__.py"
        for imported in sorted(set(rooms_imported(path, package)))
        if imported not in ROOMS[package].get(room_of(path), "").split()
    ]
    assert broken == []


@pytest.mark.parametrize("package", ROOMS)
def test_every_row_names_only_rows_below_it_so_no_import_goes_up_or_round(package: str) -> None:
    order = list(ROOMS[package])
    upward = [
        f"{row(package, room)}, but {below} does not stand below it"
        for room, allowed in ROOMS[package].items()
        for below in allowed.split()
        if below not in order[order.index(room) + 1 :]
    ]
    assert upward == []


@pytest.mark.parametrize("package", ROOMS)
def test_every_file_is_in_a_room(package: str) -> None:
    flat = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert flat == FLAT[package]
    rooms = {path.name for path in (ROOT / package).iterdir() if any(path.rglob("*.py"))}
    assert rooms == set(ROOMS[package]) - FLAT[package], "a folder without a row, or a row without a folder"
    nested = [str(path.relative_to(ROOT)) for path in python_files(package) if len(path.relative_to(ROOT).parts) > 3]
    assert nested == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_has_no_more_files_than_a_screen(package: str) -> None:
    folders = {path.parent for path in python_files(package)}
    sizes = {str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) for folder in folders}
    assert {folder: size for folder, size in sizes.items() if size > MOST_FILES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_is_read_in_one_sitting(package: str) -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(package)
    }
    assert {path: lines for path, lines in sizes.items() if lines > MOST_LINES} == {}


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_says_in_one_sentence_what_it_is_for(package: str) -> None:
    for init in sorted((ROOT / package).glob("*/__init__.py")):
        body = ast.parse(init.read_text(encoding="utf-8")).body
        assert len(body) == 1, f"{init.relative_to(ROOT)}: no re-exports, an import names the file"
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), init


def test_a_class_name_stands_once_in_the_product() -> None:
    places: dict[str, list[str]] = {}
    for path in python_files(*PACKAGES):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize("room", NEVER)
def test_a_room_never_touches_what_is_not_its_business(room: str) -> None:
    found = {str(path.relative_to(ROOT)): imports_of(path) & NEVER[room] for path in python_files(room)}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("place", PURE)
def test_what_is_pure_has_no_clock_file_thread_or_log(place: str) -> None:
    paths = [ROOT / place] if place.endswith(".py") else list(python_files(place))
    found = {str(path.relative_to(ROOT)): imports_of(path) & IMPURE for path in paths}
    assert {path: names for path, names in found.items() if names} == {}


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
