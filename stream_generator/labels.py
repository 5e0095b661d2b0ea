"""Ground truth that comes later: labels of answered records, posted in small batches after a delay."""

from __future__ import annotations

import threading
from collections import deque

import msgspec
from msgspec import Struct

from event_backbone.events import utc_now
from stream_generator.changes import Label
from stream_generator.pacing import Clock
from stream_generator.sending import NoAnswerError, Sender
from stream_generator.tally import Tally

#: Well below the services' limit for a body.
LARGEST_BATCH = 500
_LOOK_EVERY_S = 0.1


class LabelOut(Struct, frozen=True):
    """One element of the body of ``POST /labels``."""

    record_id: str
    label: str | float
    labelled_at: str


class _Accepted(Struct):
    accepted: int


_encode = msgspec.json.Encoder().encode
_decode_accepted = msgspec.json.Decoder(_Accepted).decode


class LabelQueue:
    """Labels waiting for their time, oldest first. All wait equally long, so arrival order is due order."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._waiting: deque[tuple[float, str, str | float]] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, record_id: str, label: str | float, now: float) -> None:
        with self._lock:
            self._waiting.append((now + self._delay_s, record_id, label))

    def take_due(self, now: float) -> list[LabelOut]:
        """At most a batch of those whose delay is over."""
        taken: list[LabelOut] = []
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now and len(taken) < LARGEST_BATCH:
                _, record_id, label = self._waiting.popleft()
                taken.append(LabelOut(record_id, label, utc_now()))
        return taken


class Labeller:
    """Posts labels from one thread of its own until :meth:`finish` and the queue is empty, or the run is stopped."""

    def __init__(self, queue: LabelQueue, sender: Sender, clock: Clock, tally: Tally) -> None:
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._tally = tally
        self._no_more = threading.Event()

    def answered(self, record_id: str, label: Label) -> None:
        if label is not None:
            self._queue.add(record_id, label, self._clock.now())

    def finish(self) -> None:
        """No more labels will be added."""
        self._no_more.set()

    def run(self) -> None:
        # Asked for before looking: what was added until then is seen by the look.
        while not self._clock.stopped:
            complete = self._no_more.is_set()
            self._post_due()
            if complete and not self._queue:
                return
            self._clock.wait(_LOOK_EVERY_S)

    def _post_due(self) -> None:
        while not self._clock.stopped and (batch := self._queue.take_due(self._clock.now())):
            self._post(batch)

    def _post(self, batch: list[LabelOut]) -> None:
        try:
            answer = self._sender.send("/labels", _encode(batch))
        except NoAnswerError as error:
            self._tally.labels_failed(len(batch), error.reason)
            return
        accepted = _accepted(answer.body) if answer.status == 202 else 0
        self._tally.labels_sent(min(accepted, len(batch)))
        if accepted < len(batch):
            self._tally.labels_failed(len(batch) - accepted, str(answer.status))


def _accepted(body: bytes) -> int:
    try:
        return _decode_accepted(body).accepted
    except msgspec.DecodeError:
        return 0
