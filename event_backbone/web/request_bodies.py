"""Reading of requests: bodies within the limit of their route, small ones with all faults at once, query parameters."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import msgspec
from flask import request
from msgspec import Meta, Struct
from msgspec.structs import fields
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from event_backbone.decoding.json_bounds import fault_in_bounds
from event_backbone.errors import Fault, RejectedError, unknown_fields

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: A form that holds little more than a key.
MOST_FORM_BYTES = 8192
LARGEST_QUERY_NUMBER = 10**9 - 1
_PART_BYTES = 64 * 1024
_MOST_DRAINED_BYTES = 16 * 1024 * 1024
LONGEST_NAME = 100
LONGEST_NOTE = 1000
#: Who does something, and why.
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Note = Annotated[str, Meta(max_length=LONGEST_NOTE)]

Body = TypeVar("Body", bound=Struct)


def read_body(environ: WSGIEnvironment, most_bytes: int) -> bytes | None:
    """The request's body, with or without a length, or ``None`` when it is larger than allowed."""
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH") or ""
    if not (length.isdigit() and int(length) > most_bytes):
        body = _read(stream, int(length) if length.isdigit() else most_bytes + 1)
        if len(body) <= most_bytes:
            return body
    drain(stream)
    return None


def _read(stream: Any, at_most: int) -> bytes:
    """In parts: granian's buffer for a part grows to several times its size, and is kept."""
    if at_most <= _PART_BYTES:
        first: bytes = stream.read(at_most)
        return first
    body, left = io.BytesIO(), at_most
    while left > 0 and (part := stream.read(min(_PART_BYTES, left))):
        left -= body.write(part)
    return body.getvalue()


def drain(stream: Any, most_bytes: int = _MOST_DRAINED_BYTES) -> None:
    """Read on for a while: a client whose connection closes while it sends never sees the response."""
    left = most_bytes
    while left > 0 and (chunk := stream.read(min(left, _PART_BYTES))):
        left -= len(chunk)


def body_within(most_bytes: int) -> bytes:
    """The body of the present request of Flask's; raises 413 when it is larger.

    Flask itself cuts a body without a length at its limit and takes that for all there is.
    """
    request.max_content_length = most_bytes
    body = read_body(request.environ, most_bytes)
    if body is None:
        raise RequestEntityTooLarge
    return body


def form_within(most_bytes: int) -> MultiDict[str, str]:
    """The fields of the form in the present request; raises 413 when its body is larger."""
    body = body_within(most_bytes)
    request.environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    request.max_form_memory_size = most_bytes
    return request.form


def query_number(
    args: Mapping[str, str], name: str, *, default: int, low: int, high: int = LARGEST_QUERY_NUMBER
) -> int:
    """A whole number of the query; raises :class:`RejectedError` when it is none from ``low`` to ``high``."""
    text = args.get(name)
    if text is None:
        return default
    if text.isdecimal() and len(text) <= len(str(high)) and low <= int(text) <= high:
        return int(text)
    raise RejectedError([Fault(name, "range", f"must be a whole number from {low} to {high}")])


def read_json(content: bytes) -> Any:
    """The document; raises :class:`RejectedError` when it is none, too deep or holds too many values."""
    if (fault := fault_in_bounds(content)) is not None:
        raise RejectedError([fault])
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RejectedError([Fault("(body)", "json", "the body is no JSON")]) from None


def read_object(content: bytes, kind: type[Body]) -> Body:
    """An object of these fields and no others; blanks around a text don't count.

    Raises:
        RejectedError: with every fault, by field.
    """
    sent = read_json(content)
    if not isinstance(sent, dict):
        raise RejectedError([Fault("(body)", "type", "must be a JSON object")])
    values = {name: value.strip() if isinstance(value, str) else value for name, value in sent.items()}
    if faults := list(_faults_in(values, kind)):
        raise RejectedError(faults)
    return msgspec.convert(values, kind)


def _faults_in(values: Mapping[str, Any], kind: type[Struct]) -> Iterator[Fault]:
    plain = get_type_hints(kind)
    for field in fields(kind):
        if field.name in values:
            yield from _faults_in_value(field.name, values[field.name], plain[field.name], field.type)
        elif field.required:
            yield Fault(field.name, "missing", "is missing")
    yield from unknown_fields(values.keys() - {field.name for field in fields(kind)}, "a field of this request")


def _faults_in_value(name: str, value: object, plain: Any, limited: Any) -> Iterator[Fault]:
    """At most one: of its type, or of the limits of that type."""
    limit = "length" if isinstance(value, str) else "range"
    for expected, reason in ((plain, "null" if value is None else "type"), (limited, limit)):
        try:
            msgspec.convert(value, expected)
        except (msgspec.ValidationError, OverflowError) as error:
            yield Fault(name, reason, str(error))
            return
