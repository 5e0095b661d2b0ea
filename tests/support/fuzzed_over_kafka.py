"""Decoders of messages: values, keys, CloudEvents headers, dead letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzzed_decoder import Decoder, NothingTakenError
from fuzzed_inputs import Messages
from fuzzed_over_http import EVENTS, GARDEN, RECORD, SHOP
from monitoring_world import START

from event_backbone.errors import RejectedError, UnreadableMessageError
from event_backbone.events.schema import Envelope
from event_backbone.kafka.dead_letters import dead_letter_in, dead_letter_of, replay_of, without_value
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import event_of, messages_of
from event_backbone.ports import Message, Partition, Received
from monitoring_service.intake.kafka_messages import StreamDecoder
from prediction_service.worker.records import RecordReader, RejectedMessageError
from stream_generator.recording.kafka import KafkaRecording
from stream_generator.recording.port import Period

TOPICS = Topics(None, SHOP.name)


def _messages() -> Iterator[Message]:
    for number, event in enumerate(EVENTS):
        yield from messages_of(Envelope("journal-1", number, event), TOPICS, SHOP.sha256)


MESSAGES = list(_messages())
TOMBSTONES = [one for one in MESSAGES if one.value is None]
LETTER = dead_letter_of(
    Received(Partition(TOPICS.records, 0), 7, 0, b"r1", b"x", (("a", b"b"),)), "json", (), START, "worker", "d"
)
RECORD_MESSAGE = Message(
    TOPICS.records, b"r1", RECORD[:-1] + b',"schema_version":1,"case_sha256":"x"}', [("dl_id", b"r1")]
)


def over_kafka(_folder: Path) -> dict[str, Decoder]:
    unreadable, rejected_message = (UnreadableMessageError,), (RejectedMessageError,)
    return {
        "Kafka event": Decoder(lambda message: event_of(message, SHOP), unreadable, Messages(MESSAGES)),
        "CloudEvents headers": Decoder(lambda message: event_of(message, SHOP), unreadable, Messages(TOMBSTONES)),
        "Kafka record": Decoder(RecordReader(GARDEN).read, rejected_message, Messages([RECORD_MESSAGE])),
        "dead letter": Decoder(_replayed, (RejectedError,), Messages([LETTER, without_value(LETTER)])),
        "messages for the inbox": Decoder(_batch_of, (NothingTakenError,), Messages(MESSAGES)),
        "recorded messages": Decoder(_recorded, (NothingTakenError,), Messages([*MESSAGES, RECORD_MESSAGE])),
    }


def _replayed(message: Received) -> object:
    return replay_of(dead_letter_in(message))


def _batch_of(message: Received) -> object:
    """As monitoring does it, with the dead letter of what can't be read."""
    decoder = StreamDecoder(SHOP, TOPICS.dead_letters, unreadable_limit=2, now=lambda: START)
    batch = decoder.decode([message])
    for letter in batch.dead_letters:
        assert without_value(letter).headers
    if not batch.envelopes:
        raise NothingTakenError
    return batch


def _recorded(message: Received) -> object:
    nothing: Any = None
    recording = KafkaRecording(nothing, (TOPICS.records,), SHOP, Period(), nothing)
    found = recording._decoded(message)
    if found is None:
        raise NothingTakenError
    return found
