"""The open loop: sends a planned stream on its schedule, with a bounded number of requests in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from stream_generator.sending.labels import Labeller
from stream_generator.sending.pacing import Clock
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.resuming import Marks
from stream_generator.sending.schedule import Due, Schedule
from stream_generator.sending.tally import Tally
from stream_generator.sending.targets import SendResult, StreamTarget

SHOW_EVERY_S = 0.25


class SendingThread:
    """One connection's share of a run: takes what is due, sends it, counts the outcome."""

    def __init__(self, target: StreamTarget, clock: Clock, tally: Tally, labeller: Labeller, marks: Marks) -> None:
        self._target = target
        self._clock = clock
        self._tally = tally
        self._labeller = labeller
        self._marks = marks

    def open(self) -> None:
        """Connect before the stream's time begins."""
        self._target.open()

    def run(self, schedule: Schedule) -> None:
        """Until there are no more items or the run is stopped."""
        try:
            while batch := schedule.take(self._target.most_at_once):
                self._handle(batch)
                schedule.landed(batch)
        finally:
            self._target.close()

    def _handle(self, batch: list[Due]) -> None:
        records = [due for due in batch if due.item.body is not None]
        outcomes = self._target.send_records([due.item for due in records])
        for due, sent in zip(records, outcomes, strict=True):
            self._count(due, sent)
        for due in batch:
            if due.item.body is None:
                self._labeller.answered(due.item)

    def _count(self, due: Due, sent: SendResult) -> None:
        if sent.fault is None:
            self._tally.answered(self._clock.now() - due.at)
            self._labeller.answered(due.item)
            return
        self._tally.failed(sent.fault)
        (self._marks.settled if sent.is_final else self._marks.lost)(due.item.index)


class OpenLoop:
    """Runs workers and the labeller in threads; the calling thread shows progress.

    Items are sent in their order, at most as many at a time as the workers' targets take together.
    """

    def __init__(self, workers: list[SendingThread], labeller: Labeller, clock: Clock, marks: Marks) -> None:
        self._workers = workers
        self._labeller = labeller
        self._clock = clock
        self._marks = marks

    def run(self, items: Iterator[Outgoing], show: Callable[[], None]) -> float:
        """Return when every record and label has an outcome, or soon after the run was stopped.

        Returns: seconds from the start to the last record's outcome; waiting for delayed labels is not sending.
        """
        for worker in self._workers:
            worker.open()
        started_at, schedule = self._clock.now(), Schedule(items, self._clock, self._marks)
        with ThreadPoolExecutor(len(self._workers) + 1, thread_name_prefix="send") as pool:
            labelling = pool.submit(self._labeller.run)
            sending = [pool.submit(worker.run, schedule) for worker in self._workers]
            try:
                _show_until_done(sending, show)
                sending_s = self._clock.now() - started_at
                self._labeller.finish()
                _show_until_done([labelling], show)
            except BaseException:
                # One thread's fault must not leave the others sending without end.
                self._clock.stop()
                raise
        return sending_s


def _show_until_done(futures: list[Future[None]], show: Callable[[], None]) -> None:
    """Raise what a thread raised."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=SHOW_EVERY_S)
        show()
        for future in done:
            future.result()
