"""The evaluator beside the checks: late, lost, failing or never there, and what is said of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monitoring_bench import Bench
from monitoring_world import START, enveloped
from msgspec.structs import replace

from event_backbone.errors import ConflictError
from event_backbone.events.schema import Erasure
from monitoring_service.evaluation.client import EvaluatorRefusedError
from monitoring_service.evaluation.evaluator_status import FAILURES_TOLD
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.lifecycle.evaluator_thread import BACKOFF_S, EVERY_S, EvaluatorThread
from monitoring_service.messages import ScoreWindow, WindowMeasures


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def waiting(bench: Bench) -> dict[str, str]:
    """The same in all places."""
    ready, status = bench.client.get("/readyz"), bench.client.get("/status").get_json()
    assert ready.status_code == 200
    found: dict[str, str] = bench.client.get("/api/state").get_json()["waiting"]
    assert found == status.get("waiting", {}) == ready.get_json().get("waiting", {})
    return found


def scores(bench: Bench) -> list[float | None]:
    """Of the columns and of the predictions."""
    document = bench.client.get("/api/state").get_json()
    return [one["score"] for one in (*document["columns"], document["prediction_drift"])]


def active(bench: Bench) -> set[str]:
    return {one["name"] for one in bench.client.get("/api/state").get_json()["conditions"] if one["active"]}


def verdicts(bench: Bench) -> Any:
    """Everything but Evidently's scores and the time that it took."""
    state = bench.results.state
    assert state.check_result is not None
    columns = [replace(one, measure=replace(one.measure, score=None, method=None)) for one in verdict_columns(bench)]
    episodes = [(one.name, one.suspected_at_row, one.confirmed_at_row) for one in bench.inbox.episodes(limit=100)]
    return [(one.measure, one.suspicious, one.alarm, one.verdict_state.drifted) for one in columns], episodes


def verdict_columns(bench: Bench) -> Any:
    check_result = bench.results.state.check_result
    assert check_result is not None
    return [*check_result.columns, check_result.prediction]


def test_checks_are_made_and_judged_before_the_evaluator_is_there(bench: Bench) -> None:
    bench.evaluator.starting = True
    bench.measurer.drifting = True
    bench.receive(95)
    bench.run_all()
    assert bench.measurer.asked == [50, 60, 70, 80, 90]
    assert active(bench) == {"drift"}
    assert scores(bench) == [None] * 4
    assert waiting(bench) == {"reports": "the evaluator is starting since 1970-01-01T00:00:00.000000Z"}


def test_when_it_comes_the_newest_window_is_scored_and_reported_on_though_the_stream_has_ended(bench: Bench) -> None:
    bench.evaluator.starting = True
    bench.receive(95)
    bench.run_all()
    bench.clock.now = 600.0
    bench.evaluator.starting = False
    bench.run_all()
    bench.step()
    bench.step()
    assert scores(bench) == [90.0] * 4
    assert (bench.evaluator.scored, bench.evaluator.reported) == ([90], [90])
    assert waiting(bench) == {}


@pytest.mark.parametrize("comes_at", [50, 80, None], ids=["first", "later", "never"])
def test_verdicts_are_the_same_whenever_it_comes(bench: Bench, tmp_path: Path, comes_at: int | None) -> None:
    undisturbed = Bench(tmp_path / "undisturbed")
    for one in (bench, undisturbed):
        for first in range(0, 120, 10):
            one.evaluator.starting = one is bench and (comes_at is None or first < comes_at)
            one.measurer.drifting = 60 <= first < 100
            one.receive(10, first=first)
            one.run_all()
    assert verdicts(bench) == verdicts(undisturbed)
    assert [point.drifted for point in bench.results.read().points] == [
        point.drifted for point in undisturbed.results.read().points
    ]
    undisturbed.close()


def test_until_the_first_check_it_is_not_started(bench: Bench) -> None:
    bench.evaluator.failures = 1000
    bench.receive(49)
    bench.run_all()
    assert bench.evaluator_work.step() == EVERY_S
    assert bench.registry.get_sample_value("monitoring_evaluator_failures_total") == 0
    assert "reports" not in waiting(bench)


def test_scores_of_an_older_window_are_filled_into_the_newest_check(bench: Bench) -> None:
    bench.receive(50)
    bench.checks.step(bench.stopping, 0)
    bench.evaluator_work.step()
    bench.receive(10, first=50)
    bench.checks.step(bench.stopping, 0)
    check_result = bench.results.state.check_result
    assert check_result is not None
    assert check_result.row == 60
    assert scores(bench) == [50.0] * 4


def test_scores_against_another_reference_are_not_shown(bench: Bench) -> None:
    measure, references = bench.measurer.measure, iter(["one", "other"])

    def against(window: JudgedWindow) -> WindowMeasures:
        return replace(measure(window), reference_id=next(references))

    bench.measurer.measure = against  # type: ignore[method-assign]
    bench.receive(50)
    bench.checks.step(bench.stopping, 0)
    bench.evaluator_work.step()
    bench.receive(10, first=50)
    bench.checks.step(bench.stopping, 0)
    assert scores(bench) == [None] * 4


def test_scores_survive_a_restart(bench: Bench, tmp_path: Path) -> None:
    bench.receive(50)
    bench.run_all()
    bench.close()
    again = Bench(tmp_path)
    again.evaluator.starting = True
    assert scores(again) == [50.0] * 4
    again.close()


def test_only_the_newest_window_is_scored_and_none_while_checks_wait(bench: Bench) -> None:
    bench.receive(75)
    bench.run_all()
    assert bench.evaluator.scored == [70]


def test_scores_are_computed_every_so_often(bench: Bench) -> None:
    for first, now in ((0, 0.0), (50, 1.0), (60, 4.9), (70, 5.0), (80, 5.1), (90, 10.0)):
        bench.clock.now = now
        bench.receive(50 if first == 0 else 10, first=first)
        bench.run_all()
    assert bench.measurer.asked == [50, 60, 70, 80, 90, 100]
    assert bench.evaluator.scored == [50, 80, 100]


def test_a_window_with_an_erased_record_is_neither_scored_nor_reported_on(bench: Bench) -> None:
    bench.evaluator.starting = True
    bench.receive(50)
    bench.run_all()
    bench.inbox.store(enveloped([Erasure("r7", "shop", START)]))
    bench.evaluator_work.step()
    bench.evaluator.starting = False
    bench.evaluator_work.step()
    assert (bench.evaluator.scored, bench.evaluator.reported) == ([], [])
    with pytest.raises(ConflictError, match="No window was checked"):
        bench.report_scheduler.demand()


def test_one_that_is_lost_is_replaced_and_the_window_is_scored(bench: Bench) -> None:
    bench.evaluator.failures = FAILURES_TOLD - 1
    bench.receive(50)
    bench.run_all()
    bench.clock.now = 60
    bench.run_all()
    assert active(bench) == set()
    assert "told to" in waiting(bench)["reports"]
    for _ in range(3):
        bench.clock.now += 60
        bench.step()
    bench.run_all()
    assert bench.evaluator.scored[-1] == 50
    assert waiting(bench) == {}
    assert bench.registry.get_sample_value("monitoring_evaluator_failures_total") == FAILURES_TOLD - 1


def test_one_that_never_comes_is_told_and_no_check_fails(bench: Bench) -> None:
    bench.evaluator.starting, bench.evaluator.failures = True, 1000
    bench.receive(95)
    bench.checks.step(bench.stopping, 0)
    pauses = [bench.evaluator_work.step() for _ in range(8)]
    bench.run_all()
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, BACKOFF_S[1], BACKOFF_S[1], BACKOFF_S[1]]
    assert active(bench) == {"evaluator_failed"}
    state = bench.client.get("/api/state").get_json()
    assert (state["evaluation"]["state"], state["evaluation"]["at_row"]) == ("ok", 90)
    assert waiting(bench)["reports"].startswith("the evaluator is starting since")
    assert waiting(bench)["reports"].endswith("told to")
    bench.evaluator.starting, bench.evaluator.failures = False, 0
    assert bench.evaluator_work.step() == EVERY_S
    assert active(bench) == set()


def test_one_that_dies_of_each_window_is_told_though_it_starts_again(bench: Bench) -> None:
    bench.evaluator.failures = 1000
    bench.receive(50)
    bench.run_all()
    for _ in range(FAILURES_TOLD):
        bench.clock.now += 60
        bench.evaluator_work.step()
    assert active(bench) == {"evaluator_failed"}


def test_a_window_that_was_refused_is_not_asked_about_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refused(request: ScoreWindow) -> Any:
        asked.append(request.window.row)
        raise EvaluatorRefusedError("no reference")

    monkeypatch.setattr(bench.evaluator, "score", refused)
    bench.receive(50)
    bench.run_all()
    for _ in range(5):
        bench.clock.now += 60
        bench.step()
    assert asked == [50]


def test_what_goes_wrong_in_a_step_does_not_end_the_thread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, done = [], threading.Event()

    def step() -> float:
        steps.append(len(steps))
        if len(steps) == 1:
            raise ZeroDivisionError
        done.set()
        return 0.01

    monkeypatch.setattr(bench.evaluator_work, "step", step)
    monkeypatch.setattr("monitoring_service.lifecycle.evaluator_thread.BACKOFF_S", (0.0, 0.0))
    thread = EvaluatorThread(bench.evaluator_work)
    thread.start()
    assert done.wait(20)
    thread.stop()


def test_before_the_first_check_nothing_says_that_there_is_no_drift(bench: Bench) -> None:
    bench.receive(40)
    bench.evaluator_work.step()
    assert waiting(bench) == {"first_check": "no check was made yet: the first is made at record 50, and 40 came"}
    state = bench.client.get("/api/state").get_json()
    assert state["evaluation"] is None
    assert {one["drifted"] for one in state["columns"]} == {None}
    assert {one["active"] for one in state["conditions"] if "drift" in one["name"]} == {None}
    assert state["alerts"] == []
    metrics = bench.client.get("/metrics").get_data(as_text=True)
    samples = [line for line in metrics.splitlines() if "drift" in line and not line.startswith("#")]
    assert [line for line in samples if "episodes" not in line and "detector" not in line] == []
    bench.receive(15, first=40)
    assert waiting(bench) == {"first_check": "the first check is due, and being made"}
    bench.run_all()
    assert waiting(bench) == {}
    state = bench.client.get("/api/state").get_json()
    assert {one["active"] for one in state["conditions"]} == {False}
