"""Digests of records and answers: the same for what was sent or answered and for what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from event_backbone.case.schema import is_finite
from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.events.schema import ModelRef, content_hash


class AnswerContent(Struct, frozen=True):
    """The part of an answer that is kept with the prediction."""

    record_id: str
    prediction: str | float
    score: float
    model: ModelRef
    case: str
    predicted_at: str


_decode_answer: Callable[[bytes], AnswerContent] = bounded_decoder(AnswerContent)


def record_digest(record: Mapping[str, Any]) -> str:
    """Whole numbers and floats of the same value are the same: a service may keep either."""
    return content_hash({name: _number_as_float(value) for name, value in record.items()})


def record_digest_of_body(body: bytes) -> str:
    """Of a request's body, which holds the ``record_id`` beside the record."""
    content = msgspec.json.decode(body)
    return record_digest({name: value for name, value in content.items() if name != "record_id"})


def answer_digest(answer: AnswerContent) -> str:
    return content_hash(msgspec.to_builtins(answer))


def answer_digest_of_body(body: bytes) -> str:
    """Of a response's body; what is no answer has a digest that nothing kept can have."""
    try:
        return answer_digest(_decode_answer(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"unreadable:{content_hash(body.decode(errors='replace'))}"


def _number_as_float(value: Any) -> Any:
    """A whole number that no float holds stays as it is."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and is_finite(value) else value
