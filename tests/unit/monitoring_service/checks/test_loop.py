"""The check thread's work, with a measurer and an evaluator that do as they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring_bench import Bench
from monitoring_world import START, enveloped, label

from event_backbone.events.schema import Erasure
from monitoring_service.checks.loop import Checks
from monitoring_service.inbox.store import InboxUnavailableError
from monitoring_service.messages import MeasurePerformance, Performance, ReportState
from monitoring_service.state.history import decode_point


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(threading.Event, "wait", lambda _self, _timeout=None: False)
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def test_every_check_is_made_in_order_however_late(bench: Bench) -> None:
    bench.receive(95)
    bench.run_all()
    assert bench.measurer.asked == [50, 60, 70, 80, 90]
    assert bench.results.state.checked_row == 90
    assert [decode_point(point).row for point in bench.inbox.points()] == [50, 60, 70, 80, 90]


def test_a_restart_goes_on_with_the_next_check_and_keeps_the_verdict(bench: Bench, tmp_path: Path) -> None:
    bench.measurer.drifting = True
    bench.receive(60)
    bench.run_all()
    bench.receive(25, first=60)
    bench.close()
    again = Bench(tmp_path)
    again.measurer.drifting = True
    again.run_all()
    assert again.measurer.asked == [70, 80]
    confirmed = [(one.name, one.suspected_at_row, one.confirmed_at_row) for one in again.inbox.episodes(limit=10)]
    assert confirmed == [("price", 50, 70), ("items", 50, 70), ("payment", 50, 70)]
    again.close()


def test_a_window_that_can_not_be_measured_fails_its_check_and_stops_no_other(bench: Bench) -> None:
    bench.measurer.poison = {60}
    bench.receive(95)
    bench.run_all()
    assert bench.measurer.asked == [50, 60, 70, 80, 90]
    assert bench.results.state.checked_row == 90
    assert bench.results.state.failure is None
    assert bench.results.read().checks_failed == 1


def test_what_could_not_be_measured_is_said_until_a_check_is_answered(bench: Bench) -> None:
    bench.measurer.poison = {50}
    bench.receive(50)
    bench.run_all()
    assert bench.results.state.failure is not None
    assert bench.results.state.failure.reason == "told to"
    bench.receive(10, first=50)
    bench.run_all()
    assert bench.results.state.failure is None


def test_labels_that_came_are_part_of_the_question(bench: Bench) -> None:
    bench.receive(50)
    bench.inbox.store(enveloped([label("r1"), label("r2"), label("nobody's")]))
    bench.run_all()
    assert bench.measurer.labelled == [2]


def test_a_label_counts_soon_whether_or_not_its_row_was_checked(bench: Bench, tmp_path: Path) -> None:
    bench.receive(55)
    bench.run_all()
    bench.inbox.store(enveloped([label("r1"), label("r52")]))
    bench.checks.step(bench.stopping, 0)
    bench.clock.now += 0.5
    bench.checks.step(bench.stopping, 0)
    assert bench.measurer.labelled == [0], "performance is not measured more often than once a second"
    bench.clock.now += 0.5
    bench.checks.step(bench.stopping, 0)
    check_result = bench.results.state.check_result
    assert check_result is not None
    assert (check_result.performance.labelled_rows, check_result.row) == (2, 50)
    bench.close()
    again = Bench(tmp_path)
    assert again.results.state == bench.results.state
    again.inbox.store(enveloped([label("r2")]))
    again.checks.step(again.stopping, 0)
    assert again.results.state.check_result is not None
    assert again.results.state.check_result.performance.labelled_rows == 3
    again.close()


def test_a_check_that_lags_behind_a_burst_is_not_told_with_labels_of_later_rows(bench: Bench) -> None:
    bench.receive(90)
    bench.inbox.store(enveloped([label(f"r{number}") for number in range(90)]))
    for _ in range(6):
        bench.clock.now += 1
        bench.checks.step(bench.stopping, 0)
    assert bench.measurer.asked == [50, 60, 70, 80, 90]
    assert bench.measurer.labelled == [60, 70, 80, 90]


def test_performance_is_measured_again_only_when_something_changed(bench: Bench) -> None:
    bench.receive(55)
    bench.run_all()
    for events in ([], [label("r1")], [], [Erasure("r1", "shop", START)], []):
        bench.inbox.store(enveloped(events))
        bench.clock.now += 1
        bench.checks.step(bench.stopping, 0)
    assert bench.measurer.labelled == [0, 1, 0]


def test_performance_that_takes_long_is_measured_less_often(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.receive(55)
    bench.run_all()
    measure = bench.measurer.performance

    def slowly(request: MeasurePerformance) -> Performance:
        bench.clock.now += 0.5
        return measure(request)

    monkeypatch.setattr(bench.measurer, "performance", slowly)
    for number in range(30):
        bench.inbox.store(enveloped([label(f"r{number}")]))
        bench.clock.now += 1
        bench.checks.step(bench.stopping, 0)
    assert len(bench.measurer.labelled) == 1 + 3, "half a second in ten"


def test_the_window_of_the_version_is_estimated_with_what_is_known_of_its_labels(bench: Bench) -> None:
    bench.receive(55)
    bench.inbox.store(enveloped([label("r1"), label("r3")]))
    bench.run_all()
    (request,) = bench.measurer.measured
    assert (len(request.scores), len(request.predictions), request.labelled_in_window) == (55 * 8, 55 * 8, 2)
    assert request.bundle_sha256 == "b" * 64


def test_a_window_whose_rows_were_all_erased_is_passed_over(bench: Bench) -> None:
    bench.receive(50)
    bench.windows.remove(range(1, 51))
    bench.run_all()
    assert bench.measurer.asked == []
    assert bench.results.state.checked_row == 50


def test_a_report_is_made_when_rows_and_time_have_passed_and_nothing_waits(bench: Bench) -> None:
    bench.receive(70)
    bench.run_all()
    assert bench.evaluator.reported == [70], "not while windows wait"
    bench.receive(100, first=70)
    bench.run_all()
    assert bench.evaluator.reported == [70], "the last one is too young"
    bench.clock.now = 61
    bench.receive(10, first=170)
    bench.run_all()
    assert bench.evaluator.reported == [70, 180]


def test_no_report_is_made_of_a_window_from_before_an_erasure(bench: Bench) -> None:
    bench.receive(70)
    bench.run_all()
    bench.receive(100, first=70)
    bench.run_all()
    bench.inbox.store(enveloped([Erasure("r169", "shop", START)]))
    bench.clock.now = 61
    bench.step()
    assert bench.evaluator.reported == [70]
    bench.receive(10, first=170)
    bench.run_all()
    assert bench.evaluator.reported == [70, 180]


def test_a_running_report_is_looked_after_until_it_ends(bench: Bench) -> None:
    bench.receive(50)
    bench.run_all()
    assert not bench.evaluator.running
    assert bench.results.reports == ReportState(False, 1, 0)


def test_what_goes_wrong_in_a_check_does_not_end_the_thread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def between() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise ZeroDivisionError
        bench.stopping.set()

    monkeypatch.setattr("monitoring_service.checks.loop._IDLE_WAIT_S", 0)
    bench.checks.run(bench.stopping, [between])
    assert calls == [0, 1]


class Noted:
    """A task that notes its turn, and pauses or fails as told."""

    def __init__(self, name: str, turns: list[str], pause_s: float = 0.0, error: Exception | None = None) -> None:
        self._name, self._turns, self._pause_s, self._error = name, turns, pause_s, error

    def step(self, stopping: threading.Event) -> float:
        self._turns.append(self._name)
        if self._error is not None:
            raise self._error
        return self._pause_s


class NotedStop(threading.Event):
    """Notes pauses beside the turns, and makes none."""

    def __init__(self, turns: list[str]) -> None:
        super().__init__()
        self._turns = turns

    def wait(self, timeout: float | None = None) -> bool:
        self._turns.append(f"pause {timeout}")
        return self.is_set()


def test_tasks_take_turns_and_one_that_failed_makes_all_pause() -> None:
    turns: list[str] = []
    tasks = [Noted("window", turns, pause_s=2.0), Noted("rejections", turns), Noted("reports", turns)]
    checks = Checks(tasks, lambda wait_s: turns.append(f"due within {wait_s}"))
    checks.step(NotedStop(turns), 0.5)
    assert turns == ["due within 0.5", "window", "pause 2.0", "rejections", "reports"]


@pytest.mark.parametrize("error", [InboxUnavailableError("full"), ZeroDivisionError()])
def test_a_task_that_fails_is_met_again_and_what_comes_between_still_has_its_turn(error: Exception) -> None:
    turns: list[str] = []
    stopping = NotedStop(turns)
    tasks = [Noted("window", turns, error=error), Noted("rejections", turns)]
    checks = Checks(tasks, lambda _: None)

    def maintenance() -> None:
        turns.append("maintenance")
        if turns.count("maintenance") == 2:
            stopping.set()

    checks.run(stopping, [maintenance])
    assert turns == ["window", "pause 1.0", "maintenance"] * 2
