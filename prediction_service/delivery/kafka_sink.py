"""The sink that publishes to Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from event_backbone.events.schema import Envelope
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import messages_of
from event_backbone.ports import Delivered, MessageProducer, Refusal


class KafkaSink:
    """Publishes each event to its topic, under its ``record_id``; an erasure becomes tombstones.

    Kafka keeps what is delivered again once more: readers take an event once, by its id.
    """

    def __init__(self, publisher: MessageProducer, topics: Topics, case_sha256: str) -> None:
        self.name = "kafka"
        self._publisher = publisher
        self._topics = topics
        self._case_sha256 = case_sha256

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        refused = {one.seq: "case" for one in batch if one.event.case != self._topics.case}
        ours = [one for one in batch if one.seq not in refused]
        messages = [(one.seq, message) for one in ours for message in messages_of(one, self._topics, self._case_sha256)]
        for index, reason in self._publisher.publish([message for _, message in messages]):
            refused[messages[index][0]] = reason
        return Delivered([Refusal(seq, reason) for seq, reason in sorted(refused.items())])

    def close(self) -> None:
        self._publisher.close()
