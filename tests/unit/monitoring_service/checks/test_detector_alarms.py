"""A fault in a stream detector costs its own verdict and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring_bench import Bench
from structlog.testing import capture_logs

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import ModelRef
from monitoring_service.checks.detector_alarms import DetectorRunner, DetectorWatch, ReferenceKey
from monitoring_service.drift.detectors import generation_start
from monitoring_service.inbox.store import InboxUnavailableError

STEP = 10
COMPARED = ReferenceKey(ModelRef("m", "1"), "b" * 64, None)


class Detectors:
    """In place of the real ones; ``error`` is what they raise."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[int] = []

    def at(self, row: int, compared: ReferenceKey) -> frozenset[str]:
        self.asked.append(row)
        if self.error is not None:
            raise self.error
        return frozenset({"price"})


@pytest.fixture
def detectors(monkeypatch: pytest.MonkeyPatch) -> Detectors:
    made = Detectors()
    monkeypatch.setattr(DetectorRunner, "at", lambda _self, row, compared: made.at(row, compared))
    return made


@pytest.fixture
def bench(tmp_path: Path, detectors: Detectors) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def active(bench: Bench) -> set[str]:
    return {one.name for one in bench.snapshots.conditions() if one.active}


def test_windows_are_judged_when_detectors_fail_and_people_are_told(bench: Bench, detectors: Detectors) -> None:
    detectors.error = ZeroDivisionError("a fault of ours")
    bench.measurer.drifting = True
    bench.receive(70)
    with capture_logs() as logs:
        bench.run_all()
    assert bench.measurer.asked == [50, 60, 70]
    assert active(bench) == {"drift", "detectors_failed"}
    assert [one["event"] for one in logs].count("detectors_failed") == 1
    assert detectors.asked == [50], "what failed is left alone"


def test_a_restart_keeps_since_when_they_fail(bench: Bench, detectors: Detectors, tmp_path: Path) -> None:
    detectors.error = ZeroDivisionError("a fault of ours")
    bench.receive(60)
    bench.run_all()
    since = bench.results.state.detectors_failed_since
    again = Bench(tmp_path)
    again.receive(10, first=60)
    again.run_all()
    assert again.results.state.detectors_failed_since == since is not None
    again.close()


def test_it_ends_when_they_answer_again(bench: Bench, detectors: Detectors, tmp_path: Path) -> None:
    detectors.error = ZeroDivisionError("a fault of ours")
    bench.receive(50)
    bench.run_all()
    detectors.error = None
    mended = Bench(tmp_path)
    mended.receive(10, first=50)
    mended.run_all()
    assert active(mended) == {"drift"}
    mended.close()


def watch() -> DetectorWatch:
    return DetectorWatch(DetectorRunner.__new__(DetectorRunner), STEP)


def test_they_begin_anew_with_the_next_generation_and_so_does_asking_them(detectors: Detectors) -> None:
    watched, row, next_row = watch(), 50, 50
    while generation_start(next_row, STEP) == generation_start(row, STEP):
        next_row += STEP
    detectors.error = ZeroDivisionError("a fault of ours")
    assert watched.at(row, COMPARED) is None
    detectors.error = None
    assert watched.at(next_row - STEP, COMPARED) is None
    assert watched.at(next_row, COMPARED) == {"price"}


def test_an_inbox_that_is_away_is_no_fault_of_theirs(detectors: Detectors) -> None:
    watched = watch()
    detectors.error = InboxUnavailableError("the inbox is busy")
    with pytest.raises(TryAgainLaterError):
        watched.at(50, COMPARED)
    detectors.error = None
    assert watched.at(50, COMPARED) == {"price"}
