"""Each configuration of somebody else's program passes that program's own checker."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from callers_environment import CALLERS_ENVIRONMENT
from real_parts_cache import part_or_skip

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "containers" / "locks").glob("*.lock"))
RULES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((ROOT / "prometheus" / "tests").glob("*.yml"))
GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate.py"))


def _check(*command: str, **environment: str) -> str:
    part_or_skip(command[0])
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _resolved(folder: Path, *files: str) -> dict[str, Any]:
    """What compose makes of these files, without the ``.env`` that may lie in the checkout."""
    (folder / "empty.env").touch()
    named = [word for file in files for word in ("--file", file)]
    made: dict[str, Any] = yaml.safe_load(
        _check("docker-compose", "--env-file", str(folder / "empty.env"), *named, "config")
    )
    return made


def test_docker_compose_takes_the_stack(tmp_path: Path) -> None:
    resolved = _resolved(tmp_path, "docker-compose.yml")
    assert {"kafka", "mongo", "mlflow", "prediction", "sidecar", "worker", "monitoring"} <= set(resolved["services"])


def test_docker_compose_takes_the_stack_with_stand_ins(tmp_path: Path) -> None:
    resolved = _resolved(tmp_path, "docker-compose.yml", "containers/local/compose.yml")
    assert resolved["services"]["sidecar"]["environment"]["MONGO_USERNAME"] is None


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_an_image_has_to_build_no_package(path: Path, tmp_path: Path) -> None:
    """There is no compiler in it. Asks the package registry."""
    options = ("--only-binary", ":all:", "--no-deps", "--require-hashes", "--target", str(tmp_path), "--requirement")
    command = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--quiet", *options, str(path)]
    ended = subprocess.run(command, env=CALLERS_ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


def test_promtool_takes_the_configuration_of_prometheus() -> None:
    _check("promtool", "check", "config", "prometheus/prometheus.yml")


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_promtool_takes_the_rules(path: Path) -> None:
    _check("promtool", "check", "rules", str(path))


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.name)
def test_rules_fire_when_they_should_and_not_before(path: Path) -> None:
    _check("promtool", "test", "rules", str(path))


def test_grafana_finds_the_data_source_by_a_fixed_uid() -> None:
    [path] = (ROOT / "grafana" / "provisioning" / "datasources").iterdir()
    [source] = yaml.safe_load(path.read_text())["datasources"]
    assert (source["uid"], source["type"], source["url"]) == ("prometheus", "prometheus", "http://prometheus:9090")


def test_grafana_reads_dashboards_from_the_folder_that_is_mounted() -> None:
    [path] = (ROOT / "grafana" / "provisioning" / "dashboards").iterdir()
    [provider] = yaml.safe_load(path.read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]


@pytest.mark.parametrize("path", sorted((ROOT / "containers").glob("*/start.sh")), ids=lambda path: path.parent.name)
def test_start_scripts_are_scripts(path: Path) -> None:
    _check("bash", "-n", str(path))


def test_kafkas_password_is_in_no_argument_list(tmp_path: Path) -> None:
    script = (ROOT / "containers" / "kafka" / "start.sh").read_text()
    for folder in ("/var/lib/kafka/data", "/run/streamgauge-secrets"):
        script = script.replace(folder, str(tmp_path))
    (tmp_path / "kafka_password").write_text("hush\n")
    java = tmp_path / "java"
    # Notes its arguments, and what a file of arguments holds.
    java.write_text(
        """#!/bin/bash
        printf '%s\\n' "$@" >> "$NOTES/arguments"
        last="${@: -1}"
        if [[ $last == @* ]]; then cat "${last:1}" > "$NOTES/file"; fi
        """
    )
    java.chmod(0o755)
    subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTES": str(tmp_path)},
        check=True,
        capture_output=True,
        timeout=20,
    )
    assert "hush" not in (tmp_path / "arguments").read_text()
    assert (tmp_path / "file").read_text() == "--add-scram\nSCRAM-SHA-512=[name=streamgauge,password=hush]\n"
