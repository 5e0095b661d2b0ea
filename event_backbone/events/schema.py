"""The wire types of events, and their JSON.

An event is immutable and has an identity (:func:`event_id`) that every store uses to keep it once. An
:class:`Envelope` adds where it came from: the journal and the place in it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import bounded_decoder

SCHEMA_VERSION = 1


class ModelRef(Struct, frozen=True):
    """A registered model version."""

    name: str
    version: str


class Prediction(Struct, frozen=True, tag_field="type", tag="prediction"):
    """One answered prediction, with the record it was made from.

    ``score`` is the probability of the positive class, or the predicted value. ``content_hash`` is the digest of the
    record alone: the same ``record_id`` with another hash is a conflict. ``bundle_sha256`` names the model bundle that
    made it, and with it the reference that monitoring compares with.
    """

    record_id: str
    case: str
    case_sha256: str
    record: dict[str, Any]
    prediction: str | float
    score: float
    model: ModelRef
    bundle_sha256: str
    predicted_at: str
    content_hash: str


class Label(Struct, frozen=True, tag_field="type", tag="label"):
    """Ground truth for a ``record_id``. The latest ``labelled_at`` wins; earlier ones are kept."""

    record_id: str
    case: str
    label: str | float
    labelled_at: str


class FaultCount(Struct, frozen=True):
    """How many records had a fault with this reason in this column; ``column`` is ``(body)``, ``record_id`` or
    ``(unknown)`` where no column is meant."""

    column: str
    reason: str
    count: int


class Rejections(Struct, frozen=True, tag_field="type", tag="rejections"):
    """Records that were rejected between two moments, as counts: drift that is rejected never reaches a window."""

    rejections_id: str
    case: str
    since: str
    until: str
    records: int
    faults: list[FaultCount]


class Erasure(Struct, frozen=True, tag_field="type", tag="erasure"):
    """A request to delete whatever is kept about this ``record_id``."""

    record_id: str
    case: str
    erased_at: str


class Shadow(Struct, frozen=True, tag_field="type", tag="shadow"):
    """A prediction of another model version for a record that was answered already; it is never an answer.

    ``content_hash`` is that of the record, which stands with its prediction, as does ``predicted_at``.
    """

    record_id: str
    case: str
    case_sha256: str
    prediction: str | float
    score: float
    model: ModelRef
    bundle_sha256: str
    predicted_at: str
    content_hash: str


Event = Prediction | Label | Rejections | Erasure | Shadow


class Envelope(Struct, frozen=True):
    """An event and its position in the journal it came from: ``seq`` grows, with gaps, within one ``source``."""

    source: str
    seq: int
    event: Event
    schema_version: int = SCHEMA_VERSION


encode_json = msgspec.json.Encoder().encode
_canonical_json = msgspec.json.Encoder(order="deterministic").encode
_decode_event: Callable[[bytes], Event] = bounded_decoder(Event)
_decode_envelope: Callable[[bytes], Envelope] = bounded_decoder(Envelope)


def decode_event(body: bytes) -> Event:
    """Raises :class:`msgspec.DecodeError` when ``body`` is no event."""
    event: Event = _decode_event(body)
    return event


def decode_envelope(body: bytes) -> Envelope:
    """Raises :class:`msgspec.DecodeError` when ``body`` is no envelope."""
    return _decode_envelope(body)


def encode_ndjson(envelopes: Sequence[Envelope]) -> bytes:
    return b"".join(encode_json(envelope) + b"\n" for envelope in envelopes)


def content_hash(content: Any) -> str:
    """Digest of a JSON-able value that does not depend on the order of its keys: 32 hexadecimal characters."""
    return hashlib.blake2b(_canonical_json(content), digest_size=16).hexdigest()


def event_id(event: Event) -> str:
    """The key under which a store keeps an event once."""
    match event:
        case Prediction():
            return f"prediction:{event.record_id}"
        case Label():
            return f"label:{event.record_id}:{content_hash([event.labelled_at, event.label])}"
        case Rejections():
            return f"rejections:{event.rejections_id}"
        case Erasure():
            return f"erasure:{event.record_id}:{event.erased_at}"
        case Shadow():
            return f"shadow:{event.record_id}:{event.model.version}"


def latest_labels(labels: Iterable[Label]) -> dict[str, Label]:
    """By ``record_id`` the label with the latest ``labelled_at``; of two with one time always the same one."""
    latest: dict[str, Label] = {}
    for label in labels:
        known = latest.get(label.record_id)
        if known is None or _order_of(label) > _order_of(known):
            latest[label.record_id] = label
    return latest


def _order_of(label: Label) -> tuple[str, str]:
    return label.labelled_at, event_id(label)


#: The second in which :func:`utc_now` was last asked, and its text.
_second = (-1, "")


def utc_now() -> str:
    """RFC 3339 in UTC with microseconds; these strings sort as their times do."""
    global _second  # noqa: PLW0603  # replaced in one step, so threads may share it
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    known, text = _second
    if known != seconds:
        # Most of the work is the same for a second, and this stands in the hot path.
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _second = (seconds, text)
    return f"{text}.{nanoseconds // 1000:06d}Z"


def parse_utc(text: str) -> datetime:
    """Parse an RFC 3339 time with an offset; raises :class:`ValueError` when it has none or is no time."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset from UTC, such as Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time must lie within the years 1 to 9999 in UTC") from error


def format_utc(moment: datetime) -> str:
    """RFC 3339 of a time in UTC."""
    # isoformat takes a third of strftime's time, and this stands in the hot path.
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def time_text(seconds: float) -> str:
    """RFC 3339 in UTC of seconds since 1970."""
    return format_utc(datetime.fromtimestamp(seconds, UTC))
