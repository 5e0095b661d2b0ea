"""The training server's routes: asking for a retraining, Alertmanager's webhook, and what became of a run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from monitoring_process import poll_until
from prometheus_client import CollectorRegistry
from werkzeug.serving import make_server

from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.errors import ConflictError, TryAgainLaterError
from event_backbone.events.schema import encode_json, time_text
from event_backbone.web.request_bodies import LONGEST_NAME, LONGEST_NOTE
from monitoring_service.alerting.lifecycle import Alert, Notification, fingerprint, labels_of
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.alerting.training_client import HttpTrainingServer
from monitoring_service.alerting.views import AlertLinks, webhook_body
from monitoring_service.state.conditions import Condition
from training.server.api import ServerParts, build_api
from training.server.messages import RunResult
from training.server.metrics import TrainingMetrics
from training.server.retraining import RunScheduler
from training.server.runs import RetrainingRun, RunHistory
from training.server.runs_file import RunsFile

COOLDOWN_S = 100.0
DECISION = {"reasons": ["it is better"], "numbers": {"difference": 0.1}}


class FakeRun:
    """Ends when it is told to."""

    def __init__(self, run: RetrainingRun) -> None:
        self.run = run
        self.stages: queue.Queue[str | RunResult] = queue.Queue()

    def follow(self, at_stage: Callable[[str], None]) -> RunResult:
        while not isinstance(said := self.stages.get(timeout=30), RunResult):
            at_stage(said)
        return said

    def stop(self) -> None:
        self.stages.put(RunResult("failed", {"reasons": ["stopped"]}))


class World:
    """A server without a socket, and a clock that stands still."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_800_000_000.0
        self.launched: list[FakeRun] = []
        self.draining = threading.Event()
        self.metrics = TrainingMetrics(CollectorRegistry())
        self.scheduler = RunScheduler(
            RunsFile(folder),
            self._launch,
            cooldown_s=COOLDOWN_S,
            count=lambda outcome: self.metrics.runs.labels(outcome).inc(),
            clock=lambda: self.now,
        )
        parts = ServerParts(
            "shop", self.scheduler, self.metrics, {"ConceptDrift", "RealisedLoss"}, self.draining.is_set
        )
        self.client: FlaskClient = build_api(parts).test_client()

    def _launch(self, run: RetrainingRun) -> FakeRun:
        self.launched.append(FakeRun(run))
        return self.launched[-1]

    def ask(self, **body: Any) -> Any:
        return self.client.post("/train", json={"reason": "a test", **body})

    def tell(self, *alerts: Alert) -> Any:
        return self.client.post("/alerts", json=webhook_body("shop", Notification("x", alerts), AlertLinks()))

    def alert(self, condition: str, *, began_s_ago: float = 0.0, resolved: bool = False) -> Alert:
        found = Condition(condition, since=time_text(self.now))
        id_, began = fingerprint(labels_of("shop", found)), self.now - began_s_ago
        state = "resolved" if resolved else "firing"
        return Alert(id_, found, state, began, firing_since=began, resolved_at=self.now if resolved else None)

    def end(self, state: Any = "promoted") -> None:
        poll_until(lambda: self.launched)
        self.launched[-1].stages.put(RunResult(state, DECISION))
        poll_until(lambda: self.scheduler.newest(1)[0].state == state)

    def metric(self, line: str) -> bool:
        return line in self.client.get("/metrics").get_data(as_text=True).splitlines()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.scheduler.close()


def test_a_run_is_begun_followed_and_remembered(world: World) -> None:
    answer = world.ask()
    assert answer.status_code == 202
    path = f"/train/{answer.json['id']}"
    poll_until(lambda: world.launched)
    world.launched[0].stages.put("fitting")
    poll_until(lambda: world.client.get(path).json["stage"] == "fitting")
    running = world.client.get(path).json
    assert (running["state"], running["ended_at"], running["decision"]) == ("running", None, None)
    assert world.metric('training_running{case="shop"} 1.0')
    world.now += 50
    world.end()
    ended = world.client.get(path).json
    assert (ended["state"], ended["decision"]) == ("promoted", DECISION)
    assert ended["started_at"] < ended["ended_at"]
    # Counted behind the state that others see.
    poll_until(lambda: world.metric('training_runs_total{case="shop",outcome="promoted"} 1.0'))
    poll_until(lambda: world.metric('training_running{case="shop"} 0.0'))


def test_a_second_run_is_refused_while_one_is_at_work_and_during_the_cooldown(world: World) -> None:
    world.ask(episode="one")
    busy = world.ask(episode="two")
    assert (busy.status_code, busy.content_type) == (409, "application/problem+json")
    assert int(busy.headers["Retry-After"]) > 0
    world.end()
    world.now += 40.7
    cooling = world.ask(episode="two")
    assert (cooling.status_code, cooling.headers["Retry-After"]) == (409, "60"), "59.3 s are not over after 59 s"
    assert "another 60 s" in cooling.get_json(force=True)["detail"]
    world.now += 60
    again = world.ask(episode="one")
    assert (again.status_code, again.headers.get("Retry-After")) == (409, None)
    assert world.ask(episode="two").status_code == 202
    assert world.metric('training_refusals_total{case="shop",reason="episode"} 1.0')


def test_the_list_says_what_is_newest_and_whether_one_may_begin(world: World) -> None:
    assert world.client.get("/train").json == {"runs": [], "refusal": None}
    world.ask()
    listed = world.client.get("/train").json
    assert [run["state"] for run in listed["runs"]] == ["running"]
    assert listed["refusal"]["reason"] == "running"


def test_an_unknown_run_is_not_found(world: World) -> None:
    assert world.client.get("/train/none").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"reason": ""}', 422),
        (b'{"reason": "x", "other": 1}', 422),
        (b'{"reason": "' + b"x" * 1103 + b'"}', 422),
        (b'{"reason": "\xff"}', 400),
        (b"[" * (MOST_DEPTH + 1), 400),
        (b" " * (1024 * 1024 + 1), 413),
    ],
)
def test_what_is_no_question_begins_nothing(world: World, body: bytes, status: int) -> None:
    for path in ("/train", "/alerts"):
        answer = world.client.post(path, data=body)
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert world.scheduler.newest(1) == []


@pytest.mark.parametrize("condition", ["concept_drift", "realised_loss"])
def test_an_alert_that_fires_begins_a_run(world: World, condition: str) -> None:
    answer = world.tell(world.alert(condition, began_s_ago=30))
    assert answer.status_code == 200
    [started] = answer.json["started"]
    run = world.scheduler.run(started["id"])
    assert run is not None
    assert (run.alert_since, run.episode) == (world.now - 30, started["episode"])


def test_alerts_that_are_resolved_or_others_begin_none(world: World) -> None:
    resolved = world.alert("concept_drift", resolved=True)
    answer = world.tell(resolved, world.alert("prediction_drift"), world.alert("stale"))
    assert (answer.status_code, answer.json) == (200, {"started": [], "passed_over": []})


def test_alerts_of_another_case_begin_none(world: World) -> None:
    body = webhook_body("garden", Notification("x", (world.alert("concept_drift"),)), AlertLinks())
    assert world.client.post("/alerts", json=body).json["started"] == []


def test_an_alert_that_names_no_case_is_of_this_one(world: World) -> None:
    body = webhook_body("shop", Notification("x", (world.alert("concept_drift"),)), AlertLinks())
    del body["alerts"][0]["labels"]["case"]
    assert len(world.client.post("/alerts", json=body).json["started"]) == 1


def test_an_end_that_cannot_be_written_down_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.ask()

    def full(_history: RunHistory) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(world.scheduler._store, "keep", full)
    world.end("refused")
    monkeypatch.undo()
    world.now += COOLDOWN_S
    assert world.ask().status_code == 202
    world.scheduler.close()


def test_two_alerts_of_one_drift_begin_one_run_and_no_later_one(world: World) -> None:
    drift, loss = world.alert("concept_drift"), world.alert("realised_loss")
    answer = world.tell(drift, loss)
    assert [len(answer.json[name]) for name in ("started", "passed_over")] == [1, 1]
    world.now += 10
    world.end()
    world.now += 10 * COOLDOWN_S
    again = world.tell(drift, loss).json
    assert again["started"] == []
    assert [one["reason"] for one in again["passed_over"]] == ["episode", "episode"]
    assert world.tell(world.alert("concept_drift")).json["started"] == [], "it came back beside one that stayed"
    world.now += COOLDOWN_S + 1
    assert world.tell(world.alert("concept_drift")).json["started"] != [], "nothing had fired for a cooldown"


def test_an_alert_that_still_fires_after_a_failure_is_tried_again_after_the_cooldown(world: World) -> None:
    drift = world.alert("concept_drift")
    world.tell(drift)
    world.end("failed")
    assert [one["reason"] for one in world.tell(drift).json["passed_over"]] == ["cooldown"]
    world.now += COOLDOWN_S
    assert world.tell(drift).json["started"] != []


def test_a_message_of_alertmanagers_own_making_is_understood(world: World) -> None:
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="ConceptDrift"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "retraining",
        "groupLabels": {"alertname": "ConceptDrift", "case": "shop"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "ConceptDrift", "case": "shop", "severity": "page"},
                "annotations": {},
                "startsAt": "2026-03-01T12:00:00.123456789+01:00",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
                "fingerprint": "70e7cdea37e3c9ba",
            }
        ],
    }
    [started] = world.client.post("/alerts", json=body).json["started"]
    run = world.scheduler.run(started["id"])
    assert run is not None
    assert run.alert_since is not None
    assert time_text(run.alert_since) == "2026-03-01T11:00:00.123456Z"
    assert run.reason == "alert ConceptDrift"
    body["alerts"][0]["startsAt"] = "yesterday"  # type: ignore[index]  # a literal
    assert world.client.post("/alerts", json=body).status_code == 422


def test_a_restart_remembers_episodes_and_ends_what_ran(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.ask(episode="one")
    first.end()
    first.now += COOLDOWN_S
    first.ask(episode="two")
    first.scheduler.close()
    again = World(tmp_path)
    again.now = first.now + COOLDOWN_S
    assert [run.state for run in again.scheduler.newest(2)] == ["failed", "promoted"]
    assert again.ask(episode="one").status_code == 409
    assert again.ask(episode="two").status_code == 202
    again.scheduler.close()


def test_a_run_that_cannot_be_launched_has_failed(tmp_path: Path) -> None:
    world = World(tmp_path)

    def refuse(_run: RetrainingRun) -> FakeRun:
        raise OSError("no more processes")

    world.scheduler._launch = refuse
    id_ = world.ask().json["id"]
    ended = poll_until(lambda: (run := world.client.get(f"/train/{id_}").json)["state"] == "failed" and run)
    assert "OSError" in ended["decision"]["reasons"][0]
    world.scheduler.close()


@pytest.fixture
def remote(world: World) -> Iterator[HttpTrainingServer]:
    """The server as monitoring meets it, over a socket."""
    listening = make_server("127.0.0.1", 0, world.client.application, threaded=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield HttpTrainingServer(f"http://127.0.0.1:{listening.server_port}/", "a-key")
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_monitoring_understands_what_the_server_says(world: World, remote: HttpTrainingServer) -> None:
    id_ = remote.train("Ada: new prices")
    with pytest.raises(ConflictError, match=f"Run {id_} is at work"):
        remote.train("Bob")
    running = remote.status()
    assert [(run.id, run.state, run.reason) for run in running.runs] == [(id_, "running", "Ada: new prices")]
    world.end("refused")
    ended = remote.status()
    assert (ended.runs[0].state, ended.runs[0].decision) == ("refused", DECISION)
    assert ended.refusal is not None
    assert ended.refusal.reason == "cooldown"


def test_monitoring_tells_of_an_alert_and_the_server_begins(world: World, remote: HttpTrainingServer) -> None:
    notification = Notification("ConceptDrift", (world.alert("concept_drift"),))
    remote.notify(encode_json(webhook_body("shop", notification, AlertLinks())))
    assert [run.reason for run in world.scheduler.newest(2)] == ["alert ConceptDrift"]


def test_the_longest_note_of_a_person_is_a_reason_that_the_server_takes(
    world: World, remote: HttpTrainingServer
) -> None:
    id_ = RetrainingBridge(remote).ask("a" * LONGEST_NAME, "n" * LONGEST_NOTE)
    assert world.scheduler.newest(1)[0].id == id_


def test_what_is_no_training_server_is_away() -> None:
    nobody = HttpTrainingServer("http://127.0.0.1:9")
    for ask in (nobody.status, lambda: nobody.train("x"), lambda: nobody.notify(b"{}")):
        with pytest.raises(TryAgainLaterError, match="gives no answer"):
            ask()


def test_readiness_falls_when_the_server_drains(world: World) -> None:
    assert world.client.get("/readyz").status_code == 200
    world.draining.set()
    reply = world.client.get("/readyz")
    assert (reply.status_code, reply.json["faults"]) == (503, {"draining": "the server is stopping"})
    assert world.client.get("/livez").status_code == 200
