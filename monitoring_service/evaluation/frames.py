"""The wire format between the service and its evaluator process.

A frame is four bytes of length, most significant first, and that many bytes of MessagePack.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import msgspec
from msgspec import Struct

from monitoring_service.messages import Answer, Request, Start

#: A window of 100,000 rows of 40 columns stays below this.
LARGEST_FRAME_BYTES = 256 * 1024 * 1024

_LENGTH = struct.Struct(">I")

_encode = msgspec.msgpack.Encoder().encode

decode_start = msgspec.msgpack.Decoder(Start).decode

decode_request = msgspec.msgpack.Decoder(Request).decode

decode_answer = msgspec.msgpack.Decoder(Answer).decode


def frame(message: Struct) -> bytes:
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


def read_frame(read_exactly: Callable[[int], bytes]) -> bytes:
    """The body of the next frame; ``read_exactly`` raises :class:`EOFError` when the other side is gone."""
    (length,) = _LENGTH.unpack(read_exactly(_LENGTH.size))
    if length > LARGEST_FRAME_BYTES:
        raise EOFError(f"a frame of {length} bytes is none of ours")
    return read_exactly(length)
