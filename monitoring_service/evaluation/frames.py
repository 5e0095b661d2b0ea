"""The wire format between the service and its evaluator process.

A frame is four bytes of length, most significant first, and that many bytes of MessagePack.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from monitoring_service.messages import Answer, Request, Start

#: A window of 100,000 rows of 40 columns stays below this.
LARGEST_FRAME_BYTES = 256 * 1024 * 1024

_LENGTH = struct.Struct(">I")

_encode = msgspec.msgpack.Encoder().encode


def _decoder(kind: Any) -> Callable[[bytes], Any]:
    """The decoder of a body; raises :class:`msgspec.DecodeError` or :class:`UnicodeDecodeError` where it is none."""
    decode = msgspec.msgpack.Decoder(kind).decode

    def decode_body(body: bytes) -> Any:
        try:
            return decode(body)
        except RecursionError:
            raise msgspec.DecodeError("is nested too deeply") from None

    return decode_body


decode_start: Callable[[bytes], Start] = _decoder(Start)

decode_request: Callable[[bytes], Request] = _decoder(Request)

decode_answer: Callable[[bytes], Answer] = _decoder(Answer)


def frame(message: Struct) -> bytes:
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


def read_frame(read_exactly: Callable[[int], bytes]) -> bytes:
    """The body of the next frame; ``read_exactly`` raises :class:`EOFError` when the other side is gone."""
    (length,) = _LENGTH.unpack(read_exactly(_LENGTH.size))
    if length > LARGEST_FRAME_BYTES:
        raise EOFError(f"a frame of {length} bytes is none of ours")
    return read_exactly(length)
