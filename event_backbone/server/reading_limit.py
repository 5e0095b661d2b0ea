"""Limit of the request bodies that are being received, by client and in all."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from event_backbone.errors import StreamgaugeError

MIB = 1024 * 1024
#: Bodies that one client may be sending at once, and all clients together.
BYTES_OF_A_CLIENT, BYTES_AT_ONCE = 32 * MIB, 64 * MIB
#: The same of those without a key, where there are keys: by address.
BYTES_OF_AN_ADDRESS, BYTES_OF_STRANGERS = 2 * MIB, 8 * MIB
#: What the smallest body counts: its connection may buffer so much. So there are at most 1024 at once.
LEAST_BYTES = 64 * 1024


class TooManyBodiesError(StreamgaugeError):
    """Too many others are being sent, by the same client or by all; nothing of this body was read."""


class ReadingLimit:
    """Counts the bytes of bodies that are being received, by client. For one thread."""

    def __init__(self, of_a_client: int = BYTES_OF_A_CLIENT, at_once: int = BYTES_AT_ONCE) -> None:
        self._of_a_client = of_a_client
        self._at_once = at_once
        self._by_client: Counter[str] = Counter()
        self._all = 0

    @contextlib.contextmanager
    def receiving(self, client: str, announced_bytes: int) -> Iterator[None]:
        """Raises :class:`TooManyBodiesError`."""
        counted = max(announced_bytes, LEAST_BYTES)
        if self._all + counted > self._at_once or self._by_client[client] + counted > self._of_a_client:
            raise TooManyBodiesError("too many bodies are still being sent")
        self._by_client[client] += counted
        self._all += counted
        try:
            yield
        finally:
            self._all -= counted
            self._by_client[client] -= counted
            if not self._by_client[client]:
                del self._by_client[client]
