"""CloudEvents 1.0 headers of messages, written and read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from urllib.parse import quote

Headers = Sequence[tuple[str, bytes]]

EVENT_TYPE = "io.streamgauge."
SPECVERSION = ("ce_specversion", b"1.0")
JSON_CONTENT = ("content-type", b"application/json")


def header(headers: Headers, name: str) -> bytes | None:
    """The first header of this name."""
    for found, value in headers:
        if found == name:
            return value
    return None


def text_header(headers: Headers, name: str) -> str | None:
    """The same as text; invalid UTF-8 is replaced."""
    value = header(headers, name)
    return None if value is None else value.decode(errors="replace")


def is_ours(headers: Headers, case: str) -> bool:
    """Whether a service of this case published the message."""
    source = header(headers, "ce_source")
    return source is not None and source.startswith(source_prefix(case))


@functools.lru_cache(maxsize=64)
def source_prefix(case: str) -> bytes:
    return f"/streamgauge/{case}/".encode()


@functools.lru_cache(maxsize=1024)
def source_uri(case: str, source: str) -> bytes:
    """``ce_source`` for a ``source``; any text is a part of the path."""
    return source_prefix(case) + quote(source, safe=":~").encode()
