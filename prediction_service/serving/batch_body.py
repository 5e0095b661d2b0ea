"""Splitting a batch's body into the JSON of its elements, so that a bad element never spoils its neighbours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice

import msgspec

from event_backbone.decoding.json_bounds import TOO_DEEP, is_too_deep, number_of_elements
from event_backbone.errors import Fault, RejectedError

_BLANKS = " \t\n\r"
_LINE = re.compile(rb"[^\r\n]+")
#: With fewer commas for each record that is allowed, splitting costs little whatever the elements are.
_FEW_FIELDS = 32


def split_batch(body: bytes, *, at_most: int) -> list[bytes]:
    """The elements of a JSON array, or the lines of NDJSON, undecoded.

    Raises:
        RejectedError: there is none, there are more than ``at_most``, or what should be an array is none.
    """
    items, number = _split_array(body, at_most) if body.lstrip()[:1] == b"[" else _split_lines(body, at_most)
    if not items:
        raise RejectedError([Fault("(body)", "missing", "holds no record")])
    if number > at_most:
        message = f"holds {number:,} records; at most {at_most:,} are taken at once"
        raise RejectedError([Fault("(body)", "length", message)])
    return items


def _split_lines(body: bytes, at_most: int) -> tuple[list[bytes], int]:
    """The lines that are not blank, no more of them than ``at_most``, and their number."""
    lines = (line for found in _LINE.finditer(body) if (line := found[0]).strip())
    items = list(islice(lines, at_most))
    return items, len(items) + sum(1 for _ in lines)


def _split_array(body: bytes, at_most: int) -> tuple[list[bytes], int]:
    """The elements and their number; none of them is split off where there are far too many."""
    if is_too_deep(body):
        # Where its elements end can only be known by going down into them.
        raise RejectedError([TOO_DEEP])
    if body.count(b",") > _FEW_FIELDS * at_most and (number := number_of_elements(body)) > at_most:
        return [b""], number
    items = _elements(body)
    return items, len(items)


def _elements(body: bytes) -> list[bytes]:
    try:
        return [bytes(item) for item in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, UnicodeDecodeError):
        # One element may hold what is no JSON and still has an end, such as NaN: it is to be named by its own fields.
        return _elements_leniently(body)


def _elements_leniently(body: bytes) -> list[bytes]:
    try:
        return [item.encode() for item in _slices(body.decode())]
    except ValueError:
        raise RejectedError([Fault("(body)", "json", "is not a valid JSON array")]) from None


def _slices(text: str) -> Iterator[str]:
    """The text of each element; raises :class:`ValueError` where the array is none."""
    decoder = json.JSONDecoder(parse_int=str)  # where an element ends does not depend on how long its numbers are
    position = _after_blanks(text, text.index("[") + 1)
    separator = "," if text[position : position + 1] != "]" else "]"
    while separator == ",":
        _, end = decoder.raw_decode(text, position)
        yield text[position:end]
        position = _after_blanks(text, end)
        separator = text[position : position + 1]
        if separator == ",":
            position = _after_blanks(text, position + 1)
    if separator != "]" or text[position + 1 :].strip(_BLANKS):
        raise ValueError("the array does not end")


def _after_blanks(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\t", "\n", "\r"):
        position += 1
    return position
