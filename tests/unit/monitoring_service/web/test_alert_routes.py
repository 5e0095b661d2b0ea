"""HTTP routes of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monitoring_bench import Bench
from werkzeug.test import TestResponse

from monitoring_service.alerting.lifecycle import Alert
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.alerting.training_client import TrainingStatus


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def drifted(bench: Bench) -> Alert:
    """Every column of the bench drifts, and the alerts of it fire."""
    bench.measurer.drifting = True
    bench.receive(70)
    bench.run_all()
    look(bench, 0.0)
    look(bench, 61.0)
    return bench.service.states.present[0]


def look(bench: Bench, later_s: float) -> None:
    bench.clock.now += later_s
    bench.service.watch(bench.snapshots.conditions())


def post(bench: Bench, alert_id: str, what: str, body: Any) -> TestResponse:
    return bench.client.post(f"/api/alerts/{alert_id}/{what}", json=body)


def view(bench: Bench, alert_id: str) -> Any:
    return next(one for one in bench.client.get("/api/alerts").get_json()["alerts"] if one["id"] == alert_id)


def test_alerts_stand_in_their_own_list_and_in_the_state(bench: Bench) -> None:
    drifted(bench)
    alerts = bench.client.get("/api/alerts").get_json()["alerts"]
    assert {one["labels"]["column"] for one in alerts} == {"price", "items", "payment"}
    first = alerts[0]
    assert (first["name"], first["severity"], first["state"]) == ("FeatureDrift", "ticket", "firing")
    assert first["runbook"] == "docs/runbook.md#featuredrift"
    assert "50.0%" in first["description"]
    assert first["since"] < first["firing_since"]
    assert bench.client.get("/api/state").get_json()["alerts"] == alerts


def test_a_person_acknowledges_silences_and_takes_that_back(bench: Bench) -> None:
    alert = drifted(bench)
    assert post(bench, alert.id, "acknowledge", {"by": "ada", "note": "looking"}).status_code == 200
    assert post(bench, alert.id, "silence", {"by": "ada", "seconds": 3600}).status_code == 200
    shown = view(bench, alert.id)
    assert (shown["acknowledged_by"], shown["acknowledged_note"], shown["silenced_by"]) == ("ada", "looking", "ada")
    assert shown["silenced_until"] == "1970-01-01T01:01:01.000000Z"
    assert bench.client.delete(f"/api/alerts/{alert.id}/silence").status_code == 200
    assert view(bench, alert.id)["silenced_until"] is None
    assert bench.client.delete(f"/api/alerts/{alert.id}/silence").status_code == 404


def test_what_people_did_is_there_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    alert = drifted(bench)
    post(bench, alert.id, "acknowledge", {"by": "ada"})
    before = bench.client.get("/api/alerts").get_json()
    bench.close()
    again = Bench(tmp_path)
    again.clock.now = bench.clock.now
    look(again, 1.0)
    assert again.client.get("/api/alerts").get_json() == before
    again.close()


def test_all_faults_of_a_body_are_named_at_once(bench: Bench) -> None:
    alert = drifted(bench)
    answer = post(bench, alert.id, "silence", {"by": " ", "seconds": -5, "note": 7, "until": "never"})
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    faults = {fault["field"] for fault in problem_of(answer)["faults"]}
    assert faults == {"by", "seconds", "note", "until"}
    assert view(bench, alert.id)["silenced_until"] is None


DECISIONS = ("alerts/{id}/acknowledge", "alerts/{id}/silence", "reference/accept", "reference/revert", "retraining")


@pytest.mark.parametrize("route", DECISIONS)
def test_every_decision_has_the_same_limits_and_names_all_faults(bench_with_training: Bench, route: str) -> None:
    path = "/api/" + route.format(id="0" * 16)
    long = {"by": "a" * 101, "note": "n" * 1001, "x": 1}
    for body, faults in (
        (long, {"by": "length", "note": "length", "x": "unknown"}),
        ({"by": 7, "note": None}, {"by": "type", "note": "null"}),
        ({"note": "why"}, {"by": "missing"}),
        ({"by": "  "}, {"by": "length"}),
    ):
        answer = bench_with_training.client.post(path, json=body)
        found = {fault["field"]: fault["reason"] for fault in problem_of(answer)["faults"]}
        found.pop("seconds", None)
        assert (answer.status_code, found) == (422, faults)
    longest = {"by": " " + "a" * 100, "note": "n" * 1000} | ({"seconds": 1} if "silence" in route else {})
    assert bench_with_training.client.post(path, json=longest).status_code in (202, 404, 409)


@pytest.fixture
def bench_with_training(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, retraining=RetrainingBridge(WillingServer()))
    yield bench
    bench.close()


class WillingServer:
    """A training server that takes whatever it is asked for."""

    def status(self) -> TrainingStatus:
        return TrainingStatus([])

    def train(self, reason: str) -> str:
        return "run"

    def notify(self, body: bytes) -> None:
        """Taken."""


def problem_of(answer: TestResponse) -> Any:
    """A problem's media type is not the one that Flask takes for JSON."""
    return answer.get_json(force=True)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"ada"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(bench: Bench, body: bytes) -> None:
    alert = drifted(bench)
    answer = bench.client.post(f"/api/alerts/{alert.id}/acknowledge", data=body)
    assert answer.status_code in (400, 422)
    assert view(bench, alert.id)["acknowledged_by"] is None


@pytest.mark.parametrize("seconds", [0, float("inf"), 1e12, "60", None])
def test_a_silence_has_an_end(bench: Bench, seconds: Any) -> None:
    assert post(bench, drifted(bench).id, "silence", {"by": "ada", "seconds": seconds}).status_code in (400, 422)


def test_a_body_that_is_far_too_long_is_not_read(bench: Bench) -> None:
    alert = drifted(bench)
    assert post(bench, alert.id, "acknowledge", {"by": "ada", "note": "x" * 20_000}).status_code == 413


def test_an_alert_that_is_not_there_is_not_found_and_a_resolved_one_needs_no_acknowledgement(bench: Bench) -> None:
    assert post(bench, "0" * 16, "acknowledge", {"by": "ada"}).status_code == 404
    assert post(bench, "0" * 16, "silence", {"by": "ada", "seconds": 60}).status_code == 404
    alert = drifted(bench)
    bench.service.watch(())
    assert view(bench, alert.id)["state"] == "resolved"
    assert post(bench, alert.id, "acknowledge", {"by": "ada"}).status_code == 409
    assert post(bench, alert.id, "silence", {"by": "ada", "seconds": 60}).status_code == 200
