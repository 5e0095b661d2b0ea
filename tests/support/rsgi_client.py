"""A client of an RSGI application, without a server: what granian hands over, and how a body comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass
class Scope:
    method: str
    path: str
    headers: Mapping[str, str]
    client: str = "127.0.0.1:50000"
    query_string: str = ""
    server: str = "127.0.0.1:9696"
    http_version: str = "1.1"


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Exchange:
    """One request and its answer. The parts of a body come as they are let: :meth:`send`, and :meth:`end`."""

    def __init__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
        port: int = 50000,
        announced: int | None = -1,
        query: str = "",
    ) -> None:
        """``announced``: the length that is told; by default the true one, ``None`` for chunks of any number."""
        told = {} if announced is None else {"content-length": str(len(body) if announced < 0 else announced)}
        chunked = {"transfer-encoding": "chunked"} if announced is None else {}
        self.scope = Scope(method, path, {**told, **chunked, **(headers or {})}, f"{client}:{port}", query)
        self.answer = Answer()
        self.read_bytes = 0
        self._parts: asyncio.Queue[bytes] = asyncio.Queue()
        self._is_read = False
        if body:
            self.send(body)
        if len(body) == announced or announced is None or announced < 0:
            self.end()

    def send(self, part: bytes) -> None:
        self._parts.put_nowait(part)

    def end(self) -> None:
        """The body is whole, or the client went away."""
        self._parts.put_nowait(b"")

    # The protocol of RSGI.

    async def __call__(self) -> bytes:
        return b"".join([part async for part in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert not self._is_read, "granian lets nobody begin twice"
        self._is_read = True
        while part := await self._parts.get():
            self.read_bytes += len(part)
            yield part

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert not self.answer.status, "answered twice"
        self.answer = Answer(status, dict(headers), body)


async def answered(application: Any, exchange: Exchange, *, within_s: float = 10.0) -> Answer:
    await asyncio.wait_for(application(exchange.scope, exchange), within_s)
    return exchange.answer


def run(session: Coroutine[Any, Any, Result]) -> Result:
    """In a thread of its own: a browser's tests leave an event loop behind in the thread that runs them."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, session).result()
