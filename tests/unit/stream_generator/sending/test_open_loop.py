"""Sending on a schedule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from generator_world import FakeClock, FakeServer

from stream_generator.sending.labels import Labeller, LabelQueue
from stream_generator.sending.open_loop import OpenLoop, SendingThread
from stream_generator.sending.planning import Outgoing, request_body
from stream_generator.sending.resuming import NoMarks
from stream_generator.sending.retrying import NoAnswerError, Patience, Sender, ServiceAnswer
from stream_generator.sending.schedule import Schedule
from stream_generator.sending.tally import RunTotals, Tally
from stream_generator.sending.targets import HttpTarget


class Setup:
    """One connection. Labels have a clock of their own unless told, so that their waits move no record."""

    def __init__(
        self, script: list[ServiceAnswer | NoAnswerError] | None = None, *, label_clock: FakeClock | None = None
    ) -> None:
        self.clock, self.server, self.tally = label_clock or FakeClock(), FakeServer(script), Tally()
        label_clock = label_clock or FakeClock()
        label_target = HttpTarget(Sender(FakeServer(), label_clock, Patience()))
        self.labeller = Labeller(LabelQueue(0.0), label_target, label_clock, self.tally, NoMarks())
        target = HttpTarget(Sender(self.server, self.clock, Patience(total_s=1.0)))
        self.worker = SendingThread(target, self.clock, self.tally, self.labeller, NoMarks())

    def run(self, items: Iterator[Outgoing]) -> RunTotals:
        self.worker.run(Schedule(items, self.clock, NoMarks()))
        self.labeller.finish()
        self.labeller.run()
        return self.tally.totals()


def _items(number: int, gap_s: float | None = 0.5, label: str | None = "yes") -> Iterator[Outgoing]:
    for index in range(number):
        record_id = f"r-{index}"
        yield Outgoing(
            record_id, request_body(record_id, {"x": index}), None if gap_s is None else index * gap_s, label
        )


def test_records_are_sent_in_order_when_they_are_due() -> None:
    setup = Setup()
    setup.run(_items(4))
    assert setup.server.sent_to("/predict") == [{"x": index, "record_id": f"r-{index}"} for index in range(4)]
    assert setup.clock.waits == [0.5, 0.5, 0.5]


def test_a_slow_answer_does_not_move_the_schedule() -> None:
    setup = Setup()
    slow = iter([1.2, 0.0, 0.0, 0.0, 0.0])
    setup.server.before_answer = lambda: setattr(setup.clock, "time", setup.clock.time + next(slow))
    setup.run(_items(5))
    assert setup.clock.now() - 1000.0 == pytest.approx(2.0)


def test_latency_counts_from_when_a_record_was_due() -> None:
    setup = Setup()
    setup.server.before_answer = lambda: setattr(setup.clock, "time", setup.clock.time + 1.0)
    totals = setup.run(_items(3))
    # Due at 0, 0.5 and 1; answered at 1, 2 and 3.
    assert totals.p50_s == pytest.approx(1.5, rel=0.01)
    assert totals.p99_s == pytest.approx(2.0, rel=0.01)


def test_without_a_schedule_latency_counts_from_the_sending() -> None:
    setup = Setup()
    setup.server.before_answer = lambda: setattr(setup.clock, "time", setup.clock.time + 1.0)
    assert setup.run(_items(3, gap_s=None)).p99_s == pytest.approx(1.0, rel=0.01)


def test_failures_are_counted_by_status_and_reason_and_get_no_label() -> None:
    script: list[ServiceAnswer | NoAnswerError] = [
        ServiceAnswer(422, b""),
        ServiceAnswer(409, b""),
        ServiceAnswer(200, b'{"record_id": "other"}'),
    ]
    setup = Setup([*script, *[NoAnswerError("timeout", retry_after_s=5)]])
    totals = setup.run(_items(6))
    assert totals.faults == {"422": 1, "409": 1, "other answer": 1, "timeout": 1}
    assert (totals.sent, totals.answered, totals.failed, totals.labels_sent) == (6, 2, 4, 2)


def test_an_answer_that_is_no_json_is_no_answer() -> None:
    assert Setup([ServiceAnswer(200, b"<html>")]).run(_items(1)).faults == {"other answer": 1}


def test_a_stopped_run_sends_nothing_more() -> None:
    setup = Setup()
    setup.server.before_answer = setup.clock.stop
    totals = setup.run(_items(100))
    assert totals.sent == 1


def test_several_connections_send_everything_once_and_close() -> None:
    setups = [Setup() for _ in range(4)]
    loop = OpenLoop([setup.worker for setup in setups], setups[0].labeller, setups[0].clock, NoMarks())
    loop.run(_items(500, gap_s=None), lambda: None)
    sent = [content["record_id"] for setup in setups for content in setup.server.sent_to("/predict")]
    assert sorted(sent) == sorted(f"r-{index}" for index in range(500))
    assert [setup.server.closed for setup in setups] == [1, 1, 1, 1]


def test_a_broken_stream_ends_the_run_with_its_error() -> None:
    def broken() -> Iterator[Outgoing]:
        yield from _items(3, gap_s=None)
        raise ValueError("line 4")

    setup = Setup(label_clock=FakeClock())
    with pytest.raises(ValueError, match="line 4"):
        OpenLoop([setup.worker], setup.labeller, setup.clock, NoMarks()).run(broken(), lambda: None)
