"""Offsets and partitions of a Kafka recording, queried from real brokers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.admin import end_offsets, offsets_at
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.ports import MessageConsumer, Partition


@dataclass(frozen=True, slots=True)
class KafkaOffsets:
    """:class:`~stream_generator.recording.kafka.TopicOffsets` of the brokers of a URL; each question connects anew."""

    access: KafkaAccess
    timeout_s: float

    def ends(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        return end_offsets(self.access, topics, timeout_s=self.timeout_s)

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> Mapping[Partition, int]:
        return offsets_at(self.access, topics, timestamp_ms, timeout_s=self.timeout_s)

    def open(self, partition: Partition, offset: int) -> MessageConsumer:
        return KafkaAssignedConsumer(
            self.access, [partition.topic], lambda _: offset, timeout_s=self.timeout_s, only=partition
        )
