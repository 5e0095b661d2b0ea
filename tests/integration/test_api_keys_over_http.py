"""API keys at real servers of both services, on loopback and on every address."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from monitoring_process import MonitoringProcess, poll_until
from prediction_process import Answer, PredictionProcess, running
from prediction_world import made_record

from event_backbone.guards.api_keys import line_for
from event_backbone.guards.key_guard import KEY_FIELD

KEY = "the-one-good-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
RECORD = made_record(leaves=80)
FORM = {name: "" if value is None else str(value) for name, value in RECORD.items()}


def keys_file(folder: Path, *keys: str) -> str:
    """A keys file that lets ``keys`` in, replaced in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / "new-keys"
    beside.write_text("".join(f"{line_for('tests', key)}\n" for key in keys))
    return str(beside.rename(folder / "api-keys"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast-path", "flask"])
def server(folder: Path, request: pytest.FixtureRequest) -> Iterator[PredictionProcess]:
    """A server with a key, once with the fast path and once without."""
    own = folder / request.param
    with running(own, API_KEYS_FILE=keys_file(own, KEY), LANE=request.param) as process:
        yield process


def as_json(server: PredictionProcess, method: str, path: str, content: Any, headers: dict[str, str]) -> Answer:
    return server.send(method, path, msgspec.json.encode(content), headers)


# With a keys file, on loopback ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/predict"),
        ("POST", "/predict/batch"),
        ("POST", "/labels"),
        ("GET", "/predictions"),
        ("GET", "/predictions/r1"),
        ("DELETE", "/predictions/r1"),
        ("POST", "/admin/reload"),
        ("GET", "/status"),
        ("GET", "/unknown"),
    ],
)
def test_without_a_good_key_nothing_is_answered_and_nothing_is_stored(
    server: PredictionProcess, method: str, path: str
) -> None:
    refused = server.metric("prediction_unauthorized_total")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}):
        answer = as_json(server, method, path, {"record_id": "r1", **RECORD}, headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
    assert server.metric("prediction_unauthorized_total") == refused + 3
    assert server.metric("prediction_answered_total") == 0


def test_a_large_body_without_a_key_is_still_answered_with_401(server: PredictionProcess) -> None:
    assert server.send("POST", "/predict", b"x" * 1_000_000).status == 401


def test_probes_metrics_and_the_api_document_are_open(server: PredictionProcess) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json", "/docs/", "/", "/static/form.css"):
        assert server.send("GET", path).status == 200, path


def test_the_api_document_says_which_routes_need_a_key(server: PredictionProcess) -> None:
    document = server.send("GET", "/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    assert document["security"] == [{"bearer": []}, {"header": []}]
    open_paths = {
        path for path, operations in document["paths"].items() if any("security" in one for one in operations.values())
    }
    assert open_paths == {"/livez", "/readyz", "/metrics", "/openapi.json"}
    for path, operations in document["paths"].items():
        assert all(("401" in one["responses"]) != (path in open_paths) for one in operations.values())


@pytest.mark.parametrize("headers", [BEARER, {"X-API-Key": KEY}], ids=["bearer", "header"])
def test_with_a_key_in_either_header_everything_is_answered(server: PredictionProcess, headers: dict[str, str]) -> None:
    record_id = f"r-{next(iter(headers))}"
    assert as_json(server, "POST", "/predict", {"record_id": record_id, **RECORD}, headers).status == 200
    assert server.send("GET", f"/predictions/{record_id}", headers=headers).status == 200
    assert server.send("DELETE", f"/predictions/{record_id}", headers=headers).status == 200
    assert server.send("GET", "/status", headers=headers).status == 200


def test_the_form_asks_for_the_key_checks_it_and_never_shows_it(server: PredictionProcess) -> None:
    assert f'name="{KEY_FIELD}" type="password"' in server.send("GET", "/").body.decode()
    for sent, fault in (({}, "is missing"), ({KEY_FIELD: "not-this"}, "is not one that this service knows")):
        refused = requests.post(f"{server.url}/", data={**FORM, **sent}, timeout=10)
        assert refused.status_code == 401
        assert f"The API key {fault}." in refused.text
        assert f'value="{FORM["height"]}"' in refused.text  # nothing has to be typed again but the key
        assert "not-this" not in refused.text
    answered = requests.post(f"{server.url}/", data={**FORM, KEY_FIELD: KEY}, timeout=10)
    assert answered.status_code == 200
    assert "kept as" in answered.text
    assert KEY not in answered.text


def test_no_key_is_in_the_log_or_the_metrics(server: PredictionProcess) -> None:
    server.send("GET", "/status", headers={"X-API-Key": "wrong-but-secret"})
    shown = server.log.read_text() + server.send("GET", "/metrics").body.decode()
    assert KEY not in shown
    assert "wrong-but-secret" not in shown


def test_keys_are_replaced_while_the_service_runs(tmp_path: Path) -> None:
    def status(key: str) -> int:
        return server.send("GET", "/status", headers={"X-API-Key": key}).status

    with running(tmp_path, API_KEYS_FILE=keys_file(tmp_path, "old")) as server:
        assert (status("old"), status("new")) == (200, 401)
        keys_file(tmp_path, "old", "new")
        poll_until(lambda: (status("old"), status("new")) == (200, 200), 10)
        keys_file(tmp_path, "new")
        poll_until(lambda: (status("old"), status("new")) == (401, 200), 10)
        Path(tmp_path / "api-keys").write_text("nonsense\n")
        poll_until(lambda: status("new") == 200 and "api_keys_file_broken" in server.log.read_text(), 10)


# Elsewhere than on loopback -------------------------------------------------------------------------------------------


def refused_start(module: str, folder: Path, **settings: str) -> str:
    """What a start that must fail says."""
    environment = PredictionProcess(folder).environment
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env={**environment, "MONITORING_PORT": environment["PREDICTION_PORT"], **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("module", ["prediction_service", "monitoring_service"])
def test_listening_elsewhere_without_keys_is_refused_at_the_start(tmp_path: Path, module: str) -> None:
    name = f"{module.partition('_')[0].upper()}_HOST"
    assert "needs API_KEYS_FILE and ALLOWED_HOSTS" in refused_start(module, tmp_path, **{name: "0.0.0.0"})
    path = keys_file(tmp_path, KEY)
    assert "needs ALLOWED_HOSTS" in refused_start(module, tmp_path, **{name: "0.0.0.0"}, API_KEYS_FILE=path)
    Path(path).write_text("# none yet\n")
    elsewhere = {name: "0.0.0.0", "ALLOWED_HOSTS": "replica", "API_KEYS_FILE": path}
    assert "holds no live key" in refused_start(module, tmp_path, **elsewhere)
    Path(path).write_text("ada\n")
    assert "line 1" in refused_start(module, tmp_path, **elsewhere)


@pytest.fixture(params=["prediction", "monitoring"])
def elsewhere(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., int]]:
    """A service on every address; gives the status of a GET."""
    settings = {"API_KEYS_FILE": keys_file(tmp_path, KEY), "ALLOWED_HOSTS": "replica, Monitor.example"}
    process: PredictionProcess | MonitoringProcess
    if request.param == "prediction":
        process = PredictionProcess(tmp_path, PREDICTION_HOST="0.0.0.0", **settings)
    else:
        process = MonitoringProcess(tmp_path, settings={"MONITORING_HOST": "0.0.0.0", **settings})
    try:
        process.start()
        yield lambda path, **headers: requests.get(f"{process.url}{path}", headers=headers, timeout=10).status_code
    finally:
        process.stop()


def test_elsewhere_only_the_names_in_the_settings_and_loopback_are_hosts(elsewhere: Callable[..., int]) -> None:
    assert elsewhere("/metrics") == 200
    assert elsewhere("/metrics", Host="replica:9696") == 200
    assert elsewhere("/metrics", Host="monitor.EXAMPLE") == 200
    assert elsewhere("/metrics", Host="0.0.0.0:9696") == 403
    assert elsewhere("/metrics", Host="rebound.example") == 403
    assert elsewhere("/livez", Host="10.1.2.3:9696") == 200  # an orchestrator's probe
    assert elsewhere("/predictions", Host="replica:9696") == 401


# Monitoring -----------------------------------------------------------------------------------------------------------


def test_monitoring_gives_data_and_takes_events_only_with_a_key(tmp_path: Path) -> None:
    process = MonitoringProcess(tmp_path, settings={"API_KEYS_FILE": keys_file(tmp_path, KEY)})
    try:
        process.start()
        for path in ("/api/state", "/api/history", "/reports/latest"):
            assert requests.get(process.url + path, timeout=10).status_code == 401
            assert requests.get(process.url + path, headers=BEARER, timeout=10).status_code in (200, 404)
        assert process.post(b"").status_code == 401
        assert requests.post(f"{process.url}/events", data=b"", headers=BEARER, timeout=10).status_code == 200
        for path in ("/api/reports", "/api/reference/accept", "/api/reference/revert", "/api/alerts/0/silence"):
            assert requests.post(process.url + path, json={"by": "Ada"}, timeout=10).status_code == 401
        report = f"{process.url}/reports/latest"
        assert requests.post(report, data={KEY_FIELD: "wrong"}, timeout=10).status_code == 401
        assert requests.post(report, data={KEY_FIELD: KEY}, timeout=10).status_code == 404  # there is none yet
        for path in ("/", "/livez", "/readyz", "/metrics", "/static/live.js"):
            assert requests.get(process.url + path, timeout=10).status_code in (200, 503)
        metrics = requests.get(f"{process.url}/metrics", timeout=10).text
        assert 'monitoring_unauthorized_total{case="shop"} 9.0' in metrics
    finally:
        process.stop()


# The generator --------------------------------------------------------------------------------------------------------


def test_the_generator_shows_the_key_that_stands_in_a_file(server: PredictionProcess, tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    records.write_bytes(b"".join(msgspec.json.encode({"record": made_record(seed)}) + b"\n" for seed in range(5)))
    send = ["send", "--count", "5", "--rate", "max", "--label-share", "0", "--records", str(records)]

    def exit_code(key: str) -> int:
        (tmp_path / "api_key").write_text(f"{key}\n")
        ended = subprocess.run(
            [sys.executable, "-m", "stream_generator", *send, "--url", server.url],
            env={**server.environment, "SECRETS_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert key not in ended.stdout + ended.stderr
        return ended.returncode

    answered = server.metric("prediction_answered_total")
    assert exit_code("wrong") != 0
    assert exit_code(KEY) == 0
    assert server.metric("prediction_answered_total") == answered + 5
