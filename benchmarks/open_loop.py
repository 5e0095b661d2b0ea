"""An open-loop client: requests are due at times drawn beforehand, whether or not the server keeps up.

Latency counts from the moment a request was due, so a server that falls behind can't hide it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

_HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"


@dataclass
class Outcome:
    """What came of one run; latencies in seconds."""

    latencies_s: dict[int, list[float]] = field(default_factory=dict)
    answered_ids: list[str] = field(default_factory=list)
    without_retry_after: int = 0
    broken: int = 0

    def count(self, status: int) -> int:
        return len(self.latencies_s.get(status, ()))

    def quantile_s(self, status: int, share: float) -> float:
        ordered = sorted(self.latencies_s[status])
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self, client: OpenLoop) -> None:
        self._client = client
        self._received = b""
        self._due = 0.0
        self._record_id = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, due: float, record_id: str, request: bytes) -> None:
        assert self._transport is not None
        self._due, self._record_id = due, record_id
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        length = int(lowered.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) >= length:
            self._received = b""
            self._client.done(self, self._due, self._record_id, int(head[9:12]), b"\r\nretry-after:" in lowered)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.lost(self)


class OpenLoop:
    """Sends to one URL path of one server on loopback, over at most ``max_connections``."""

    def __init__(
        self, port: int, bodies: Sequence[bytes], *, max_connections: int = 512, api_key: str | None = None
    ) -> None:
        self._port = port
        self._bodies = bodies
        self._max_connections = max_connections
        self._key_header = f"X-API-Key: {api_key}\r\n".encode() if api_key else b""
        self._free: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._waiting: deque[tuple[float, int]] = deque()
        self._prefix = ""
        self.outcome = Outcome()

    async def run(self, rate_per_s: float, seconds: float, *, seed: int, prefix: str) -> Outcome:
        """Requests at ``rate_per_s`` on average, with exponential gaps, for ``seconds``."""
        self._prefix = prefix
        await self._connect()
        draw = random.Random(seed)
        start, due, number = time.perf_counter(), 0.0, 0
        while True:
            due += draw.expovariate(rate_per_s)
            if due > seconds:
                break
            while (wait_s := start + due - time.perf_counter()) > 0:
                await asyncio.sleep(wait_s if wait_s > 0.001 else 0)
            self._send(start + due, number)
            number += 1
            if number % 16 == 0:
                await asyncio.sleep(0)
        await self._drain()
        return self.outcome

    async def run_closed(self, connections: int, seconds: float, *, prefix: str) -> float:
        """Closed loop: every connection sends as soon as it was answered; returns answers per second (the capacity)."""
        self._prefix = prefix
        self._max_connections = connections
        await self._connect()
        start = time.perf_counter()
        number = 0
        while time.perf_counter() - start < seconds:
            while self._free:
                self._send(time.perf_counter(), number)
                number += 1
            await asyncio.sleep(0)
        elapsed_s = time.perf_counter() - start
        answered = self.outcome.count(200)
        await self._drain()
        return answered / elapsed_s

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._max_connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
            self._free.append(connection)

    def _send(self, due: float, number: int) -> None:
        if not self._free:
            self._waiting.append((due, number))
            return
        connection = self._free.pop()
        self._busy.add(connection)
        record_id = f"{self._prefix}-{number}"
        body = b'{"record_id":"' + record_id.encode() + b'",' + self._bodies[number % len(self._bodies)][1:]
        connection.send(due, record_id, _HEAD % (self._key_header, len(body)) + body)

    def done(self, connection: _Connection, due: float, record_id: str, status: int, retry_after: bool) -> None:
        self.outcome.latencies_s.setdefault(status, []).append(time.perf_counter() - due)
        if status == 200:
            self.outcome.answered_ids.append(record_id)
        elif not retry_after:
            self.outcome.without_retry_after += 1
        self._busy.discard(connection)
        self._free.append(connection)
        if self._waiting:
            self._send(*self._waiting.popleft())

    def lost(self, connection: _Connection) -> None:
        if connection in self._busy:
            self._busy.discard(connection)
            self.outcome.broken += 1

    async def _drain(self, timeout_s: float = 30) -> None:
        deadline = time.perf_counter() + timeout_s
        while (self._busy or self._waiting) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
