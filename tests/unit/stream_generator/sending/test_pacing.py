"""The schedule of an open loop."""

from __future__ import annotations

import threading

import pytest

from stream_generator.sending.pacing import EvenPace, RecordedPace, StoppableClock


def test_due_times_do_not_drift_over_a_million_records() -> None:
    assert EvenPace(300).due_s(3_000_000) == pytest.approx(10_000, abs=1e-9)


def test_without_a_rate_a_record_is_due_at_once() -> None:
    assert EvenPace(None).due_s(5) is None


def test_recorded_gaps_are_kept_and_scaled() -> None:
    pace = RecordedPace(10)
    assert [pace.due_s(at) for at in (50.0, 51.0, 70.0)] == [0.0, 0.1, 2.0]


def test_a_recording_whose_clock_went_back_is_never_due_before_the_start() -> None:
    pace = RecordedPace(1)
    assert [pace.due_s(at) for at in (50.0, 40.0)] == [0.0, 0.0]


def test_stopping_ends_a_wait_at_once() -> None:
    clock = StoppableClock()
    waiting = threading.Thread(target=clock.wait, args=(3600,))
    waiting.start()
    clock.stop()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert clock.stopped
