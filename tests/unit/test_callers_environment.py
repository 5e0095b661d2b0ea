"""Tests see no setting of whoever runs them, and without real parts they go no further than loopback."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from callers_environment import CALLERS_ENVIRONMENT, hidden_from_tests, settings_variables
from loopback_only import GUARD, PARTS, is_loopback

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "event_backbone",
    "local_stack",
    "monitoring_service",
    "prediction_service",
    "prometheus",
    "stream_generator",
    "training",
)
PROGRAM = """
from event_backbone.settings import read_settings
from monitoring_service.settings import MonitoringServiceSettings
print(read_settings(MonitoringServiceSettings) == MonitoringServiceSettings.model_construct())
"""


def fields_of_settings_classes() -> set[str]:
    classes = [
        node
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any("Settings" in ast.unparse(base) for base in node.bases)
    ]
    return {ast.unparse(one.target).upper() for kind in classes for one in kind.body if isinstance(one, ast.AnnAssign)}


def test_every_field_of_a_settings_class_is_hidden() -> None:
    fields = fields_of_settings_classes()
    assert {"MONITORING_PORT", "CASE", "ALERT_WEBHOOK_URL"} <= fields <= settings_variables()


def test_settings_and_what_libraries_read_are_hidden_and_what_is_said_to_the_tests_is_not() -> None:
    hidden = [
        "monitoring_port",
        "CASE",
        "https_proxy",
        "NO_PROXY",
        "AWS_PROFILE",
        "MPLBACKEND",
        "PREFECT_API_URL",
        "COLUMNS",
    ]
    shown = ["PATH", "PYTHONPATH", "TZ", "REQUIRE_DATA", "TEST_KAFKA_URL", "FAULTS", "MLFLOW_DISABLE_TELEMETRY"]
    assert hidden_from_tests([*hidden, *shown]) == hidden


def test_nothing_of_the_caller_is_left_here() -> None:
    kept = {name: os.environ.get(name) for name in hidden_from_tests(CALLERS_ENVIRONMENT)}
    assert not set(kept.items()) & set(CALLERS_ENVIRONMENT.items())
    assert not Path(".env").exists()
    assert list(Path.home().glob(".netrc")) == []


def test_a_process_that_a_test_starts_reads_the_defaults() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("True\n", "")


@pytest.mark.parametrize("host", [None, "", "localhost", "127.0.0.1", "127.9.9.9", "::1", b"127.0.0.1"])
def test_loopback_has_many_names(host: str | bytes | None) -> None:
    assert is_loopback(host)


def test_nobody_else_is_asked() -> None:
    with socket.socket() as tcp, pytest.raises(PermissionError, match="real_parts"):
        tcp.connect(("192.0.2.1", 80))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, pytest.raises(PermissionError, match="real_parts"):
        udp.sendto(b"", ("192.0.2.1", 53))
    with pytest.raises(PermissionError, match="real_parts"):
        socket.getaddrinfo("example.com", 80)
    refused, GUARD.refused = GUARD.refused, []
    assert [one.split()[0] for one in refused] == ["socket.connect", "socket.sendto", "socket.getaddrinfo"]


@pytest.mark.parametrize("fixture", sorted(PARTS))
def test_a_real_part_is_not_started_for_a_test_that_does_not_say_so(fixture: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="real_parts"):
        GUARD.start_of(fixture)
