"""Delayed labels of answered records, sent in small batches."""

from __future__ import annotations

import threading
from collections import Counter, deque

from msgspec import Struct

from event_backbone.events.schema import utc_now
from stream_generator.sending.pacing import Clock
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.resuming import Marks
from stream_generator.sending.tally import Tally
from stream_generator.sending.targets import LabelOut, StreamTarget

#: Well below the services' limit for a body.
LARGEST_BATCH = 500
_LOOK_EVERY_S = 0.1


class _Waiting(Struct, frozen=True):
    due_at: float
    index: int
    record_id: str
    label: str | float
    labelled_at: str | None

    def out(self) -> LabelOut:
        return LabelOut(self.record_id, self.label, self.labelled_at or utc_now())


class LabelQueue:
    """Labels waiting for their time, oldest first. All wait equally long, so arrival order is due order."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Outgoing, label: str | float, now: float) -> None:
        with self._lock:
            self._waiting.append(_Waiting(now + self._delay_s, item.index, item.record_id, label, item.labelled_at))

    def take_due(self, now: float) -> list[_Waiting]:
        """At most a batch of those whose delay is over."""
        taken: list[_Waiting] = []
        with self._lock:
            while self._waiting and self._waiting[0].due_at <= now and len(taken) < LARGEST_BATCH:
                taken.append(self._waiting.popleft())
        return taken


class Labeller:
    """Sends labels from one thread of its own until :meth:`finish` and the queue is empty, or the run is stopped."""

    def __init__(self, queue: LabelQueue, target: StreamTarget, clock: Clock, tally: Tally, marks: Marks) -> None:
        self._queue = queue
        self._target = target
        self._clock = clock
        self._tally = tally
        self._marks = marks
        self._no_more = threading.Event()

    def answered(self, item: Outgoing) -> None:
        """Queue the label of an item whose record was taken."""
        if item.label is None:
            self._marks.settled(item.index)
        else:
            self._queue.add(item, item.label, self._clock.now())

    def finish(self) -> None:
        """No more labels will be added."""
        self._no_more.set()

    def run(self) -> None:
        try:
            self._send_all()
        finally:
            self._target.close()

    def _send_all(self) -> None:
        # Asked for before looking: what was added until then is seen by the look.
        while not self._clock.stopped:
            complete = self._no_more.is_set()
            self._send_due()
            if complete and not self._queue:
                return
            self._clock.wait(_LOOK_EVERY_S)

    def _send_due(self) -> None:
        while not self._clock.stopped and (batch := self._queue.take_due(self._clock.now())):
            self._send(batch)

    def _send(self, batch: list[_Waiting]) -> None:
        outcomes = self._target.send_labels([waiting.out() for waiting in batch])
        faults = Counter(sent.fault for sent in outcomes if sent.fault is not None)
        self._tally.labels_sent(len(batch) - faults.total())
        for fault, number in faults.items():
            self._tally.labels_failed(number, fault)
        for waiting, sent in zip(batch, outcomes, strict=True):
            (self._marks.settled if sent.is_final else self._marks.lost)(waiting.index)
