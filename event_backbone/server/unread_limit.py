"""Limit of the large answers that clients have not read yet.

granian takes an answer whole, keeps it until its client has read it, and tells nobody when that is. The kernel does: it
counts what a connection has to send. It is asked when a client seems to leave too much unread, once a second at most.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

MIB = 1024 * 1024
#: Smaller answers are not counted: the kernel takes most of them over from us.
LARGE_BYTES = 64 * 1024
#: Large answers that one client may leave unread, and all clients together.
UNREAD_BYTES_OF_A_CLIENT, UNREAD_BYTES = 64 * MIB, 128 * MIB
#: The same of those without a key, where there are keys: by address. The largest answer that is open has 2 MB.
UNREAD_BYTES_OF_AN_ADDRESS, UNREAD_BYTES_OF_STRANGERS = 8 * MIB, 32 * MIB
#: How long an answer counts before the kernel is asked for it, and the time from one question to the next.
_LOOK_AFTER_S = 1.0


class Connection(NamedTuple):
    """Our port, and the client's address and port."""

    port: int
    peer: str
    peer_port: int


class _Unread(NamedTuple):
    client: str
    size: int
    since: float


class UnreadLimit:
    """Counts answers by client until the kernel has nothing of them left to send. Thread-safe."""

    def __init__(
        self,
        of_a_client: int = UNREAD_BYTES_OF_A_CLIENT,
        at_once: int = UNREAD_BYTES,
        *,
        sending: Callable[[], set[Connection]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``sending``: the connections on which something was not read yet; by default as the kernel says."""
        self._of_a_client = of_a_client
        self._at_once = at_once
        self._sending = sending or connections_sending
        self._clock = clock
        self._lock = threading.Lock()
        self._unread: dict[Connection, _Unread] = {}
        self._look_at = clock()

    def add(self, client: str, connection: Connection, answer_bytes: int) -> bool:
        """Count an answer that will be sent, unless too much is unread: then it is ``False``, and nothing may be."""
        # One that is larger than all that a client may leave unread can be sent when it is the only one.
        size = min(answer_bytes, self._of_a_client)
        with self._lock:
            # Who asks again on the same connection has read what came before.
            self._unread.pop(connection, None)
            if not self._has_room(client, size):
                self._forget_what_was_read()
                if not self._has_room(client, size):
                    return False
            self._unread[connection] = _Unread(client, size, self._clock())
            return True

    def _has_room(self, client: str, size: int) -> bool:
        unread = self._unread.values()
        of_client = sum(one.size for one in unread if one.client == client)
        return of_client + size <= self._of_a_client and sum(one.size for one in unread) + size <= self._at_once

    def _forget_what_was_read(self) -> None:
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_AFTER_S
        sending = self._sending()
        self._unread = {
            connection: one
            for connection, one in self._unread.items()
            if connection in sending or now - one.since < _LOOK_AFTER_S
        }


def connections_sending() -> set[Connection]:
    """Connections of this machine on which the other side has not taken everything yet."""
    return {found for name in ("tcp", "tcp6") for found in _listed_in(Path("/proc/net") / name)}


def _listed_in(path: Path) -> Iterator[Connection]:
    """By proc_pid_net(5); a machine without IPv6 has no list of it."""
    if not path.exists():
        return
    for line in path.read_text(encoding="ascii").splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if not queues.startswith("00000000:"):
            address, _, port = remote.partition(":")
            yield Connection(int(local.partition(":")[2], 16), address_of(address), int(port, 16))


def address_of(digits: str) -> str:
    """Of an address as proc_pid_net(5) has it: words of 32 bits, each in the machine's own order."""
    words = [struct.pack("=I", int(digits[begin : begin + 8], 16)) for begin in range(0, len(digits), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))
