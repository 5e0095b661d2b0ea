"""Messages in memory: a broker with partitions and consumer groups, a producer and consumers.

It keeps the contracts of :class:`~event_backbone.ports.MessageProducer` and
:class:`~event_backbone.ports.MessageConsumer`, and a test can do to it what happens to a real one: send it away, make a
member lose its partitions, put a poisoned message into a partition.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from event_backbone.errors import AwayError, TryAgainLaterError
from event_backbone.ports import Lag, Message, Partition, RebalanceListener, Received

TOO_LARGE = "too_large"
INVALID = "invalid_message"


@dataclass
class _ConsumerGroup:
    committed: dict[Partition, int] = field(default_factory=dict)
    members: list[MemoryConsumer] = field(default_factory=list)


class MemoryBroker:
    """Keeps every message; ``away`` is the reason why it is unavailable. One thread at a time.

    Reading on from the offset that ``failing`` has for a partition raises the error beside it.
    """

    def __init__(
        self, *, partitions: int = 1, max_message_bytes: int = 1_000_000, clock: Callable[[], float] = time.time
    ) -> None:
        self.away: str | None = None
        self.failing: dict[Partition, tuple[int, Exception]] = {}
        self.max_message_bytes = max_message_bytes
        self._partitions = partitions
        self._clock = clock
        self._logs: dict[Partition, list[Received]] = {}
        self._groups: dict[str, _ConsumerGroup] = {}

    def create_topics(self, topics: Sequence[str]) -> None:
        for topic in topics:
            for number in range(self._partitions):
                self._logs.setdefault(Partition(topic, number), [])

    def answer(self) -> None:
        """Raises :class:`AwayError` while it is away."""
        if self.away is not None:
            raise AwayError(self.away)

    def append(self, message: Message) -> None:
        """Equal keys go to the same partition, messages without a key to the first."""
        number = zlib.crc32(message.key or b"") % self._partitions
        self.append_to(Partition(message.topic, number), message)

    def append_to(self, partition: Partition, message: Message) -> None:
        """Append any message to a chosen partition, as a foreign producer would."""
        if partition not in self._logs:
            raise TryAgainLaterError(f"there is no topic {message.topic}")
        log = self._logs[partition]
        at_ms = int(self._clock() * 1000)
        log.append(Received(partition, len(log), at_ms, message.key, message.value, tuple(message.headers)))

    def messages(self, topic: str) -> list[Received]:
        """Everything in a topic, partition by partition."""
        return [message for partition in self.partitions_of([topic]) for message in self._logs[partition]]

    def partitions_of(self, topics: Collection[str]) -> list[Partition]:
        found = (partition for partition in self._logs if partition.topic in topics)
        return sorted(found, key=lambda partition: (partition.topic, partition.number))

    def log(self, partition: Partition) -> Sequence[Received]:
        return self._logs[partition]

    def read(self, partition: Partition, offset: int, most: int) -> Sequence[Received]:
        """Messages from an offset on, up to one that can't be read."""
        last, error = self.failing.get(partition, (None, None))
        if last == offset and error is not None and most > 0:
            raise error
        end = offset + most if last is None or last < offset else min(offset + most, last)
        return self._logs[partition][offset:end]

    def now(self) -> float:
        return self._clock()

    def group(self, name: str) -> _ConsumerGroup:
        return self._groups.setdefault(name, _ConsumerGroup())

    def committed(self, group: str) -> Mapping[Partition, int]:
        return dict(self.group(group).committed)

    def lose(self, stream: MemoryConsumer) -> None:
        """Drop a member that seems dead: its partitions are others' before it knows. It joins again with a poll."""
        self.group(stream.group).members.remove(stream)
        stream.lose_all()
        self.deal(stream.group)

    def deal(self, group: str) -> None:
        """Assign the partitions among the members anew, all of them, as an eager rebalance does."""
        members = self.group(group).members
        for index, member in enumerate(members):
            partitions = self.partitions_of(member.topics)
            member.plan([one for place, one in enumerate(partitions) if place % len(members) == index])


class MemoryPublisher:
    """Publishes to a :class:`MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        self._broker.answer()
        refused = []
        for index, message in enumerate(messages):
            if message.key is None and message.value is None:
                refused.append((index, INVALID))
            elif len(message.key or b"") + len(message.value or b"") > self._broker.max_message_bytes:
                refused.append((index, TOO_LARGE))
            else:
                self._broker.append(message)
        return refused

    def close(self) -> None:
        """Nothing is held."""


class MemoryConsumer:
    """A member of a group of a :class:`MemoryBroker`; rebalances reach it with the next poll."""

    def __init__(
        self, broker: MemoryBroker, topics: Sequence[str], group: str, listener: RebalanceListener | None = None
    ) -> None:
        self.topics = tuple(topics)
        self.group = group
        self._broker = broker
        self._listener = listener
        self._positions: dict[Partition, int] = {}
        self._lost: list[Partition] | None = None
        self._planned: list[Partition] | None = None
        self._paused = False
        self._join()

    def _join(self) -> None:
        self._member_of().members.append(self)
        self._broker.deal(self.group)

    def _member_of(self) -> _ConsumerGroup:
        return self._broker.group(self.group)

    def plan(self, partitions: list[Partition]) -> None:
        """Its assignment by the group, from its next poll on."""
        self._planned = partitions

    def lose_all(self) -> None:
        self._lost, self._positions, self._planned = list(self._positions), {}, None

    def holds(self, partition: Partition) -> bool:
        return partition in self._positions

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        self._broker.answer()
        self._follow_the_group()
        if self._paused:
            return []
        found: list[Received] = []
        failed: Exception | None = None
        positions = self._positions  # the group may take them away meanwhile, from another thread
        for partition, position in positions.items():
            try:
                new = self._broker.read(partition, position, max_messages - len(found))
            except Exception as error:  # raised when nothing else came, as a client does
                failed = error
                continue
            positions[partition] = position + len(new)
            found += new
        if failed is not None and not found:
            raise failed
        return found

    def _follow_the_group(self) -> None:
        if self._lost is not None:
            lost, self._lost = self._lost, None
            self._notify("lost", lost)
            self._join()
        if self._planned is not None:
            self._let_go()
            self._take_over(self._planned)

    def _let_go(self) -> None:
        if self._positions:
            self._notify("revoked", list(self._positions))
        self._positions = {}

    def _take_over(self, planned: list[Partition]) -> None:
        """Once nobody holds them any more: the previous owner may still commit in its callback."""
        others = [member for member in self._member_of().members if member is not self]
        if any(member.holds(partition) for member in others for partition in planned):
            return
        committed = self._member_of().committed
        self._positions = {partition: committed.get(partition, 0) for partition in planned}
        self._planned = None
        self._notify("assigned", planned)

    def _notify(self, what: str, partitions: Collection[Partition]) -> None:
        if self._listener is not None:
            getattr(self._listener, what)(partitions)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        self._broker.answer()
        if not offsets.keys() <= self._positions.keys():
            raise TryAgainLaterError("the group has given these partitions to another member")
        self._member_of().committed.update(offsets)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    def lags(self) -> Mapping[Partition, Lag]:
        self._broker.answer()
        return {partition: self._lag(partition, position) for partition, position in self._positions.items()}

    def _lag(self, partition: Partition, position: int) -> Lag:
        missing = self._broker.log(partition)[position:]
        if not missing:
            return Lag(0, 0.0, position)
        return Lag(len(missing), max(0.0, self._broker.now() - missing[0].timestamp_ms / 1000), position)

    def close(self) -> None:
        members = self._member_of().members
        self._positions = {}
        if self in members:
            members.remove(self)
            self._broker.deal(self.group)
