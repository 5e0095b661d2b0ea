"""The target Kafka: records to ``<case>.records``, labels to ``<case>.labels``, keyed by their ``record_id``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.cloud_events import EVENT_TYPE, JSON_CONTENT, SPECVERSION
from event_backbone.events.schema import Label, event_id, utc_now
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Message, MessageProducer
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.retrying import NoAnswerError, Persistence
from stream_generator.sending.targets import LabelOut, SendResult, encode_json

#: A message that was not acknowledged; whether the broker has it is not known.
_UNKNOWN = SendResult("broker", is_final=False)


class TopicProducer(MessageProducer, Protocol):
    """A producer that can look up its topics before the first message; it may raise as ``publish`` does."""

    def look_up(self, topics: Sequence[str]) -> None: ...


class KafkaTarget:
    """Acknowledged by all in-sync replicas when a method returns.

    A call that has to be repeated may publish some of its messages twice, with the same ids. The messages are foreign
    to the case's own services, as any producer's are: labels are stored and joined, never published again.
    """

    def __init__(self, publisher: TopicProducer, topics: Topics, persistence: Persistence, most_at_once: int) -> None:
        self.most_at_once = most_at_once
        self._publisher = publisher
        self._topics = topics
        self._persistence = persistence
        self._source = f"/stream-generator/{topics.case}".encode()

    def open(self) -> None:
        with contextlib.suppress(TryAgainLaterError):
            self._publisher.look_up([self._topics.records])

    def send_records(self, items: Sequence[Outgoing]) -> list[SendResult]:
        now = utc_now()
        return self._publish([self._record(item, now) for item in items])

    def send_labels(self, labels: Sequence[LabelOut]) -> list[SendResult]:
        return self._publish([self._label(label) for label in labels])

    def close(self) -> None:
        self._publisher.close()

    def _publish(self, messages: Sequence[Message]) -> list[SendResult]:
        if not messages:
            return []
        try:
            refused = dict(self._persistence.until_done(lambda: self._publisher.publish(messages)))
        except (TryAgainLaterError, NoAnswerError):
            return [_UNKNOWN] * len(messages)
        return [SendResult(refused.get(index)) for index in range(len(messages))]

    def _record(self, item: Outgoing, now: str) -> Message:
        headers = self._headers("record", f"record:{item.record_id}", item.record_id, now)
        return Message(self._topics.records, item.record_id.encode(), item.body, headers)

    def _label(self, label: LabelOut) -> Message:
        event = Label(label.record_id, self._topics.case, label.label, label.labelled_at)
        headers = self._headers("label", event_id(event), label.record_id, label.labelled_at)
        return Message(self._topics.labels, label.record_id.encode(), encode_json(label), headers)

    def _headers(self, kind: str, identity: str, record_id: str, at: str) -> list[tuple[str, bytes]]:
        return [
            SPECVERSION,
            ("ce_id", identity.encode()),
            ("ce_type", f"{EVENT_TYPE}{kind}".encode()),
            ("ce_source", self._source),
            ("ce_subject", record_id.encode()),
            ("ce_time", at.encode()),
            JSON_CONTENT,
        ]
