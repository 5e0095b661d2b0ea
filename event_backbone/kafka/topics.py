"""Names of a case's topics, and identities made from topic, partition and offset."""

from __future__ import annotations

from dataclasses import dataclass

from event_backbone.ports import Partition, Received


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a case; a ``namespace`` lets tests and environments share a broker."""

    namespace: str | None
    case: str

    def _named(self, kind: str) -> str:
        return f"{self.namespace}.{self.case}.{kind}" if self.namespace else f"{self.case}.{kind}"

    @property
    def records(self) -> str:
        return self._named("records")

    @property
    def predictions(self) -> str:
        return self._named("predictions")

    @property
    def labels(self) -> str:
        return self._named("labels")

    @property
    def rejections(self) -> str:
        """Counts of refused records, which have no ``record_id`` to be the key of."""
        return self._named("rejections")

    @property
    def dead_letters(self) -> str:
        return self._named("dead-letters")

    @property
    def all(self) -> tuple[str, ...]:
        return (self.records, self.predictions, self.labels, self.rejections, self.dead_letters)

    def group(self, name: str) -> str:
        """The name of a consumer group in the namespace."""
        return f"{self.namespace}.{name}-{self.case}" if self.namespace else f"{name}-{self.case}"


def place_source(partition: Partition) -> str:
    """An envelope's source for events read from Kafka; its ``seq`` is then the offset."""
    return f"{topic_source(partition.topic)}{partition.number}"


def topic_source(topic: str) -> str:
    """The beginning of the sources of a topic's partitions, and of no other's: a topic's name holds no colon."""
    return f"kafka:{topic}:"


def place_id(received: Received) -> str:
    """``<topic>-<partition>-<offset>``: the id of a record that came without one, and of a dead letter."""
    return f"{received.partition.topic}-{received.partition.number}-{received.offset}"
