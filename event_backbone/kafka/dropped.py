"""Messages that a broker dropped, by its retention or because somebody asked for it, before they were read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import structlog

from event_backbone.kafka.internals import known_position

log = structlog.get_logger()


class DroppedMessages:
    """Tells jumps over messages that are gone from jumps over what never is a message.

    The client goes on at the log's beginning in silence where its place is no longer kept. What transactions leave
    behind, and what compaction takes away, makes gaps as well, but those stand behind the log's beginning.
    """

    def __init__(self, consumer: Any, timeout_ms: int, committed: Callable[[Any], int | None]) -> None:
        self._consumer = consumer
        self._timeout_ms = timeout_ms
        #: Where a partition begins whose place only the group knows.
        self._committed = committed
        self._places: dict[Any, int | None] = {}

    def look(self) -> None:
        """Remember where every partition goes on. While a place is being reset, it is the last that was known."""
        known = {place: known_position(self._consumer, place) for place in self._consumer.assignment()}
        self._places = {place: self._places.get(place) if at is None else at for place, at in known.items()}

    def forget(self, places: Collection[Any]) -> None:
        """They were given to this consumer anew; another one may have read on meanwhile."""
        for place in places:
            self._places.pop(place, None)

    def since_then(self, found: Mapping[Any, Sequence[Any]]) -> Iterator[tuple[Any, int, int]]:
        """Partition, first and last offset of what is gone since the last look; ``found`` was read since."""
        jumps = {place: ends for place, ends in self._jumps(found) if ends[0] < ends[1]}
        starts = self._consumer.beginning_offsets(list(jumps), timeout_ms=self._timeout_ms) if jumps else {}
        for place, (first, after) in jumps.items():
            begin = min(starts[place], after)
            if begin > first:
                log.warning("messages_gone", topic=place.topic, partition=place.partition, first=first, last=begin - 1)
                yield place, first, begin - 1

    def _jumps(self, found: Mapping[Any, Sequence[Any]]) -> Iterator[tuple[Any, tuple[int, int]]]:
        """Where each partition was to go on, and where it went on."""
        for place in self._consumer.assignment():
            after = found[place][0].offset if place in found else known_position(self._consumer, place)
            if after is None:
                continue
            first = self._places.get(place)
            if first is None:
                first = self._committed(place)
            if first is not None:
                yield place, (first, after)
