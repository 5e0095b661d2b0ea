"""`prediction-service topics`: expected and actual topics of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.admin import TopicSpec, create_topics, list_topics
from event_backbone.kafka.topics import Topics

_DAY_MS = 86_400_000
#: Compaction keeps the last message of each key, so an erasure's tombstone removes what stood under it. Not before a
#: day, so that every reader sees every message; tombstones stay as long again.
_COMPACTED = {
    "cleanup.policy": "compact,delete",
    "min.compaction.lag.ms": str(_DAY_MS),
    "delete.retention.ms": str(_DAY_MS),
}


@dataclass(frozen=True, slots=True)
class TopicMismatch:
    """How a topic differs from what it should be."""

    topic: str
    setting: str
    wanted: str
    found: str


def wanted_topics(topics: Topics, *, partitions: int, replication: int, retention_s: float) -> list[TopicSpec]:
    """The five topics of a case. Dead letters are few and read by people: one partition, kept as long."""
    retention = {"retention.ms": str(int(retention_s * 1000)) if retention_s else "-1"}
    kept = {"cleanup.policy": "delete", **retention}
    # Room for the headers that a dead letter has beside a record of the largest size.
    letters = {**kept, "max.message.bytes": "2097152"}
    return [
        TopicSpec(topics.records, partitions, replication, kept),
        TopicSpec(topics.predictions, partitions, replication, {**_COMPACTED, **retention}),
        TopicSpec(topics.labels, partitions, replication, {**_COMPACTED, **retention}),
        TopicSpec(topics.rejections, 1, replication, kept),
        TopicSpec(topics.dead_letters, 1, replication, letters),
    ]


def differences(wanted: Sequence[TopicSpec], found: Mapping[str, TopicSpec]) -> list[TopicMismatch]:
    """How the actual topics differ from what is wanted."""
    return [
        TopicMismatch(spec.name, setting, should, seen)
        for spec in wanted
        if spec.name in found
        for setting, should, seen in _compared(spec, found[spec.name])
        if should != seen
    ]


def _compared(wanted: TopicSpec, found: TopicSpec) -> list[tuple[str, str, str]]:
    return [
        ("partitions", str(wanted.partitions), str(found.partitions)),
        ("replication", str(wanted.replication), str(found.replication)),
        *((name, value, found.configs.get(name, "the broker's")) for name, value in wanted.configs.items()),
    ]


def create(
    access: KafkaAccess, wanted: Sequence[TopicSpec], *, timeout_s: float
) -> tuple[list[str], list[TopicMismatch]]:
    """Make what is missing; return its names, and how the rest differs. Doing it again changes nothing.

    Raises:
        TryAgainLaterError: Kafka is away, or refused.
    """
    made = create_topics(access, wanted, timeout_s=timeout_s)
    found = list_topics(access, [spec.name for spec in wanted], timeout_s=timeout_s)
    return made, differences(wanted, found)
