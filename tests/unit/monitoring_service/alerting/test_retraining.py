"""Retraining on the side of monitoring: what the server said last, a person's wish, and alerts that ask for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from monitoring_bench import Bench

from event_backbone.errors import ConflictError, TryAgainLaterError
from monitoring_service.alerting.lifecycle import Rules
from monitoring_service.alerting.retraining import NOTIFY_EVERY_S, RetrainingBridge
from monitoring_service.alerting.service import AlertService
from monitoring_service.alerting.training_client import TrainingRefusal, TrainingRun, TrainingStatus
from monitoring_service.alerting.views import AlertLinks
from monitoring_service.state.conditions import Condition

AT = "2026-01-01T00:00:00Z"
RUNNING = TrainingRun("a", "running", "fitting", "Ada: new prices", AT)


class FakeServer:
    """Says what it is told to say, and remembers what it was told."""

    def __init__(self) -> None:
        self.away = False
        self.refusing = False
        self.reasons: list[str] = []
        self.notified_state: list[dict[str, Any]] = []

    def status(self) -> TrainingStatus:
        self._answer()
        return TrainingStatus([RUNNING], TrainingRefusal("running", "Run a is at work.", 10.0))

    def train(self, reason: str) -> str:
        self._answer()
        if self.refusing:
            raise ConflictError("The cooldown lasts for another 60 s.")
        self.reasons.append(reason)
        return "b"

    def notify(self, body: bytes) -> None:
        self._answer()
        self.notified_state.append(msgspec.json.decode(body))

    def _answer(self) -> None:
        if self.away:
            raise TryAgainLaterError("the training server gives no answer (ConnectionError)")


class Documents:
    """Keeps nothing."""

    def keep_document(self, name: str, body: bytes) -> None: ...

    def document(self, name: str) -> bytes | None:
        return None


class Alerting:
    """Alerts, the bridge that notifies of them, and the clock of both."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.server = FakeServer()
        self.alerts = AlertService(Rules("shop"), AlertLinks(), Documents(), clock=lambda: self.now)
        self.service = RetrainingBridge(self.server, self.alerts, clock=lambda: self.now)

    def hold(self, *names: str, for_s: float = 61.0) -> None:
        """Conditions that hold for so long."""
        conditions = [Condition(name, since=AT, value=0.2, threshold=0.1) for name in names]
        self.alerts.watch(conditions)
        self.now += for_s
        self.alerts.watch(conditions)

    def names(self) -> list[str]:
        return [alert["labels"]["alertname"] for body in self.server.notified_state for alert in body["alerts"]]


@pytest.fixture
def alerting() -> Alerting:
    return Alerting()


def test_an_alert_that_fires_is_told_in_alertmanagers_words(alerting: Alerting) -> None:
    alerting.hold("concept_drift", for_s=10.0)
    alerting.service.step()
    assert alerting.server.notified_state == []
    alerting.hold("concept_drift")
    alerting.service.step()
    [body] = alerting.server.notified_state
    [alert] = body["alerts"]
    assert (body["version"], alert["status"], alert["labels"]["alertname"]) == ("4", "firing", "ConceptDrift")


def test_it_is_told_again_while_it_fires_and_not_when_it_is_over(alerting: Alerting) -> None:
    alerting.hold("concept_drift")
    for _ in range(3):
        alerting.service.step()
    assert len(alerting.server.notified_state) == 1
    alerting.now += NOTIFY_EVERY_S
    alerting.service.step()
    assert len(alerting.server.notified_state) == 2
    alerting.alerts.watch([])
    alerting.now += NOTIFY_EVERY_S
    alerting.service.step()
    assert len(alerting.server.notified_state) == 2


def test_what_is_muted_or_silenced_is_not_told(alerting: Alerting) -> None:
    alerting.hold("concept_drift", "stale")
    alerting.service.step()
    assert alerting.names() == ["MonitorStale"]
    alerting.alerts.watch([])
    alerting.hold("realised_loss")
    [alert] = alerting.alerts.states.present
    alerting.alerts.silence(alert.id, "Ada", "", 3600)
    alerting.service.step()
    assert alerting.names() == ["MonitorStale"]


def test_a_server_that_is_away_is_told_when_it_is_back(alerting: Alerting) -> None:
    alerting.hold("concept_drift")
    alerting.server.away = True
    alerting.service.step()
    assert "gives no answer" in alerting.service.document()["fault"]
    alerting.server.away = False
    alerting.service.step()
    assert alerting.names() == ["ConceptDrift"]
    assert alerting.service.document()["fault"] is None


def test_without_alerts_the_server_is_only_looked_at() -> None:
    server = FakeServer()
    service = RetrainingBridge(server)
    service.step()
    assert server.notified_state == []
    assert [run["stage"] for run in service.document()["runs"]] == ["fitting"]
    assert service.document()["refusal"]["detail"] == "Run a is at work."


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def bench(tmp_path: Path, server: FakeServer) -> Any:
    bench = Bench(tmp_path, retraining=RetrainingBridge(server))
    yield bench
    bench.close()


def test_a_person_asks_through_monitoring_and_the_state_shows_it(bench: Bench, server: FakeServer) -> None:
    answer = bench.client.post("/api/retraining", json={"by": "Ada", "note": "new prices"})
    assert (answer.status_code, answer.json) == (202, {"id": "b"})
    assert server.reasons == ["Ada: new prices"]
    state = bench.client.get("/api/state").json
    assert state["retraining"] == {"fault": None, "runs": [], "refusal": None}


def test_a_refusal_and_an_absence_are_said_in_the_servers_words(bench: Bench, server: FakeServer) -> None:
    server.refusing = True
    refused = bench.client.post("/api/retraining", json={"by": "Ada", "note": ""})
    assert (refused.status_code, refused.json["detail"]) == (409, "The cooldown lasts for another 60 s.")
    server.away = True
    away = bench.client.post("/api/retraining", json={"by": "Ada", "note": ""})
    assert away.status_code == 503
    assert bench.client.post("/api/retraining", json={"note": ""}).status_code == 422
    assert bench.client.post("/api/retraining", data=b"{").status_code == 400
    assert server.reasons == []


def test_without_a_training_server_there_is_no_route(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.client.post("/api/retraining", json={"by": "Ada", "note": ""}).status_code == 404
    assert bench.client.get("/api/state").json["retraining"] is None
    bench.close()
