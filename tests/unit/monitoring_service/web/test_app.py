"""HTTP routes of monitoring."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from monitoring_bench import Bench
from monitoring_world import START, body_of, label, prediction, predictions
from werkzeug.test import TestResponse

from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Erasure, Event, FaultCount, Label, Rejections


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, max_backlog_rows=100, max_body_bytes=100_000)
    yield bench
    bench.close()


def post(bench: Bench, *events: Event, **where: Any) -> TestResponse:
    return bench.client.post("/events", data=body_of(events, **where))


def state(bench: Bench) -> Any:
    return bench.client.get("/api/state").get_json()


def column(bench: Bench, name: str) -> Any:
    return next(one for one in state(bench)["columns"] if one["name"] == name)


def test_accepted_duplicate_conflicting_and_refused_lines_are_told_apart(bench: Bench) -> None:
    (first,) = predictions(1)
    post(bench, first)
    other = prediction("r0", {"price": 1.0})
    body = body_of([first, other, *predictions(2, first=1)]) + b"{}\nno json\n"
    assert bench.client.post("/events", data=body).get_json() == {
        "accepted": 2,
        "duplicates": 1,
        "conflicts": 1,
        "refused": [{"index": 4, "reason": "malformed"}, {"index": 5, "reason": "malformed"}],
    }


def test_a_line_that_is_nested_too_deeply_is_refused_alone(bench: Bench) -> None:
    body = b'{"unknown": ' + b"[" * MOST_DEPTH + b"\n" + body_of(predictions(1))
    assert bench.client.post("/events", data=body).get_json() == {
        "accepted": 1,
        "duplicates": 0,
        "conflicts": 0,
        "refused": [{"index": 0, "reason": "malformed"}],
    }


RECORD = {"price": 1.0}
REFUSED: dict[str, tuple[Event, dict[str, Any], str]] = {
    "another case": (Label("a", "other", "yes", START), {}, "case"),
    "a class nobody knows": (label("a", "perhaps"), {}, "label"),
    "a label without time": (label("a", "yes", "yesterday"), {}, "label"),
    "a label's time without offset": (label("a", "yes", "2026-01-01T00:00:00"), {}, "label"),
    "an unknown prediction": (prediction("a", RECORD, prediction="perhaps"), {}, "prediction"),
    "a prediction without time": (prediction("a", RECORD, predicted_at=""), {}, "prediction"),
    "an id that is none": (prediction("a b", RECORD), {}, "record_id"),
    "an erasure of no id": (Erasure("", "shop", START), {}, "record_id"),
    "a count beyond counting": (Rejections("x", "shop", START, START, 2**63, []), {}, "rejections"),
    "a fault count below zero": (
        Rejections("x", "shop", START, START, 1, [FaultCount("price", "range", -1)]),
        {},
        "rejections",
    ),
    "a place beyond counting": (label("a"), {"first_seq": 2**63}, "malformed"),
}


@pytest.mark.parametrize(("event", "where", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_an_event_that_can_never_be_taken_is_refused_and_its_neighbours_are_kept(
    bench: Bench, event: Event, where: dict[str, Any], reason: str
) -> None:
    body = body_of([label("b")]) + body_of([event], **where) + body_of(predictions(1))
    reply = bench.client.post("/events", data=body).get_json()
    assert reply == {"accepted": 2, "duplicates": 0, "conflicts": 0, "refused": [{"index": 1, "reason": reason}]}
    assert bench.registry.get_sample_value("monitoring_refused_events_total", {"reason": reason}) == 1


def test_an_unknown_schema_version_is_refused(bench: Bench) -> None:
    body = body_of([label("a")]).replace(b'"schema_version":1', b'"schema_version":2')
    assert bench.client.post("/events", data=body).get_json()["refused"] == [{"index": 0, "reason": "schema_version"}]


def test_nothing_is_taken_twice_when_a_whole_body_comes_again(bench: Bench) -> None:
    events: list[Event] = [
        *predictions(3),
        label("r1"),
        Rejections("x", "shop", START, START, 2, []),
        Erasure("r2", "shop", START),
    ]
    assert post(bench, *events).get_json()["accepted"] == 6
    again = post(bench, *events).get_json()
    assert (again["accepted"], again["duplicates"]) == (0, 6)


def test_a_label_may_be_the_very_first_event(bench: Bench) -> None:
    assert post(bench, label("r0")).get_json()["accepted"] == 1
    post(bench, *predictions(1))
    assert state(bench)["totals"]["labels"] == 1
    assert state(bench)["waiting_labels"] == 0


def test_an_empty_body_is_nothing(bench: Bench) -> None:
    assert post(bench).get_json() == {"accepted": 0, "duplicates": 0, "conflicts": 0, "refused": []}


def test_a_body_over_the_limit_is_a_problem_and_nothing_is_stored(bench: Bench) -> None:
    reply = post(bench, *predictions(500))
    assert reply.status_code == 413
    assert reply.content_type == "application/problem+json"
    assert "100000 bytes" in reply.get_json()["detail"]
    assert state(bench)["totals"]["predictions"] == 0


def test_rows_that_wait_for_their_check_push_back(bench: Bench) -> None:
    assert post(bench, *predictions(160)).status_code == 200
    reply = post(bench, *predictions(1, first=160))
    assert reply.status_code == 503
    assert int(reply.headers["Retry-After"]) >= 1
    assert reply.content_type == "application/problem+json"
    bench.run_all()
    assert post(bench, *predictions(1, first=160)).status_code == 200
    assert state(bench)["totals"]["predictions"] == 161


def test_an_inbox_that_can_not_write_is_try_again_later(bench: Bench, tmp_path: Path) -> None:
    bench.inbox.close()
    reply = post(bench, *predictions(1))
    assert reply.status_code == 503
    assert reply.headers["Retry-After"]


def test_what_is_to_be_tried_again_names_no_time_that_is_too_early(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_body: bytes) -> None:
        raise TryAgainLaterError("the disk is full", retry_after_s=2.4)

    monkeypatch.setattr(bench.intake, "take", refuse)
    reply = post(bench, *predictions(1))
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "3")
    assert reply.get_json(force=True)["detail"] == "the disk is full; try again in 3 s."


def test_before_the_first_record_the_state_is_complete_and_empty(bench: Bench) -> None:
    found = state(bench)
    assert set(found["totals"].values()) == {0}
    assert found["window"] == {"rows": 0, "oldest_at": None, "newest_at": None}
    assert found["model"] is found["evaluation"] is found["quality"] is found["prediction_drift"] is None
    assert found["episodes"] == []
    assert not any(condition["active"] for condition in found["conditions"])
    assert [one["name"] for one in found["columns"]] == ["price", "items", "payment"]
    assert {one["state"] for one in found["columns"]} == {"insufficient"}


def test_the_state_tells_a_verdict_with_its_row_and_time(bench: Bench) -> None:
    bench.measurer.drifting = True
    post(bench, *predictions(75))
    bench.run_all()
    found = state(bench)
    assert found["evaluation"]["at_row"] == 70
    assert found["evaluation"]["state"] == "ok"
    price = column(bench, "price")
    assert (price["drifted"], price["since_row"], price["suspected_at_row"]) == (True, 70, 50)
    assert (price["title"], price["kind"], price["minimum_effect"]) == ("Price", "number", 0.005)
    (episode,) = [one for one in found["episodes"] if one["column"] == "price"]
    assert (episode["confirmed_at_row"], episode["ended_at_row"]) == (70, None)
    assert {one["name"] for one in found["conditions"] if one["active"]} == {"drift"}


def test_rejections_show_in_the_share_of_their_column(bench: Bench) -> None:
    post(bench, *predictions(15), Rejections("x", "shop", START, START, 5, [FaultCount("price", "range", 5)]))
    assert column(bench, "price")["rejected_share"] == pytest.approx(0.25)
    assert column(bench, "items")["rejected_share"] == 0
    assert state(bench)["totals"]["rejected_records"] == 5


def test_the_state_says_when_checks_get_no_answer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Event, "wait", lambda _self, _timeout=None: False)
    bench.measurer.poison = {50}
    post(bench, *predictions(50))
    bench.run_all()
    found = state(bench)
    assert found["evaluation"]["state"] == "failed"
    assert found["evaluation"]["fault"] == "told to"
    assert {one["name"] for one in found["conditions"] if one["active"]} == {"evaluator_failed"}


def test_a_check_that_waits_too_long_is_stale(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    post(bench, *predictions(60))
    monkeypatch.setattr(bench.windows, "_clock", lambda: time.monotonic() + 60)
    assert {one["name"] for one in state(bench)["conditions"] if one["active"]} == {"stale"}


def test_the_history_gives_checks_after_a_row_and_arrivals(bench: Bench) -> None:
    post(bench, *predictions(85))
    bench.clock.now += 2
    bench.run_all()
    found = bench.client.get("/api/history?after_row=60").get_json()
    assert [point["row"] for point in found["checks"]] == [70, 80]
    assert found["columns"] == ["price", "items", "payment"]
    assert found["checks"][0]["effects"] == [0.5, 0.5, 0.5]
    assert found["arrivals"] == [[0, 85]]


def test_performance_windows_are_listed_oldest_first(bench: Bench) -> None:
    assert bench.client.get("/api/quality-windows").get_json() == []
    post(bench, *predictions(150), label("r3"), label("r120"), label("r121"))
    bench.performance_windows.step()
    found = bench.client.get("/api/quality-windows").get_json()
    metric_values = {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}}
    version = {"name": "streamgauge-shop", "version": "1", "figures": metric_values}
    assert found == [
        {"first_row": 1, "last_row": 100, "rows": 100, "labelled_rows": 1, **version},
        {"first_row": 101, "last_row": 200, "rows": 50, "labelled_rows": 2, **version},
    ]
    assert bench.client.get("/api/quality-windows?limit=1").get_json() == found[1:]


def test_the_history_is_there_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    post(bench, *predictions(85), label("r84"))
    bench.run_all()
    before = state(bench)
    bench.close()
    again = Bench(tmp_path)
    again.evaluator_work.step()
    found = again.client.get("/api/history").get_json()
    assert [point["row"] for point in found["checks"]] == [50, 60, 70, 80]
    assert state(again) == before
    again.close()


def test_the_first_report_is_not_there_yet_and_the_latest_is_served_in_a_sandbox(bench: Bench) -> None:
    missing = bench.client.get("/reports/latest")
    assert missing.status_code == 404
    assert "no report yet" in missing.get_json()["detail"]
    bench.reports.add(50, "schedule", "<p>old</p>")
    bench.reports.add(60, "schedule", "<p>new</p>")
    found = bench.client.get("/reports/latest")
    assert found.get_data(as_text=True) == "<p>new</p>"
    assert found.headers["Content-Security-Policy"].startswith("sandbox allow-scripts")
    assert state(bench)["report"]["latest"]["row"] == 60


def test_reports_that_are_older_than_an_erasure_are_gone(bench: Bench) -> None:
    post(bench, *predictions(75))
    for row in (50, 60, 70):
        bench.reports.add(row, "schedule", "<p>someone</p>")
    (bench.reports_dir / ".report-000000000070-schedule.html-1").write_text("<p>half of some")
    post(bench, Erasure("r0", "shop", START))
    assert bench.client.get("/reports/latest").status_code == 404
    assert [path.name for path in bench.reports_dir.iterdir()] == ["void-until-row"]
    bench.reports.add(70, "schedule", "<p>someone, that was being made</p>")
    assert bench.client.get("/reports/latest").status_code == 404
    assert [path.name for path in bench.reports_dir.iterdir()] == ["void-until-row"]
    bench.reports.add(80, "schedule", "<p>others</p>")
    assert bench.client.get("/reports/latest").get_data(as_text=True) == "<p>others</p>"


def test_an_erasure_of_what_is_not_known_leaves_the_reports(bench: Bench) -> None:
    bench.reports.add(50, "schedule", "<p>others</p>")
    post(bench, Erasure("r0", "shop", START))
    assert bench.client.get("/reports/latest").status_code == 200


def test_readiness_names_its_faults(bench: Bench) -> None:
    assert bench.client.get("/livez").status_code == 200
    assert bench.client.get("/readyz").status_code == 200
    bench.faults["draining"] = "the service is stopping"
    reply = bench.client.get("/readyz")
    document = reply.get_json()
    assert (reply.status_code, document["ready"], document["faults"]) == (503, False, bench.faults)
    status = {"case": "shop", **document, "active": True}
    assert bench.client.get("/status").get_json() == status


@pytest.mark.parametrize(("path", "method", "status"), [("/nowhere", "GET", 404), ("/events", "GET", 405)])
def test_every_error_is_a_problem_document(bench: Bench, path: str, method: str, status: int) -> None:
    reply = bench.client.open(path, method=method)
    assert reply.status_code == status
    assert reply.content_type == "application/problem+json"
    assert reply.get_json()["status"] == status


def test_what_goes_wrong_inside_is_not_taken_for_a_fault_of_the_body(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: str) -> None:
        msgspec.json.decode(b"a file of ours that is no JSON")

    monkeypatch.setattr(bench.reference_service, "accept", broken)
    reply = bench.client.post("/api/reference/accept", json={"by": "Ada"})
    assert (reply.status_code, reply.content_type) == (500, "application/problem+json")


def test_a_body_over_the_limit_of_its_route_is_told_that_limit(bench: Bench) -> None:
    reply = bench.client.post("/api/reference/accept", json={"by": "Ada", "note": "x" * 10_000})
    assert (reply.status_code, reply.get_json()["detail"]) == (
        413,
        "The body is larger than 8192 bytes; nothing was stored.",
    )


def test_the_page_runs_only_what_the_service_serves(bench: Bench) -> None:
    reply = bench.client.get("/")
    assert reply.status_code == 200
    assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
    assert "http://" not in reply.get_data(as_text=True)
    assert "https://" not in reply.get_data(as_text=True)
