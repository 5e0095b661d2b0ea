"""How late a reader is: the age of the oldest unread message, and how long a partition has stood still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

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


class _Place(NamedTuple):
    """Where a partition goes on, since when, and whether nothing was unread then."""

    since: float
    is_at_end: bool
    next_offset: int | None


class StandstillClock:
    """How long partitions have not moved on, whatever the reason; thread-safe.

    A partition moves on when its next offset changes, and does not stand while nothing in it is unread. Time runs on
    while nobody looks: a reader that can't, or hangs, stands still as well.
    """

    def __init__(self, topics: Collection[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._topics = tuple(topics)
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._places: dict[Partition, _Place] = {}

    def look(self, lags: Mapping[Partition, Lag]) -> None:
        """Take note of where a reader's partitions are now."""
        with self._lock:
            self._looked_at = self._clock()
            self._places = {partition: self._now(partition, lag) for partition, lag in lags.items()}

    def _now(self, partition: Partition, lag: Lag) -> _Place:
        before = self._places.get(partition)
        is_at_end = lag.records == 0 and lag.next_offset is not None
        if before is None or is_at_end or lag.next_offset != before.next_offset:
            return _Place(self._looked_at, is_at_end, lag.next_offset)
        return _Place(before.since, False, before.next_offset)

    def by_topic(self) -> Mapping[str, float]:
        """Seconds of each topic's longest standstill; where no partition is known, since somebody last looked."""
        with self._lock:
            now = self._clock()
            return {topic: now - min(self._since(topic), default=self._looked_at) for topic in self._topics}

    def _since(self, topic: str) -> list[float]:
        return [place.since for partition, place in self._places.items() if partition.topic == topic]

    def fault(self) -> str | None:
        """What has stood still for too long, in a sentence."""
        with self._lock:
            now = self._clock()
            partition, place = min(
                self._places.items(), key=_worst, default=(None, _Place(self._looked_at, False, None))
            )
        seconds = now - place.since
        if seconds <= STANDS_STILL_AFTER_S:
            return None
        if partition is None:
            return f"reading has not come to anything for {seconds:.0f} s"
        at = "" if place.next_offset is None else f" from offset {place.next_offset}"
        return f"partition {partition.number} of {partition.topic} has not moved on{at} for {seconds:.0f} s"


def _worst(item: tuple[Partition, _Place]) -> tuple[float, bool]:
    return item[1].since, item[1].is_at_end
