"""The answer of a guard that does not let a request through."""

from __future__ import annotations

from typing import NamedTuple


class RequestRefusal(NamedTuple):
    """A problem document, its status, and what headers it needs beside type and length."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
