"""A retraining's rows: the newest that have a label, of the world after an alert if there are enough of them."""

from __future__ import annotations

import pytest
from monitoring_world import label, made_case, prediction

from event_backbone.events.schema import Event, time_text
from event_backbone.in_memory.log import MemoryLog
from training.data.rows import LabelledRows
from training.server.newest_records import IDLE_S, LOOK_EVERY_S, NewestRecords

NOW = 1_800_000_000.0


def labelled(number: int, at: float) -> list[Event]:
    record = {"price": float(number), "items": number, "payment": None}
    return [
        prediction(f"r{number}", record, predicted_at=time_text(at)),
        label(f"r{number}", labelled_at=time_text(at)),
    ]


class Looking:
    """A log, and a clock that moves while somebody sleeps; ``coming`` is called with every sleep."""

    def __init__(self, rows: int) -> None:
        self.now = NOW
        self.log = MemoryLog()
        self.said: list[str] = []
        self.rate_per_look = 0
        self.found = LabelledRows([], [])
        self._next = 10_000
        self.newest = NewestRecords(made_case(), self.log, rows, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(self.rate_per_look):
            self.log.keep(labelled(self._next, self.now - 0.5))
            self._next += 1

    def wait(self, since: float, longest_s: float = 1000.0) -> float:
        """How long it waits."""
        started_at = self.now
        self.found = self.newest.after(since, longest_s=longest_s, progress=self.said.append)
        return self.now - started_at


def numbers(rows: LabelledRows) -> list[int]:
    return [record["items"] for record in rows.records]


@pytest.mark.parametrize("apart_s", [0.01, 10.0, 86400.0])
def test_the_newest_rows_are_read_oldest_first_however_old_they_are(apart_s: float) -> None:
    looking = Looking(rows=5)
    for number in range(20):
        looking.log.keep(labelled(number, NOW - (20 - number) * apart_s))
    assert numbers(looking.newest.read()) == [15, 16, 17, 18, 19]


def test_rows_without_a_label_do_not_count() -> None:
    looking = Looking(rows=5)
    for number in range(20):
        found = labelled(number, NOW - (20 - number) * 10)
        looking.log.keep(found if number % 3 == 0 else found[:1])
    assert numbers(looking.newest.read()) == [6, 9, 12, 15, 18]


def test_where_there_are_fewer_all_are_read() -> None:
    looking = Looking(rows=5)
    looking.log.keep(labelled(1, NOW - 1e9))
    assert numbers(looking.newest.read()) == [1]


def test_a_run_waits_for_records_of_the_world_after_the_alert() -> None:
    looking = Looking(rows=50)
    for number in range(100):
        looking.log.keep(labelled(number, NOW - 3600 + number))
    looking.rate_per_look = 10
    assert looking.wait(since=NOW - 60) == 5 * LOOK_EVERY_S
    assert looking.said[0] == "collecting: 0 of 50 records since the alert began"
    assert (len(looking.found), min(numbers(looking.found))) == (50, 10_000)


def test_it_does_not_wait_when_they_are_there() -> None:
    looking = Looking(rows=50)
    for number in range(50):
        looking.log.keep(labelled(number, NOW - 50 + number))
    assert looking.wait(since=NOW - 60) == 0


def test_it_waits_no_longer_once_none_has_come_for_a_while() -> None:
    assert Looking(rows=50).wait(since=NOW - 60) == IDLE_S


@pytest.mark.parametrize(("after", "oldest"), [(10, 100), (9, 59)])
def test_a_few_records_of_the_world_after_the_alert_are_better_than_a_mixture(after: int, oldest: int) -> None:
    looking = Looking(rows=50)
    for number in range(100):
        looking.log.keep(labelled(number, NOW - 3600 + number))
    for number in range(100, 100 + after):
        looking.log.keep(labelled(number, NOW - 30))
    looking.wait(since=NOW - 60)
    assert numbers(looking.found)[0] == oldest


def test_it_waits_for_labels_too() -> None:
    looking = Looking(rows=50)
    for number in range(60):
        made = labelled(number, NOW - 50)
        looking.log.keep(made if number < 20 else made[:1])
    looking.rate_per_look = 10
    assert looking.wait(since=NOW - 60) == 3 * LOOK_EVERY_S


def test_it_waits_no_longer_than_it_may() -> None:
    looking = Looking(rows=1000)
    looking.rate_per_look = 1
    assert looking.wait(since=NOW - 60, longest_s=100) == 100
