"""Delayed labels."""

from __future__ import annotations

import pytest
from generator_world import FakeClock, FakeServer

from event_backbone.events.schema import parse_utc
from stream_generator.scenario.changes import Label
from stream_generator.sending.labels import LARGEST_BATCH, Labeller, LabelQueue
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.resuming import NoMarks
from stream_generator.sending.retrying import NoAnswerError, Patience, Sender, ServiceAnswer
from stream_generator.sending.tally import Tally
from stream_generator.sending.targets import HttpTarget


class Setup:
    def __init__(self, delay_s: float = 3.0, script: list[ServiceAnswer | NoAnswerError] | None = None) -> None:
        self.clock, self.server, self.tally = FakeClock(), FakeServer(script), Tally()
        target = HttpTarget(Sender(self.server, self.clock, Patience(total_s=1.0)))
        self.labeller = Labeller(LabelQueue(delay_s), target, self.clock, self.tally, NoMarks())

    def answered(self, record_id: str, label: Label, labelled_at: str | None = None) -> None:
        self.labeller.answered(Outgoing(record_id, b"{}", None, label, labelled_at))

    def run(self) -> list[list[dict[str, str]]]:
        self.labeller.finish()
        self.labeller.run()
        return self.server.sent_to("/labels")


def test_a_label_is_posted_after_its_delay() -> None:
    setup = Setup(delay_s=3.0)
    setup.answered("r-0", "yes")
    ((label,),) = setup.run()
    assert setup.clock.now() - 1000.0 == pytest.approx(3.0, abs=0.2)
    assert (label["record_id"], label["label"]) == ("r-0", "yes")
    assert parse_utc(label["labelled_at"])
    assert setup.tally.totals().labels_sent == 1


def test_a_label_keeps_the_time_that_was_recorded() -> None:
    setup = Setup()
    setup.answered("r-0", "yes", "2026-01-31T08:00:00Z")
    ((label,),) = setup.run()
    assert label["labelled_at"] == "2026-01-31T08:00:00Z"


def test_all_labels_are_flushed_before_the_end() -> None:
    setup = Setup(delay_s=0.0)
    for index in range(LARGEST_BATCH + 1):
        setup.answered(f"r-{index}", 1.5)
    assert [len(batch) for batch in setup.run()] == [LARGEST_BATCH, 1]


def test_a_record_without_a_label_gets_none() -> None:
    setup = Setup()
    setup.answered("r-0", None)
    assert setup.run() == []


def test_trouble_is_met_with_the_same_batch_again() -> None:
    setup = Setup(script=[NoAnswerError("connection"), ServiceAnswer(503, b"")])
    setup.answered("r-0", 2.0)
    first, second, third = setup.run()
    assert first == second == third
    assert setup.tally.totals().labels_sent == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ServiceAnswer(422, b"{}"), "labels 422"),
        (ServiceAnswer(202, b'{"accepted": 0}'), "labels 202"),
        (ServiceAnswer(202, b"<html>"), "labels 202"),
        (ServiceAnswer(503, b"", retry_after_s=9.0), "labels 503"),
    ],
)
def test_labels_that_were_not_taken_are_counted_with_the_status(answer: ServiceAnswer, reason: str) -> None:
    setup = Setup(script=[answer])
    setup.answered("r-0", "yes")
    setup.run()
    totals = setup.tally.totals()
    assert (totals.labels_sent, totals.labels_failed, totals.faults) == (0, 1, {reason: 1})
    assert not totals.all_well


def test_a_stopped_run_does_not_wait_for_delays() -> None:
    setup = Setup(delay_s=3600.0)
    setup.answered("r-0", "yes")
    setup.clock.stop()
    assert setup.run() == []
