"""Decoding of JSON that is refused anyway, so that all of its faults can be named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from event_backbone.decoding.json_bounds import fault_in_bounds
from event_backbone.errors import Fault


class Repeated(tuple[Any, ...]):
    """The values of a name that stands more than once in an object."""

    __slots__ = ()


def decode_lenient(body: bytes) -> tuple[object, Fault | None]:
    """Decode JSON so that faults can be named: values of any type are let through.

    That is NaN, Infinity, halves of surrogate pairs, and numbers too long for 64 bits, which are read as infinite. The
    values of a name that stands more than once come as :class:`Repeated`. Everything else that is no JSON in UTF-8 is
    refused as msgspec refuses it, and so is what is too deep or holds too many values.
    """
    if (fault := fault_in_bounds(body)) is not None:
        return None, fault
    try:
        return json.loads(body.decode(), parse_int=_whole_number, object_pairs_hook=_object), None
    except UnicodeError:
        return None, Fault("(body)", "json", "is not valid UTF-8")
    except json.JSONDecodeError as error:
        return None, Fault("(body)", "json", f"is not valid JSON at character {error.pos}")


def _whole_number(text: str) -> float:
    # Python refuses to read more than 4,300 digits, and 310 are more than a 64-bit float can hold.
    return int(text) if len(text) < 310 else float(text)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: Repeated(found) if len(found) > 1 else found[0] for name, found in values.items()}
