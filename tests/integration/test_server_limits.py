"""Clients of a real server that send or read nothing more: what they hold is free again after a time."""

from __future__ import annotations

import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from monitoring_process import free_port, poll_until

MIB = 1024 * 1024
WITHIN_S = 20.0
#: A server here waits so long for its clients: longer than a busy machine stops a test for.
PATIENCE_S = 4.0
#: Answers with as many bytes as its path says, whatever it is sent.
PROGRAM = """
import sys
from event_backbone.guards.access import Access
from event_backbone.server.capacity import Capacity
from event_backbone.server.serve import serve

class Answering:
    def __call__(self, environ, start_response):
        body = bytes(int(environ["PATH_INFO"][1:]))
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def count_unauthorized(self): ...
    def count_shed(self): ...
    def close(self): ...

port, patience_s = int(sys.argv[1]), float(sys.argv[2])
capacity = Capacity(1, 31 * 1024 * 1024, received_within_s=patience_s, reads_within_s=patience_s)
serve(lambda draining: Answering(), host="127.0.0.1", port=port, access=Access(), capacity=capacity)
"""


@contextlib.contextmanager
def serving(patience_s: float = PATIENCE_S) -> Iterator[int]:
    """The port of a server."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(port), str(patience_s)])
    try:
        poll_until(lambda: answers(port, 1), 30)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int, size: int) -> bool:
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/{size}", timeout=WITHIN_S)
    except requests.ConnectionError:
        return False
    return answer.status_code == 200 and len(answer.content) == size


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)


def test_a_body_that_stops_coming_is_408_and_its_place_is_free_again() -> None:
    with serving() as port, connected(port) as slow:
        slow.sendall(b"POST /1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n{" % (31 * MIB))
        began = time.monotonic()
        body = bytes(2 * MIB)
        poll_until(lambda: posted(port, body) == 503, PATIENCE_S)
        head = slow.recv(65536)
        assert head.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began + 0.1 >= PATIENCE_S
        assert posted(port, body) == 200
        all_of(slow)  # the connection is closed behind it


def posted(port: int, body: bytes) -> int:
    return requests.post(f"http://127.0.0.1:{port}/1", data=body, timeout=WITHIN_S).status_code


def test_an_answer_that_nobody_reads_is_given_up_and_its_place_is_free_again() -> None:
    with serving() as port, connected(port) as idle:
        idle.sendall(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % (40 * MIB))
        poll_until(lambda: not answers(port, 30 * MIB), PATIENCE_S)
        poll_until(lambda: answers(port, 30 * MIB), 20 * PATIENCE_S)
        with pytest.raises(ConnectionError):
            all_of(idle)


def all_of(connection: socket.socket) -> int:
    """How many bytes come until it is closed."""
    read_bytes = 0
    while part := connection.recv(MIB):
        read_bytes += len(part)
    return read_bytes


def test_an_answer_that_is_read_slowly_but_steadily_comes_whole() -> None:
    with serving() as port, connected(port) as steady:
        steady.sendall(b"GET /%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % (12 * MIB))
        read_bytes = 0
        for _ in range(4):
            time.sleep(PATIENCE_S / 2)
            read_bytes += len(steady.recv(3 * MIB, socket.MSG_WAITALL))
        assert read_bytes + all_of(steady) > 12 * MIB


@pytest.mark.long
def test_nine_thousand_silent_connections_keep_nobody_waiting() -> None:
    number = 9_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + 1_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"this machine allows a process {hard} files, and {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        with serving(60.0) as port, contextlib.ExitStack() as open_ones:
            began = time.monotonic()
            for _ in range(number):
                open_ones.enter_context(connected(port))
            assert time.monotonic() - began < 25, "granian cuts silent ones after 30 s, so they were never so many"
            assert answers(port, 1)
            assert sockets_on(port) >= number
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sockets_on(port: int) -> int:
    """Connections that the side which listens has, by the kernel's own list."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    established, own = "01", f"0100007F:{port:04X}"
    return sum(1 for _, local, _, state, *_ in map(str.split, lines) if (local, state) == (own, established))
