"""Status of reading from Kafka: written by the reading thread, read by others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from event_backbone.events.schema import utc_now
from event_backbone.kafka.lag import StandstillClock
from event_backbone.ports import Lag, Partition, Received

#: The topics of a case that monitoring reads, by the last part of their names.
TOPIC_KINDS = ("predictions", "labels", "rejections")


@dataclass(frozen=True, slots=True)
class StreamView:
    """A snapshot: ``lags`` by kind of topic, the sum of messages and the longest time; none while they are not known.

    ``messages`` and ``read_errors`` count since the process started. ``fault`` says what is wrong since ``away_since``.
    ``standstill`` has the seconds of each kind's longest standstill.
    """

    lags: Mapping[str, Lag]
    messages: Mapping[str, int]
    read_errors: int
    fault: str | None
    away_since: str | None
    standstill: Mapping[str, float] = field(default_factory=dict)


class StreamStatus:
    """Status of the Kafka reader: lags, messages, read errors and since when it is away. Thread-safe."""

    def __init__(self, now: Callable[[], str] = utc_now, standstill: StandstillClock | None = None) -> None:
        self._standstill = standstill or StandstillClock(TOPIC_KINDS)
        self._lock = threading.Lock()
        self._now = now
        self._lags: dict[str, Lag] = {}
        self._messages = Counter(dict.fromkeys(TOPIC_KINDS, 0))
        self._read_errors = 0
        self._fault: str | None = None
        self._away_since: str | None = None
        self._is_away = self._waits_for_checks = False

    def view(self) -> StreamView:
        with self._lock:
            return StreamView(
                dict(self._lags),
                dict(self._messages),
                self._read_errors,
                self._fault,
                self._away_since,
                self._standstill.by_topic(),
            )

    @property
    def standstill(self) -> str | None:
        """What has stood still for too long; that no broker answers, or that checks are behind, is told elsewhere."""
        with self._lock:
            fault, reason = self._standstill.fault(), self._fault
            if fault is None or self._is_away or self._waits_for_checks:
                return None
            return f"{fault}: {reason}" if reason else fault

    def note_read(self, messages: Iterable[Received]) -> None:
        with self._lock:
            self._messages.update(_kind(message.partition) for message in messages)
            self._recover()

    def note_lags(self, lags: Mapping[Partition, Lag]) -> None:
        """By kind of topic; of one where the reader does not know yet where it begins nothing is told, not 0."""
        unknown = {_kind(partition) for partition, lag in lags.items() if lag.next_offset is None}
        by_kind: dict[str, Lag] = {}
        for partition, lag in lags.items():
            kind = _kind(partition)
            if kind not in unknown:
                known = by_kind.get(kind, Lag(0, 0.0))
                by_kind[kind] = Lag(known.records + lag.records, max(known.seconds, lag.seconds))
        with self._lock:
            self._lags = by_kind

    def note_places(self, lags: Mapping[Partition, Lag]) -> None:
        """Where the reader goes on; not for one that holds what it could not keep."""
        self._standstill.look({Partition(_kind(partition), partition.number): lag for partition, lag in lags.items()})

    def note_well(self) -> None:
        """Reading goes well: a broker answered, and nothing failed."""
        with self._lock:
            self._recover()

    def note_backlog(self, waits: bool) -> None:
        """Whether nothing is read because checks are behind."""
        with self._lock:
            self._waits_for_checks = waits

    def note_error(self, fault: str, *, is_away: bool = False) -> bool:
        """Whether this is the first error since reading went well. Of a broker that is away no lags are known."""
        with self._lock:
            is_first = self._away_since is None
            if is_away:
                self._lags = {}
            self._read_errors += 1
            self._fault, self._is_away = fault, is_away
            self._away_since = self._away_since or self._now()
            return is_first

    def _recover(self) -> None:
        self._fault = self._away_since = None
        self._is_away = False


def _kind(partition: Partition) -> str:
    return partition.topic.rpartition(".")[2]
