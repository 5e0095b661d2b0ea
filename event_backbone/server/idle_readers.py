"""Connections whose client does not read what it is sent: the kernel ends them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

#: A client that has not read a byte for so long, while something waits for it, is given up.
READS_WITHIN_S = 60.0


def end_idle_readers(port: int, after_s: float) -> bool:
    """Have each connection that this process accepts on ``port`` from now on end when nothing of it was read so long.

    granian has no such limit and shows no socket of its own, but what accepts passes the kernel's limit on (tcp(7),
    ``TCP_USER_TIMEOUT``). Whether this process listens there.
    """
    listeners = [one for one in _own_sockets() if _listens_on(one, port)]
    for one in listeners:
        with one:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(after_s * 1000))
    return bool(listeners)


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


def _listens_on(one: socket.socket, port: int) -> bool:
    """Closes it otherwise."""
    is_tcp = one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM
    if is_tcp and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and one.getsockname()[1] == port:
        return True
    one.close()
    return False
