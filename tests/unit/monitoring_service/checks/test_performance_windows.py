"""Performance windows: the last statement is what all events lead to, whatever order they came in."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from monitoring_world import MODEL, enveloped, label, made_case, made_record, prediction

from event_backbone.events.schema import Erasure, Event, Label, ModelRef, Prediction
from monitoring_service.checks.performance_windows import PerformanceWindow, PerformanceWindows
from monitoring_service.evaluation.measuring import NotMeasuredError
from monitoring_service.inbox.store import Inbox
from monitoring_service.messages import Labelled, MetricValue
from monitoring_service.performance.measuring import realised
from monitoring_service.performance.realised import answers_of, realised_performance

WINDOW = 100
CASE = made_case(window_rows=WINDOW, minimum_rows=100)


class Measuring:
    """Measures as the service does, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Labelled] = []
        self.during: Callable[[], object] = lambda: None
        self.broken = False

    def metric_values(self, windows: Sequence[Labelled]) -> list[dict[str, MetricValue]]:
        if self.broken:
            raise NotMeasuredError("told to")
        self.asked += windows
        self.during()
        return [realised(CASE, labelled) for labelled in windows]


class Service:
    """An inbox that can be restarted, and the windows over it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "inbox.sqlite"
        self.measurer = Measuring()
        self.now = 1000.0
        self.inbox = self._opened()

    def _opened(self) -> Inbox:
        return Inbox(self._path, CASE, clock=lambda: self.now)

    def restart(self) -> None:
        self.inbox.close()
        self.inbox = self._opened()

    def store(self, *events: Event) -> None:
        self.inbox.store(enveloped(events))

    @property
    def windows(self) -> PerformanceWindows:
        return PerformanceWindows(self.inbox, self.measurer, WINDOW, clock=lambda: self.now)  # type: ignore[arg-type]

    def settle(self) -> list[PerformanceWindow]:
        while self.windows.state(limit=3):
            pass
        return self.windows.newest(1000)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.inbox.close()


def some_events(seed: int) -> tuple[list[Prediction], list[Event]]:
    """Predictions of two versions; labels for most of them, some twice, and a few erasures."""
    rng = random.Random(seed)
    predictions = [
        prediction(f"r{number}", made_record(rng), model=MODEL if number < 280 else ModelRef("shop", "2"))
        for number in range(350)
    ]
    others: list[Event] = []
    for event in rng.sample(predictions, 300):
        others.append(label(event.record_id, rng.choice(["yes", "no"]), "2026-01-02T00:00:00Z"))
        if rng.random() < 0.2:
            others.append(label(event.record_id, rng.choice(["yes", "no"]), "2026-01-03T00:00:00Z"))
    others += [Erasure(event.record_id, "shop", "2026-01-04T00:00:00Z") for event in rng.sample(predictions, 10)]
    return predictions, others


def offline(predictions: list[Prediction], others: list[Event]) -> list[PerformanceWindow]:
    """The windows computed from all events at once."""
    erased = {event.record_id for event in others if isinstance(event, Erasure)}
    labels: dict[str, Label] = {}
    for event in others:
        if isinstance(event, Label) and event.labelled_at >= labels.get(event.record_id, event).labelled_at:
            labels[event.record_id] = event
    found = []
    for first in range(0, len(predictions), WINDOW):
        cut = [event for event in predictions[first : first + WINDOW] if event.record_id not in erased]
        for model in sorted({event.model for event in cut}, key=lambda model: (model.name, model.version)):
            rows = [event for event in cut if event.model == model]
            known = [event for event in rows if event.record_id in labels]
            answers = answers_of(
                CASE,
                [event.score for event in known],
                [event.prediction for event in known],
                [labels[event.record_id].label for event in known],
            )
            metric_values = realised_performance(CASE, answers)
            place = (first + 1, first + WINDOW, model.name, model.version)
            found.append(PerformanceWindow(*place, len(rows), len(known), metric_values))
    return found


def in_any_order(predictions: list[Prediction], others: list[Event], rng: random.Random) -> list[Event]:
    """The predictions in their order, everything else anywhere, and some of it twice."""
    events: list[Event] = list(predictions)
    for event in [*others, *rng.choices([*predictions, *others], k=60)]:
        # A prediction again is one only after it came.
        earliest = events.index(event) + 1 if isinstance(event, Prediction) else 0
        events.insert(rng.randint(earliest, len(events)), event)
    return events


@pytest.mark.parametrize("seed", range(6))
def test_the_final_metrics_are_those_of_all_events_at_once_in_whatever_order(service: Service, seed: int) -> None:
    rng = random.Random(seed)
    predictions, others = some_events(seed)
    events = in_any_order(predictions, others, rng)
    while events:
        count = rng.randint(1, 60)
        service.store(*events[:count])
        events = events[count:]
        if rng.random() < 0.3:
            service.windows.state(limit=rng.randint(1, 3))
        if rng.random() < 0.1:
            service.restart()
    assert service.settle() == offline(predictions, others)


def test_a_late_label_restates_the_window_it_belongs_to_and_no_other(service: Service) -> None:
    predictions, _ = some_events(1)
    service.store(*predictions)
    before = service.settle()
    service.measurer.asked.clear()
    service.store(label("r5"))
    after = service.settle()
    assert [window.labelled_rows for window in before] == [0] * 5
    assert [window.labelled_rows for window in after] == [1, 0, 0, 0, 0]
    assert [len(labelled.labels) for labelled in service.measurer.asked] == [1]


def test_a_label_that_comes_while_its_window_is_measured_is_not_lost(service: Service) -> None:
    predictions, _ = some_events(1)
    service.store(*predictions[:50], label("r1"))
    service.measurer.during = lambda: service.store(label("r2"))
    service.windows.state(limit=1)
    service.measurer.during = lambda: None
    assert [window.labelled_rows for window in service.settle()] == [2]


def test_a_window_waits_until_it_can_be_measured(service: Service) -> None:
    predictions, _ = some_events(1)
    service.store(*predictions[:50])
    service.measurer.broken = True
    with pytest.raises(NotMeasuredError):
        service.windows.state(limit=1)
    service.measurer.broken = False
    assert [window.rows for window in service.settle()] == [50]


def test_few_windows_are_stated_at_once_and_the_longest_waiting_first(service: Service) -> None:
    predictions, _ = some_events(1)
    service.store(*predictions)
    service.settle()
    windows = service.windows
    for number in (320, 150, 20, 151):
        service.now += 1
        service.store(label(f"r{number}"))

    def labelled() -> list[int]:
        return [window.first_row for window in windows.newest(10) if window.labelled_rows]

    windows.step()
    assert labelled() == [101, 301]
    windows.step()
    assert labelled() == [101, 301], "it is too early for the next"
    service.now += 1
    windows.step()
    assert labelled() == [1, 101, 301]


def test_a_window_whose_rows_were_forgotten_stays_as_it_was_stated(service: Service) -> None:
    predictions, _ = some_events(1)
    service.store(*predictions[:200], label("r5"), label("r105"))
    stated = service.settle()
    service.store(label("r50"))
    service.inbox.trim(first_row_needed=40, received_before=service.now + 1, limit=1000)
    assert service.settle() == stated
    service.store(label("r150"))
    assert [window.labelled_rows for window in service.settle()] == [1, 2]


def test_windows_of_another_length_are_stated_anew(service: Service, tmp_path: Path) -> None:
    predictions, _ = some_events(1)
    service.store(*predictions[:250])
    service.settle()
    service.inbox.close()
    longer = Inbox(tmp_path / "inbox.sqlite", made_case(window_rows=200))
    windows = PerformanceWindows(longer, service.measurer, 200)  # type: ignore[arg-type]
    assert windows.newest(10) == []
    assert windows.state(limit=10) == 2
    assert [(window.first_row, window.last_row, window.rows) for window in windows.newest(10)] == [
        (1, 200, 200),
        (201, 400, 50),
    ]
    longer.close()
