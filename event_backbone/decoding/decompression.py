"""Decompression within a limit: a small body that expands to a large one is given up at the limit, not after it.

The codecs are those of Kafka's batches. Each but gzip is a package of its own, imported where it is used.
"""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable

from event_backbone.errors import StreamgaugeError

#: What is decompressed at a time.
_PART_BYTES = 256 * 1024
#: Before blocks of snappy, as Java's library frames them; eight bytes with versions follow.
_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16


class TooLargeError(StreamgaugeError):
    """What was compressed is larger than its reader takes."""


def gunzipped(data: bytes | memoryview, most_bytes: int) -> bytes:
    """Raises :class:`TooLargeError`, or what the codec does."""
    with gzip.GzipFile(fileobj=io.BytesIO(data), mode="rb") as file:
        return _bounded(file.read, most_bytes)


def from_zstd(data: bytes | memoryview, most_bytes: int) -> bytes:
    """Raises :class:`TooLargeError`, or what the codec does."""
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        return _bounded(reader.read, most_bytes)


def from_lz4(data: bytes | memoryview, most_bytes: int) -> bytes:
    """Of one frame. Raises :class:`TooLargeError`, or what the codec does."""
    import lz4.frame

    decompressor = lz4.frame.LZ4FrameDecompressor()
    given = [data]

    def read(most: int) -> bytes:
        if decompressor.eof:
            return b""
        part: bytes = decompressor.decompress(given.pop() if given else b"", most)
        if not part and not decompressor.eof:
            raise EOFError("the frame has no end")
        return part

    return _bounded(read, most_bytes)


def from_snappy(data: bytes | memoryview, most_bytes: int) -> bytes:
    """Of one block, or of many as Java's library frames them. Raises :class:`TooLargeError`, or what the codec does."""
    import snappy

    view = memoryview(data)
    if bytes(view[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        _check(_announced_by_snappy(view), most_bytes)
        return bytes(snappy.decompress(bytes(view)))
    whole, begin = io.BytesIO(), _XERIAL_HEADER_BYTES
    while begin < len(view):
        (length,) = struct.unpack_from("!I", view, begin)
        begin += 4
        block = view[begin : begin + length]
        _check(whole.tell() + _announced_by_snappy(block), most_bytes)
        whole.write(snappy.decompress(bytes(block)))
        begin += length
    return whole.getvalue()


def _announced_by_snappy(block: memoryview) -> int:
    """How long a block will be: the number that it begins with, seven bits a byte; its decoder makes no more of it."""
    size = 0
    for position, byte in enumerate(block[:5]):
        size |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            break
    return size


def _bounded(read: Callable[[int], bytes], most_bytes: int) -> bytes:
    """All that ``read`` gives, in parts."""
    parts: list[bytes] = []
    size = 0
    while part := read(min(_PART_BYTES, most_bytes + 1 - size)):
        parts.append(part)
        size += len(part)
        _check(size, most_bytes)
    return b"".join(parts)


def _check(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise TooLargeError(f"is larger than {most_bytes} bytes when it is decompressed")
