"""Splitting a batch's body into the JSON of its elements, so that a bad element never spoils its neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from event_backbone.decoding.json_bounds import TOO_DEEP, is_too_deep
from event_backbone.errors import Fault, RejectedError

_BLANKS = " \t\n\r"


def split_batch(body: bytes, *, at_most: int) -> list[bytes]:
    """The elements of a JSON array, or the lines of NDJSON, undecoded.

    Raises:
        RejectedError: there is none, there are more than ``at_most``, or what should be an array is none.
    """
    items = _elements(body) if body.lstrip()[:1] == b"[" else [line for line in body.splitlines() if line.strip()]
    if not items:
        raise RejectedError([Fault("(body)", "missing", "holds no record")])
    if len(items) > at_most:
        message = f"holds {len(items)} records; at most {at_most} are taken at once"
        raise RejectedError([Fault("(body)", "length", message)])
    return items


def _elements(body: bytes) -> list[bytes]:
    if is_too_deep(body):
        # Where its elements end can only be known by going down into them.
        raise RejectedError([TOO_DEEP])
    try:
        return [bytes(item) for item in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except msgspec.DecodeError:
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
