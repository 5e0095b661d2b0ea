"""Validation of small JSON bodies, refused with all of their faults at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from event_backbone.decoding.json_bounds import fault_in_bounds
from event_backbone.errors import Fault, RejectedError, unknown_fields

LONGEST_NAME = 100
LONGEST_NOTE = 1000
#: Who does something, and why.
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Note = Annotated[str, Meta(max_length=LONGEST_NOTE)]

Body = TypeVar("Body", bound=Struct)


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
