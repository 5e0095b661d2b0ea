"""Events as Kafka messages and back: the CloudEvents 1.0 Kafka binding in binary mode; no client is imported here.

A value is the event's JSON with ``schema_version`` and ``case_sha256``; the key is its ``record_id``. An erasure is a
tombstone (a key without value) in both topics that hold something about the record, so that compaction forgets it.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import msgspec

from event_backbone.case.event_rules import check_event, is_time
from event_backbone.case.records import fault_in_kept_id
from event_backbone.case.schema import Case
from event_backbone.decoding.json_bounds import TOO_DEEP, is_too_deep
from event_backbone.decoding.lenient_json import decode_lenient
from event_backbone.errors import Fault, UnreadableMessageError
from event_backbone.events.cloud_events import (
    EVENT_TYPE,
    JSON_CONTENT,
    SPECVERSION,
    header,
    is_ours,
    source_uri,
    text_header,
)
from event_backbone.events.schema import (
    SCHEMA_VERSION,
    Envelope,
    Erasure,
    Event,
    Label,
    Prediction,
    Rejections,
    Shadow,
    encode_json,
    event_id,
    format_utc,
    parse_utc,
)
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Message, Received

# Events into messages -------------------------------------------------------------------------------------------------


def messages_of(envelope: Envelope, topics: Topics, case_sha256: str) -> list[Message]:
    """One message, for an erasure a tombstone in the topics of predictions and labels, for a shadow none."""
    event = envelope.event
    match event:
        case Prediction():
            value = encode_json(event)[:-1] + _SCHEMA_ENDING
            return [_message(topics.predictions, event.record_id, value, envelope, event.predicted_at)]
        case Label():
            value = encode_json(event)[:-1] + _case_ending(case_sha256)
            return [_message(topics.labels, event.record_id, value, envelope, event.labelled_at)]
        case Rejections():
            value = encode_json(event)[:-1] + _case_ending(case_sha256)
            return [_message(topics.rejections, event.rejections_id, value, envelope, event.until)]
        case Erasure():
            places = (topics.predictions, topics.labels)
            return [_message(topic, event.record_id, None, envelope, event.erased_at) for topic in places]
        case Shadow():
            return []  # nobody was answered so: whoever reads the topics would take it for an answer


#: Spliced on instead of encoding a second struct: this stands in the hot path. A prediction has its case_sha256 itself.
_SCHEMA_ENDING = b',"schema_version":%d}' % SCHEMA_VERSION


@functools.lru_cache(maxsize=64)
def _case_ending(case_sha256: str) -> bytes:
    return b',"case_sha256":' + encode_json(case_sha256) + _SCHEMA_ENDING


_TYPES: dict[type, tuple[str, bytes]] = {
    kind: ("ce_type", f"{EVENT_TYPE}{kind.__struct_config__.tag}".encode())
    for kind in (Prediction, Label, Rejections, Erasure)
}
_TYPES[Rejections] = ("ce_type", f"{EVENT_TYPE}rejection".encode())


def _message(topic: str, key: str, value: bytes | None, envelope: Envelope, at: str) -> Message:
    event, key_bytes = envelope.event, key.encode()
    headers = [
        SPECVERSION,
        ("ce_id", event_id(event).encode()),
        _TYPES[type(event)],
        ("ce_source", source_uri(event.case, envelope.source)),
        ("ce_subject", key_bytes),
        ("ce_time", at.encode()),
        ("ce_sequence", b"%d" % envelope.seq),
    ]
    if value is not None:
        headers.append(JSON_CONTENT)
    return Message(topic, key_bytes, value, headers)


# Messages into events -------------------------------------------------------------------------------------------------


def event_of(received: Received, case: Case) -> Event:
    """The event in a message of ``.predictions``, ``.labels`` or ``.rejections``, of our producers or of others.

    Raises:
        UnreadableMessageError: it is no event of this case.
    """
    topic_kind = received.partition.topic.rpartition(".")[2]
    if received.loss is not None:
        raise _unreadable(received.loss.reason, "(message)", received.loss.message)
    if received.value is None:
        return _erasure(received, case)
    preamble = _decode(received.value, _preamble_decoder, "json")
    if preamble.schema_version != SCHEMA_VERSION:
        raise _unreadable("schema_version", "schema_version", f"must be {SCHEMA_VERSION}")
    if preamble.case is not None and preamble.case != case.name:
        raise _unreadable("case", "case", f"must be {case.name}")
    match topic_kind:
        case "predictions":
            return _prediction(received, case)
        case "labels":
            return _label(received, case)
        case "rejections":
            return _rejections(received, case)
    raise _unreadable("type", "(topic)", "is none of predictions, labels and rejections")


class _Preamble(msgspec.Struct):
    """Fields checked before the rest is decoded; other producers may leave them out."""

    schema_version: int = SCHEMA_VERSION
    case: str | None = None


class _LabelValue(msgspec.Struct, forbid_unknown_fields=True):
    """A label by other producers: everything but the label may be left out."""

    label: str | float
    labelled_at: str | None = None
    record_id: str | None = None
    case: str | None = None
    case_sha256: str | None = None
    schema_version: int = SCHEMA_VERSION
    type: str = "label"


_preamble_decoder = msgspec.json.Decoder(_Preamble)
_prediction_decoder = msgspec.json.Decoder(Prediction)
_rejections_decoder = msgspec.json.Decoder(Rejections)
_label_decoder = msgspec.json.Decoder(_LabelValue)


def _unreadable(reason: str, place: str, message: str, fault_reason: str | None = None) -> UnreadableMessageError:
    return UnreadableMessageError(reason, [Fault(place, fault_reason or "invalid", message)])


def _decode(value: bytes, decoder: Any, reason: str) -> Any:
    """Raises :class:`UnreadableMessageError` with ``json`` where it is none, else with ``reason``."""
    if is_too_deep(value):
        raise UnreadableMessageError("json", [TOO_DEEP])
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        if reason == "json":  # a preamble with a strange type inside: say which
            reason = "schema_version" if _is_object(value) else "json"
        raise _unreadable(reason, "(body)", f"is no {reason} as this version writes it") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        _, fault = decode_lenient(value)
        raise UnreadableMessageError("json", [fault or Fault("(body)", "json", "is not valid JSON")]) from None


def _is_object(value: bytes) -> bool:
    return value.lstrip()[:1] == b"{"


def _key(received: Received, in_body: str | None) -> str:
    """The ``record_id``: the key, which the body may repeat; without a key, that of the body."""
    key = in_body if received.key is None else received.key.decode(errors="replace")
    if key is None:
        raise _unreadable("key", "record_id", "is missing: neither the key nor the body holds it", "missing")
    if fault := fault_in_kept_id(key):
        raise UnreadableMessageError("key", [fault])
    if in_body is not None and in_body != key:
        raise _unreadable("key", "record_id", "differs from the key of the message")
    return key


def _prediction(received: Received, case: Case) -> Prediction:
    event: Prediction = _decode(received.value or b"", _prediction_decoder, "prediction")
    _key(received, event.record_id)
    check_event(case, event)
    return event


def _rejections(received: Received, case: Case) -> Rejections:
    event: Rejections = _decode(received.value or b"", _rejections_decoder, "rejections")
    check_event(case, event)
    return event


def _label(received: Received, case: Case) -> Label:
    value: _LabelValue = _decode(received.value or b"", _label_decoder, "label")
    record_id = _key(received, value.record_id)
    if value.type != "label":
        raise _unreadable("label", "type", "must be label")
    label = Label(record_id, case.name, value.label, _labelled_at(received, value.labelled_at))
    check_event(case, label)
    return label


def _labelled_at(received: Received, text: str | None) -> str:
    """In the stores' form; the message's own timestamp where none is given, the same whenever it is read."""
    try:
        if text is not None:
            return format_utc(parse_utc(text))
        if received.timestamp_ms < 0:  # Kafka's sign for none is a moment of 1969
            raise _unreadable("label", "labelled_at", "is missing, and so is the message's own time", "missing")
        return format_utc(datetime.fromtimestamp(received.timestamp_ms / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        raise _unreadable("label", "labelled_at", "must be an RFC 3339 time with an offset", "format") from None


def _erasure(received: Received, case: Case) -> Erasure:
    """A tombstone has no content, so only one of our producers is taken."""
    headers = received.headers
    if header(headers, "ce_type") != _TYPES[Erasure][1]:
        raise _unreadable("type", "ce_type", "a message without value must be an erasure")
    if not is_ours(headers, case.name):
        raise _unreadable("case", "ce_source", f"must be one of {case.name}")
    erased_at = text_header(headers, "ce_time") or ""
    if not is_time(erased_at):
        raise _unreadable("erasure", "ce_time", "must be an RFC 3339 time with an offset", "format")
    return Erasure(_key(received, None), case.name, erased_at)
