"""Status of reading from Kafka: written by the reading thread, read by others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from event_backbone.events.schema import utc_now
from event_backbone.ports import Lag, Partition, Received

#: The topics of a case that monitoring reads, by the last part of their names.
TOPIC_KINDS = ("predictions", "labels", "rejections")


@dataclass(frozen=True, slots=True)
class StreamView:
    """A snapshot: ``lags`` by kind of topic, the sum of messages and the longest time; none while they are not known.

    ``messages`` and ``read_errors`` count since the process started. ``fault`` says what is wrong since ``away_since``.
    """

    lags: Mapping[str, Lag]
    messages: Mapping[str, int]
    read_errors: int
    fault: str | None
    away_since: str | None


class StreamStatus:
    """Status of the Kafka reader: lags, messages, read errors and since when it is away. Thread-safe."""

    def __init__(self, now: Callable[[], str] = utc_now) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._lags: dict[str, Lag] = {}
        self._messages = Counter(dict.fromkeys(TOPIC_KINDS, 0))
        self._read_errors = 0
        self._fault: str | None = None
        self._away_since: str | None = None

    def view(self) -> StreamView:
        with self._lock:
            return StreamView(dict(self._lags), dict(self._messages), self._read_errors, self._fault, self._away_since)

    def note_read(self, messages: Iterable[Received]) -> None:
        with self._lock:
            self._messages.update(_kind(message.partition) for message in messages)
            self._fault = self._away_since = None

    def note_lags(self, lags: Mapping[Partition, Lag]) -> None:
        with self._lock:
            self._lags = {}
            for partition, lag in lags.items():
                known = self._lags.get(_kind(partition), Lag(0, 0.0))
                self._lags[_kind(partition)] = Lag(known.records + lag.records, max(known.seconds, lag.seconds))
            self._fault = self._away_since = None

    def note_error(self, fault: str) -> bool:
        """Whether this is the first error since reading went well. Lags are not known any more."""
        with self._lock:
            is_first = self._away_since is None
            self._lags = {}
            self._read_errors += 1
            self._fault = fault
            self._away_since = self._away_since or self._now()
            return is_first


def _kind(partition: Partition) -> str:
    return partition.topic.rpartition(".")[2]
