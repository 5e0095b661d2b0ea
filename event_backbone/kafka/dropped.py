"""Messages that a broker dropped, by its retention or because somebody asked for it, before they were read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from event_backbone.kafka.internals import known_position


class DroppedMessages:
    """Tells jumps over messages that are gone from jumps over what never is a message.

    The client goes on at the log's beginning in silence where its place is no longer kept. What transactions leave
    behind, and what compaction takes away, makes gaps as well, but those stand behind the log's beginning.
    """

    def __init__(self, consumer: Any, timeout_ms: int) -> None:
        self._consumer = consumer
        self._timeout_ms = timeout_ms
        #: Where each partition is to go on. The client's own places change in its own thread, at any time.
        self._expected: dict[Any, int] = {}

    def expect(self, place: Any, offset: int) -> None:
        """Reading begins there."""
        self._expected[place] = offset

    def forget(self, places: Collection[Any]) -> None:
        """They were given to this consumer anew; another one may have read on meanwhile."""
        for place in places:
            self._expected.pop(place, None)

    def gone(self, found: Mapping[Any, Sequence[Any]]) -> list[tuple[Any, int, int]]:
        """Partition, first and last offset of what is gone; ``found`` was read since the last call.

        Raises what the client does.
        """
        jumps = {place: ends for place, ends in self._ends(found) if ends[0] < ends[1]}
        starts = self._consumer.beginning_offsets(list(jumps), timeout_ms=self._timeout_ms) if jumps else {}
        lost = [(place, first, min(starts[place], after) - 1) for place, (first, after) in jumps.items()]
        return [(place, first, last) for place, first, last in lost if first <= last]

    def _ends(self, found: Mapping[Any, Sequence[Any]]) -> Iterator[tuple[Any, tuple[int, int]]]:
        """Where each partition was to go on, and where it went on; from now on it is to go on where it stands."""
        for place in self._consumer.assignment():
            position = known_position(self._consumer, place)
            messages = found.get(place, ())
            after = messages[0].offset if messages else position
            if after is None:
                continue
            first = self._expected.get(place)
            # First of all: what is asked next may fail, and is not worth to be asked again in every poll.
            self._expected[place] = messages[-1].offset + 1 if messages else after
            if first is not None:
                yield place, (first, after)
