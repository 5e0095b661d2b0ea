"""Connections whose client does not read what it is sent: the kernel ends them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

#: A client that has not read a byte for so long, while something waits for it, is given up.
READS_WITHIN_S = 60.0


def end_idle_readers(port: int, after_s: float) -> bool:
    """Have each connection that this process accepts on ``port`` end when nothing of it was read so long.

    granian has no such limit and shows no socket of its own, but what accepts passes the kernel's limit on (tcp(7),
    ``TCP_USER_TIMEOUT``). What was accepted before has no limit yet, so it is called until it returns ``True``: when
    the listener had its limit already.
    """
    limit_ms = int(after_s * 1000)
    had_limit = False
    for one in _own_sockets():
        with one:
            if _is_on(one, port):
                listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                had_limit |= bool(listens) and one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == limit_ms
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)
    return had_limit


def _own_sockets() -> list[socket.socket]:
    """Copies of what this process has open."""
    numbers = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    return [found for number in numbers if (found := _socket_of(number)) is not None]


def _socket_of(number: int) -> socket.socket | None:
    """A copy; ``None`` where it is another kind of file, or was closed meanwhile."""
    try:
        copy = os.dup(number)
    except OSError:
        return None
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return None


def _is_on(one: socket.socket, port: int) -> bool:
    is_tcp = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
    return is_tcp and one.getsockname()[1] == port
