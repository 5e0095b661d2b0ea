from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
from collections.abc import Callable

import lz4.frame
import pytest
import snappy
import zstandard

from event_backbone.decoding.decompression import TooLargeError, from_lz4, from_snappy, from_zstd, gunzipped

MIB = 1024 * 1024
Codec = tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]


def as_javas_library_frames_it(data: bytes) -> bytes:
    blocks = [snappy.compress(data[begin : begin + 32 * 1024]) for begin in range(0, len(data), 32 * 1024)]
    return b"\x82SNAPPY\x00" + struct.pack("!II", 1, 1) + b"".join(struct.pack("!I", len(one)) + one for one in blocks)


def in_a_stream(data: bytes) -> bytes:
    """As a producer makes it that does not know its size before."""
    made = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(made, closefd=False) as writer:
        writer.write(data)
    return made.getvalue()


CODECS: dict[str, Codec] = {
    "gzip": (gzip.compress, gunzipped),
    "gzip in two members": (lambda data: gzip.compress(data[:10]) + gzip.compress(data[10:]), gunzipped),
    "zstd": (zstandard.compress, from_zstd),
    "zstd of unknown size": (in_a_stream, from_zstd),
    "lz4": (lz4.frame.compress, from_lz4),
    "snappy": (snappy.compress, from_snappy),
    "snappy in blocks": (as_javas_library_frames_it, from_snappy),
}
each_codec = pytest.mark.parametrize(("compress", "expand"), CODECS.values(), ids=CODECS)


@each_codec
@pytest.mark.parametrize("size", [0, 1, 100, 256 * 1024, MIB + 1])
def test_what_was_compressed_comes_back(
    compress: Callable[[bytes], bytes], expand: Callable[[bytes, int], bytes], size: int
) -> None:
    data = bytes(number % 251 for number in range(size))
    assert expand(compress(data), size) == data
    assert expand(memoryview(compress(data)), MIB + 1) == data


@each_codec
def test_a_byte_more_than_the_limit_is_too_large(
    compress: Callable[[bytes], bytes], expand: Callable[[bytes, int], bytes]
) -> None:
    assert len(expand(compress(bytes(MIB)), MIB)) == MIB
    with pytest.raises(TooLargeError):
        expand(compress(bytes(MIB + 1)), MIB)


@each_codec
def test_memory_stays_near_the_limit_whatever_a_body_would_expand_to(
    compress: Callable[[bytes], bytes], expand: Callable[[bytes, int], bytes]
) -> None:
    compressed = compress(bytes(32 * MIB))
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        expand(compressed, MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MIB + len(compressed)


@pytest.mark.parametrize("name", ["gzip", "lz4", "snappy", "snappy in blocks"])
def test_what_ends_too_early_is_no_shorter_text(name: str) -> None:
    compress, expand = CODECS[name]
    whole = compress(b"text" * 100)
    with pytest.raises((EOFError, snappy.UncompressError)):
        expand(whole[:-5], MIB)
