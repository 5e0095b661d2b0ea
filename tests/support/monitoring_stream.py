"""A broker in memory for monitoring's reader, which assigns all partitions to itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from event_backbone.events.schema import Envelope, Event
from event_backbone.in_memory.stream import MemoryBroker
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import messages_of
from event_backbone.ports import Lag, Message, Partition, Received

TOPICS = Topics(None, "shop")
CASE_SHA256 = "c" * 64
READ = (TOPICS.predictions, TOPICS.labels, TOPICS.rejections)


def published(
    events: Sequence[Event], *, topics: Topics = TOPICS, source: str = "journal-1", first_seq: int = 1
) -> list[Message]:
    """What a relay publishes of a journal."""
    envelopes = [Envelope(source, first_seq + index, event) for index, event in enumerate(events)]
    return [message for envelope in envelopes for message in messages_of(envelope, topics, CASE_SHA256)]


def foreign(topic: str, key: str | None, value: bytes | None) -> Message:
    return Message(topic, key.encode() if key is not None else None, value)


class AssignedStream:
    """All partitions of some topics of a :class:`MemoryBroker`, each from where ``position`` says."""

    def __init__(
        self, broker: MemoryBroker, topics: Sequence[str], position: Callable[[Partition], int | None]
    ) -> None:
        self._broker = broker
        self._topics = topics
        self._position = position
        self._next: dict[Partition, int] = {}
        self.committed: dict[Partition, int] = {}
        self.polls = 0
        self.closed = False

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        self._broker.answer()
        self.polls += 1
        for partition in self._broker.partitions_of(self._topics):
            if partition not in self._next:
                self._next[partition] = self._position(partition) or 0
        found: list[Received] = []
        for partition, offset in self._next.items():
            new = self._broker.read(partition, offset, max_messages - len(found))
            self._next[partition] += len(new)
            found += new
        return found

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self._broker.answer()
        self.committed.update(offsets)

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def lags(self) -> Mapping[Partition, Lag]:
        self._broker.answer()
        now = self._broker.now()
        missing = {partition: self._broker.log(partition)[offset:] for partition, offset in self._next.items()}
        return {
            partition: Lag(len(left), now - left[0].timestamp_ms / 1000 if left else 0.0, self._next[partition])
            for partition, left in missing.items()
        }

    def close(self) -> None:
        self.closed = True
