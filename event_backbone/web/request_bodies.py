"""Reading of requests: bodies within the limit of their route, small ones with all faults at once, query parameters."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
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
_LARGE_BODY_BYTES = 64 * 1024
_one_large_at_a_time = threading.Lock()
LONGEST_NAME = 100
LONGEST_NOTE = 1000
#: Who does something, and why.
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Note = Annotated[str, Meta(max_length=LONGEST_NOTE)]

Body = TypeVar("Body", bound=Struct)


def read_body(environ: WSGIEnvironment, most_bytes: int) -> bytes | None:
    """The request's body, with or without a length, or ``None`` when it is larger than allowed."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > most_bytes:
        return None
    body: bytes = environ["wsgi.input"].read(int(length) if length.isdigit() else most_bytes + 1)
    return body if len(body) <= most_bytes else None


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


def alone_if_large(content: bytes) -> AbstractContextManager[object]:
    """One large body at a time: decoding that names faults takes many times its memory, and holds the interpreter."""
    return _one_large_at_a_time if len(content) > _LARGE_BODY_BYTES else contextlib.nullcontext()


def read_object(content: bytes, kind: type[Body]) -> Body:
    """An object of these fields and no others; blanks around a text don't count.

    Raises:
        RejectedError: with every fault, by field.
    """
    with alone_if_large(content):
        return _read_object(content, kind)


def _read_object(content: bytes, kind: type[Body]) -> Body:
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
