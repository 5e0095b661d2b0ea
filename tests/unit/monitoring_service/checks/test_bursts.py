"""What labels say depends on the labels, not on how fast they came or on restarts in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from monitoring_bench import Bench
from monitoring_world import enveloped, label, made_profile, made_reference, predictions, with_performance

from event_backbone.events.schema import Label
from monitoring_service.messages import MeasurePerformance, Performance
from monitoring_service.performance.measuring import measure_performance

ROWS = 150
LOSSES = {"concept_drift", "realised_loss"}


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench that measures performance as the service does."""
    bench, reference = Bench(folder), made_reference()
    profile = with_performance(bench.case, made_profile(bench.case, reference), reference)

    def measured(request: MeasurePerformance) -> Performance:
        return measure_performance(bench.case, profile, request)

    monkeypatch.setattr(bench.measurer, "performance", measured)
    return bench


def look(bench: Bench) -> None:
    bench.clock.now += 1000
    bench.checks.step(bench.stopping, 0)


def wrong_labels(first: int, last: int) -> list[Label]:
    """Each says the opposite of its prediction."""
    answers = [event.prediction for event in predictions(last)]
    return [label(f"r{number}", "no" if answers[number] == "yes" else "yes") for number in range(first, last)]


def held(bench: Bench) -> set[str]:
    return LOSSES & {one.name for one in bench.snapshots.conditions() if one.active}


def test_a_burst_of_bad_labels_followed_by_silence_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = opened(tmp_path, monkeypatch)
    bench.receive(ROWS)
    bench.run_all()
    bench.inbox.store(enveloped(wrong_labels(0, ROWS)))
    look(bench)
    assert held(bench) == LOSSES
    bench.close()


def test_too_few_bad_labels_stay_too_few_however_often_they_are_looked_at_and_after_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = opened(tmp_path, monkeypatch)
    bench.receive(ROWS)
    bench.run_all()
    for number, event in enumerate(wrong_labels(0, 69)):  # with the newest 20 left out fewer than the 50 that it takes
        bench.inbox.store(enveloped([event]))
        look(bench)
        if number % 20 == 0:
            bench.close()
            bench = opened(tmp_path, monkeypatch)
        assert held(bench) == set()
    bench.inbox.store(enveloped(wrong_labels(69, 70)))
    look(bench)
    assert held(bench) == LOSSES
    bench.close()
    bench = opened(tmp_path, monkeypatch)
    look(bench)
    assert held(bench) == LOSSES
    bench.close()
