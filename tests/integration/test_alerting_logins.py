"""The logins of Prometheus and Alertmanager in docker-compose.yml, with both programs: who is answered and who not."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from composed_alerting import (
    ALWAYS,
    LOGIN_NAME,
    MAKE_SECRETS,
    STAND_INS,
    ComposedAlerting,
    ComposedPart,
    composed_alerting,
)
from monitoring_process import poll_until
from training_server_process import TrainingServerProcess, training_server

FOREIGN = {"Origin": "http://elsewhere.example"}
PREFLIGHT = {**FOREIGN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
ASKED = {
    "alertmanager": ("/", "/api/v2/status", "/api/v2/silences", "/metrics", "/-/ready", "/-/reload"),
    "prometheus": ("/", "/api/v1/query?query=up", "/graph", "/metrics", "/-/ready", "/federate"),
}


@pytest.fixture(scope="module")
def alerting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposedAlerting]:
    with composed_alerting(tmp_path_factory.mktemp("alerting")) as alerting:
        yield alerting


@pytest.fixture(params=["alertmanager", "prometheus"])
def part(alerting: ComposedAlerting, request: pytest.FixtureRequest) -> ComposedPart:
    found: ComposedPart = getattr(alerting, request.param)
    return found


def asked(part: ComposedPart, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(method, part.url + path, timeout=10, **options)


def test_who_does_not_log_in_is_answered_nothing_on_any_route(part: ComposedPart) -> None:
    for path in ASKED[part.service]:
        for method, headers in (
            ("GET", FOREIGN),
            ("POST", {**FOREIGN, "Content-Type": "text/plain"}),
            ("OPTIONS", PREFLIGHT),
            ("GET", {"Host": "elsewhere.example"}),
        ):
            for login in (None, (LOGIN_NAME, "not-the-password"), ("somebody", part.login[1])):
                answer = asked(part, method, path, headers=headers, auth=login)
                assert (answer.status_code, answer.text.strip()) == (401, "Unauthorized"), (method, path)
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_who_logs_in_is_answered_and_no_page_may_frame_it(part: ComposedPart) -> None:
    answer = asked(part, "GET", "/-/ready", auth=part.login)
    assert answer.status_code == 200
    assert answer.headers["X-Frame-Options"] == "deny"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_prometheus_names_no_foreign_origin_as_one_that_may_read(alerting: ComposedAlerting) -> None:
    prometheus = alerting.prometheus
    answer = asked(prometheus, "GET", "/api/v1/query?query=up", headers=FOREIGN, auth=prometheus.login)
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_prometheus_logs_in_at_itself_and_at_alertmanager(alerting: ComposedAlerting) -> None:
    poll_until(lambda: alerting.prometheus.up() == {"prometheus", "alertmanager"}, 60, "both are scraped")
    poll_until(lambda: names_told(alerting) >= set(ALWAYS), 60, "alerts reach Alertmanager")


def names_told(alerting: ComposedAlerting) -> set[str]:
    return {one["labels"]["alertname"] for one in alerting.alertmanager.get("/api/v2/alerts")}


def test_the_health_checks_log_in_without_naming_the_password(alerting: ComposedAlerting, tmp_path: Path) -> None:
    """Of Prometheus that of the stand-in image: Debian's promtool is older than the command in docker-compose.yml."""
    assert alerting.alertmanager.health_check() == 0
    assert alerting.prometheus.health_check(STAND_INS) == 0
    with composed_alerting(tmp_path) as others:
        others.alertmanager.places[f"127.0.0.1:{others.alertmanager.container_port}"] = alerting.alertmanager.url[7:]
        others.prometheus.places[f"127.0.0.1:{others.prometheus.container_port}"] = alerting.prometheus.url[7:]
        assert others.alertmanager.health_check() != 0
        assert others.prometheus.health_check(STAND_INS) != 0


def test_passwords_are_in_no_argument_list_and_in_no_log(alerting: ComposedAlerting) -> None:
    poll_until(lambda: alerting.prometheus.up() == {"prometheus", "alertmanager"}, 60, "both are scraped")
    for part in alerting.parts:
        said = Path(f"/proc/{part.process.pid}/cmdline").read_text() + (part.folder / "output.log").read_text()
        assert "web.yml" in said
        assert not [other.service for other in alerting.parts if other.login[1] in said]


def test_a_changed_password_holds_at_once_for_whoever_logs_in_and_for_prometheus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with composed_alerting(tmp_path) as alerting:
        alertmanager = alerting.alertmanager
        before = alertmanager.login
        monkeypatch.setattr("sys.stdin", io.StringIO("another-password-of-people"))
        MAKE_SECRETS["main"](["--root", str(alerting.secrets), "set", "alertmanager_password"])
        assert asked(alertmanager, "GET", "/-/ready", auth=before).status_code == 401
        assert (
            asked(alertmanager, "GET", "/-/ready", auth=(LOGIN_NAME, "another-password-of-people")).status_code == 200
        )
        changed = time.time()
        query = {"query": f"timestamp(up{{job='alertmanager'}} == 1) > {changed:.3f}"}
        scraped = poll_until(
            lambda: alerting.prometheus.get("/api/v1/query", params=query)["data"]["result"], 60, "it is scraped again"
        )
        assert scraped


def runs_of(server: TrainingServerProcess, key: str) -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{server.url}/train", headers=headers, timeout=5).json()["runs"]


def test_an_alert_comes_from_prometheus_to_a_training_server_that_asks_for_a_key(tmp_path: Path) -> None:
    alerting = ComposedAlerting(tmp_path / "alerting")
    keys = alerting.secrets / "training" / "api_keys"
    with training_server(tmp_path / "training", API_KEYS_FILE=str(keys)) as server:
        body = {"version": "4", "alerts": []}
        assert requests.post(f"{server.url}/alerts", json=body, timeout=5).status_code == 401
        wrong = {"Authorization": f"Bearer {alerting.prometheus.login[1]}"}
        assert requests.post(f"{server.url}/alerts", json=body, headers=wrong, timeout=5).status_code == 401
        alerting.training_url = f"{server.url}/alerts"
        operator = (alerting.secrets / "master" / "operator_api_key").read_text()
        assert runs_of(server, operator) == []
        try:
            alerting.start()
            (run,) = poll_until(lambda: runs_of(server, operator), 90, "a retraining is asked for")
        finally:
            alerting.stop()
        assert run["reason"] == "alert ConceptDrift"
        assert (alerting.secrets / "master" / "alert_training_key").read_text() not in server.log.read_text()
