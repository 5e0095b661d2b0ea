"""How late a reader is: the age of the oldest unread message, and how long a partition has stood still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from event_backbone.ports import Lag, Partition

#: A reader that works moves on within this; longer is a fault of it.
STANDS_STILL_AFTER_S = 10.0


class LagClock:
    """Upper bound of the age of the oldest unread message.

    It came after the last one that was got, and after the last time that none was missing. What Kafka holds ahead of
    us can't be looked at, so the later of the two is taken.
    """

    def __init__(self) -> None:
        self._since = time.time()
        self._got_any = False

    def got(self, timestamp_ms: int) -> None:
        """A time before 1970, or ahead, is none at which a message can have come: it says nothing."""
        sent_at, now = timestamp_ms / 1000, time.time()
        if not 0 <= sent_at <= now:
            sent_at = self._since if self._got_any else now
        self._since = max(self._since, sent_at) if self._got_any else sent_at
        self._got_any = True

    def lag(self, records: int, next_offset: int) -> Lag:
        now = time.time()
        if records == 0:
            self._since, self._got_any = now, True
            return Lag(0, 0.0, next_offset)
        return Lag(records, max(0.0, now - self._since), next_offset)


@dataclass(frozen=True, slots=True)
class Standstill:
    """A partition that has not moved on for ``seconds``; ``next_offset`` is where it stands, if that is known."""

    partition: Partition
    next_offset: int | None
    seconds: float

    def __str__(self) -> str:
        at = "an unknown offset" if self.next_offset is None else f"offset {self.next_offset}"
        place = f"partition {self.partition.number} of {self.partition.topic}"
        return f"{place} has not moved on from {at} for {self.seconds:.0f} s"


class StandstillClock:
    """How long partitions have not moved on, whatever the reason; thread-safe.

    A partition moves on when its next offset changes, and does not stand while nothing in it is unread. Time runs on
    while nobody looks: a reader that fails before it could, or hangs, stands still as well.
    """

    def __init__(self, topics: Collection[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._topics = tuple(topics)
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._standing: dict[Partition, tuple[int | None, float]] = {}

    def look(self, lags: Mapping[Partition, Lag]) -> None:
        """Take note of where a reader's partitions are now."""
        with self._lock:
            self._looked_at = self._clock()
            self._standing = {partition: self._now(partition, lag) for partition, lag in lags.items()}

    def moved(self, partitions: Collection[Partition]) -> None:
        """Messages of these were just taken."""
        with self._lock:
            now = self._clock()
            for partition in partitions:
                self._standing[partition] = (None, now)

    def _now(self, partition: Partition, lag: Lag) -> tuple[int | None, float]:
        """The next offset and since when it is that."""
        before = self._standing.get(partition)
        is_at_end = lag.records == 0 and lag.next_offset is not None
        if before is None or is_at_end or lag.next_offset != before[0]:
            return lag.next_offset, self._looked_at
        return before

    def by_topic(self) -> Mapping[str, float]:
        """Seconds of each topic's longest standstill; where no partition is known, since somebody last looked."""
        with self._lock:
            now = self._clock()
            return {topic: now - min(self._since(topic), default=self._looked_at) for topic in self._topics}

    def _since(self, topic: str) -> list[float]:
        return [since for partition, (_, since) in self._standing.items() if partition.topic == topic]

    def longest(self) -> Standstill | None:
        """The partition that has stood for longest, if that is too long."""
        with self._lock:
            now = self._clock()
            found = [Standstill(partition, at, now - since) for partition, (at, since) in self._standing.items()]
        worst = max(found, key=lambda one: one.seconds, default=None)
        return worst if worst is not None and worst.seconds > STANDS_STILL_AFTER_S else None
