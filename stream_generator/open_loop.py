"""Sends a planned stream on its schedule, with a bounded number of requests in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import msgspec
from msgspec import Struct

from stream_generator.labels import Labeller
from stream_generator.pacing import Clock
from stream_generator.planning import Outgoing, SharedIterator
from stream_generator.sending import Answer, NoAnswerError, Sender
from stream_generator.tally import Tally

SHOW_EVERY_S = 0.25


class _Answered(Struct):
    record_id: str


_decode_answered = msgspec.json.Decoder(_Answered).decode


class Worker:
    """One connection's share of a run: takes the next item, waits until it is due, sends it, counts the outcome."""

    def __init__(self, sender: Sender, clock: Clock, tally: Tally, labeller: Labeller) -> None:
        self._sender = sender
        self._clock = clock
        self._tally = tally
        self._labeller = labeller

    def run(self, items: Iterator[Outgoing], started_at: float) -> None:
        """Until there are no more items or the run is stopped."""
        try:
            for item in items:
                due_at = self._clock.now() if item.due_s is None else started_at + item.due_s
                if self._clock.wait(due_at - self._clock.now()):
                    return
                self._handle(item, due_at)
        finally:
            self._sender.close()

    def _handle(self, item: Outgoing, due_at: float) -> None:
        fault = self._fault_in_sending(item)
        if fault is not None:
            self._tally.failed(fault)
            return
        self._tally.answered(self._clock.now() - due_at)
        self._labeller.answered(item.record_id, item.label)

    def _fault_in_sending(self, item: Outgoing) -> str | None:
        try:
            answer = self._sender.send("/predict", item.body)
        except NoAnswerError as error:
            return error.reason
        if answer.status != 200:
            return str(answer.status)
        return None if _answers(answer, item.record_id) else "other answer"


def _answers(answer: Answer, record_id: str) -> bool:
    """Whether this is the answer to that record; a 200 for another one is no prediction for ours."""
    try:
        return _decode_answered(answer.body).record_id == record_id
    except msgspec.DecodeError:
        return False


class OpenLoop:
    """Runs workers and the labeller in threads; the calling thread shows progress.

    Items are taken, and at most ``len(workers)`` of them sent at a time, in their order.
    """

    def __init__(self, workers: list[Worker], labeller: Labeller, clock: Clock) -> None:
        self._workers = workers
        self._labeller = labeller
        self._clock = clock

    def run(self, items: Iterator[Outgoing], show: Callable[[], None]) -> float:
        """Return when every record and label has an outcome, or soon after the run was stopped.

        Returns: seconds from the start to the last record's outcome; waiting for delayed labels is not sending.
        """
        shared, started_at = SharedIterator(items), self._clock.now()
        with ThreadPoolExecutor(len(self._workers) + 1, thread_name_prefix="send") as pool:
            labelling = pool.submit(self._labeller.run)
            sending = [pool.submit(worker.run, shared, started_at) for worker in self._workers]
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
