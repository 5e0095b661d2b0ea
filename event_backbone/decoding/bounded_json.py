"""Decoding of JSON into types: of peers, files and stores. What is nested too deeply is refused as no JSON.

A type that leaves unknown fields out goes down into them all the same, and one that holds values of any kind anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from event_backbone.decoding.json_bounds import TOO_DEEP, is_too_deep
from event_backbone.errors import shortened

Content = TypeVar("Content")


def bounded_decoder(kind: Any) -> Callable[[bytes], Any]:
    """The decoder of a type.

    It raises :class:`msgspec.DecodeError` for what is no JSON, is nested too deeply or is not of this type, and
    :class:`UnicodeDecodeError` for text that is no UTF-8.
    """
    decode = msgspec.json.Decoder(kind).decode
    return lambda content: _decoded(content, decode)


def decode_bounded(content: bytes, kind: type[Content]) -> Content:
    """One content; raises as :func:`bounded_decoder` says."""
    return _decoded(content, lambda checked: msgspec.json.decode(checked, type=kind))


def _decoded(content: bytes, decode: Callable[[bytes], Content]) -> Content:
    if is_too_deep(content):
        raise msgspec.DecodeError(TOO_DEEP.message)
    try:
        return decode(content)
    except msgspec.ValidationError as error:  # its sentence may quote a value, which may be as long as the content
        raise msgspec.ValidationError(shortened(str(error))) from None
