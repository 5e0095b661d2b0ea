"""Dead letters: messages that no reader can take, kept in ``.dead-letters`` with the reason and their origin.

Key and value are the origin's bytes. Its headers travel along under another name, so that a replay is what was sent;
it then carries ``dl_*`` headers of its own, by which a second failure is known to be the same dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from event_backbone.decoding.bounded_json import bounded_decoder, decode_bounded
from event_backbone.errors import LOSSES, Fault, RejectedError, UnreadableMessageError, listed
from event_backbone.events.cloud_events import EVENT_TYPE, SPECVERSION, header, source_uri, text_header
from event_backbone.events.schema import encode_json
from event_backbone.kafka.topics import place_id
from event_backbone.ports import Message, Received

_ORIGIN_HEADER = "dl_header_"
#: What a replayed record carries, and a dead letter takes over.
_IDENTITY = ("dl_id", "dl_first_seen", "dl_topic", "dl_partition", "dl_offset")


class DeadLetterFault(msgspec.Struct, frozen=True):
    """A fault as it stands in ``dl_faults``; ``message`` never holds a value."""

    field: str
    reason: str
    message: str


class DeadLetter(msgspec.Struct, frozen=True):
    """One dead letter.

    Its origin is a place in a topic (``partition`` and ``offset``), or a row that a sink refused (``sink``, ``source``
    and ``seq``). ``first_seen`` is RFC 3339. ``omitted_bytes`` is the size of a value that was too large to be kept
    here; it stays at its origin.
    """

    id: str
    reason: str
    faults: Sequence[DeadLetterFault]
    first_seen: str
    service: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    sink: str | None = None
    source: str | None = None
    seq: int | None = None
    omitted_bytes: int | None = None


_decode_faults: Callable[[bytes], list[DeadLetterFault]] = bounded_decoder(list[DeadLetterFault])


def dead_letter_of(
    received: Received, reason: str, faults: Sequence[Fault], first_seen: str, service: str, topic: str
) -> Message:
    """The message for ``.dead-letters`` (``topic``) about one that ``service`` can't take.

    The id is the origin's place; for a record that was replayed, what it was the first time, as ``first_seen`` is.
    """
    known = {name: value for name in _IDENTITY if (value := header(received.headers, name)) is not None}
    place = received.partition
    identity = {
        "dl_id": place_id(received).encode(),
        "dl_first_seen": first_seen.encode(),
        "dl_topic": place.topic.encode(),
        "dl_partition": b"%d" % place.number,
        "dl_offset": b"%d" % received.offset,
        **(known if "dl_id" in known else {}),
    }
    origin = [(_ORIGIN_HEADER + name, value) for name, value in received.headers if not name.startswith("dl_")]
    return _message(topic, received.key, received.value, service, reason, faults, [*identity.items(), *origin])


def dead_letter_of_row(
    *, sink: str, source: str, seq: int, record_id: str, body: bytes, reason: str, first_seen: str, topic: str
) -> Message:
    """The dead letter of a journal's row that a sink refused for good; ``body`` is the event's JSON."""
    identity = [
        ("dl_id", row_id(sink, source, seq).encode()),
        ("dl_first_seen", first_seen.encode()),
        ("dl_sink", sink.encode()),
        ("dl_source", source.encode()),
        ("dl_seq", b"%d" % seq),
    ]
    return _message(topic, record_id.encode(), body, "sidecar", reason, [], identity)


def row_id(sink: str, source: str, seq: int) -> str:
    """``<sink>-<journal>-<seq>``: the id of the dead letter of a row that a sink refused."""
    return f"{sink}-{source}-{seq}"


def _message(
    topic: str,
    key: bytes | None,
    value: bytes | None,
    service: str,
    reason: str,
    faults: Sequence[Fault],
    identity: Sequence[tuple[str, bytes]],
) -> Message:
    named = dict(identity)
    headers = [
        SPECVERSION,
        ("ce_id", named["dl_id"]),
        ("ce_type", f"{EVENT_TYPE}dead-letter".encode()),
        ("ce_source", source_uri(topic.removesuffix(".dead-letters").rpartition(".")[2], service)),
        ("ce_time", named["dl_first_seen"]),
        *identity,
        ("dl_reason", reason.encode()),
        ("dl_faults", encode_json([DeadLetterFault(one.place, one.reason, one.message) for one in listed(faults)])),
        ("dl_service", service.encode()),
    ]
    if key is None and value is None:  # Kafka takes no message without both
        headers.append(("dl_without_key", b"1"))
        key = named["dl_id"]
    return Message(topic, key, value, headers)


def without_value(letter: Message) -> Message:
    """A dead letter that is too large to be published: its value stays where it was, only its size is noted."""
    size = b"%d" % len(letter.value or b"")
    key = letter.key if letter.key is not None else header(letter.headers, "ce_id")
    flags = [("dl_omitted_bytes", size), *([("dl_without_key", b"1")] if letter.key is None else [])]
    return Message(letter.topic, key, None, [*letter.headers, *flags])


def dead_letter_in(received: Received) -> DeadLetter:
    """Decode a message of ``.dead-letters``.

    Raises:
        UnreadableMessageError: it is none.
    """
    try:
        return _dead_letter(received)
    except (ValueError, msgspec.DecodeError):
        raise UnreadableMessageError("type", [Fault("(headers)", "invalid", "is no dead letter")]) from None


def _dead_letter(received: Received) -> DeadLetter:
    headers = received.headers
    return DeadLetter(
        id=_text(headers, "dl_id"),
        reason=_text(headers, "dl_reason"),
        faults=_decode_faults(header(headers, "dl_faults") or b"[]"),
        first_seen=_text(headers, "dl_first_seen"),
        service=_text(headers, "dl_service"),
        key=None if header(headers, "dl_without_key") else received.key,
        value=received.value,
        headers=[
            (name.removeprefix(_ORIGIN_HEADER), value) for name, value in headers if name.startswith(_ORIGIN_HEADER)
        ],
        topic=text_header(headers, "dl_topic"),
        partition=_number(headers, "dl_partition"),
        offset=_number(headers, "dl_offset"),
        sink=text_header(headers, "dl_sink"),
        source=text_header(headers, "dl_source"),
        seq=_number(headers, "dl_seq"),
        omitted_bytes=_number(headers, "dl_omitted_bytes"),
    )


def _text(headers: Any, name: str) -> str:
    text = text_header(headers, name)
    if text is None:
        raise ValueError(name)
    return text


def _number(headers: Any, name: str) -> int | None:
    text = header(headers, name)
    return None if text is None else int(text)


def replay_of(letter: DeadLetter) -> Message:
    """The record as a message for its original topic, recognised by its headers.

    A record that came without any ``record_id`` gets its dead letter's id as key: the one it had at first.

    Raises:
        RejectedError: it came from no topic, or its value was not kept, or could not be read.
    """
    if letter.topic is None:
        raise RejectedError([Fault(letter.id, "origin", "came from no topic")])
    if letter.omitted_bytes is not None:
        raise RejectedError([Fault(letter.id, "omitted", f"its {letter.omitted_bytes} bytes were not kept")])
    if letter.reason in LOSSES:
        raise RejectedError([Fault(letter.id, "omitted", f"there was nothing to read: {letter.reason}")])
    identity = [
        ("dl_id", letter.id.encode()),
        ("dl_first_seen", letter.first_seen.encode()),
        ("dl_topic", letter.topic.encode()),
        ("dl_partition", b"%d" % (letter.partition or 0)),
        ("dl_offset", b"%d" % (letter.offset or 0)),
    ]
    key = letter.id.encode() if letter.key is None and not _names_itself(letter.value) else letter.key
    return Message(letter.topic, key, letter.value, [*letter.headers, *identity])


class _Named(msgspec.Struct):
    record_id: Any = None


def _names_itself(value: bytes | None) -> bool:
    """Whether the body holds a ``record_id``; another one as key would be a fault."""
    if value is None:
        return False
    try:
        return decode_bounded(value, _Named).record_id is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
