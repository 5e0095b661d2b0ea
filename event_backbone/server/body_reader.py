"""Reading of request bodies on the event loop, within size, time and what clients may be sending at once."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

from event_backbone.errors import StreamgaugeError
from event_backbone.guards.access import Client
from event_backbone.server.reading_limit import (
    BYTES_OF_AN_ADDRESS,
    BYTES_OF_STRANGERS,
    MIB,
    ReadingLimit,
    TooManyBodiesError,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from granian.rsgi import HTTPProtocol  # type: ignore[attr-defined]  # granian's, which it does not declare

#: A body that has not come whole after so long is not awaited any longer.
RECEIVED_WITHIN_S = 60.0
#: Of a body that comes in few parts.
_SMALL_BYTES = 64 * 1024
#: Of a request that is refused anyway, only so that its sender sees the answer.
_DRAINED_WITHIN_S, _MOST_DRAINED_BYTES = 5.0, 16 * MIB


class LateBodyError(StreamgaugeError):
    """A body did not come within its time."""


class BrokenBodyError(StreamgaugeError):
    """The client went away before its body was whole."""


class BodyReader:
    """Reads bodies of up to ``most_bytes``; of a larger one as much as shows that it is larger."""

    def __init__(self, most_bytes: int, *, within_s: float = RECEIVED_WITHIN_S) -> None:
        self.most_bytes = most_bytes
        self._within_s = within_s
        self._known = ReadingLimit()
        self._strangers = ReadingLimit(BYTES_OF_AN_ADDRESS, BYTES_OF_STRANGERS)

    async def read(self, environ: WSGIEnvironment, client: Client, protocol: HTTPProtocol) -> bytes:
        """The body.

        Raises:
            TooManyBodiesError: nothing was read.
            LateBodyError: it did not come within its time.
            BrokenBodyError: the client is gone.
        """
        announced = announced_bytes(environ)
        expected = self.most_bytes + 1 if announced is None else announced
        if not expected:
            return b""
        limit = self._strangers if client.is_stranger else self._known
        with limit.receiving(client.name, min(expected, self.most_bytes + 1)):
            try:
                async with asyncio.timeout(self._within_s):
                    if expected <= min(_SMALL_BYTES, self.most_bytes):
                        body = await _at_once(protocol)
                    else:
                        body = await _in_parts(protocol, self.most_bytes + 1)
            except TimeoutError:
                raise LateBodyError("the body did not come in time") from None
        if announced is not None and len(body) < min(announced, self.most_bytes + 1):
            raise BrokenBodyError("the client is gone")
        return body

    async def drain(self, environ: WSGIEnvironment, client: Client, protocol: HTTPProtocol) -> None:
        """Read on for a while: a client whose connection closes while it sends never sees the response.

        Not beside too many others, though: then one that is still sending may miss it.
        """
        if announced_bytes(environ) == 0:
            return
        limit = self._strangers if client.is_stranger else self._known
        try:
            with limit.receiving(client.name, 0):
                async with asyncio.timeout(_DRAINED_WITHIN_S):
                    await _in_parts(protocol, 0)
        except (TooManyBodiesError, TimeoutError):
            return


def announced_bytes(environ: WSGIEnvironment) -> int | None:
    """The length of the body, or ``None`` if it comes in chunks of any number."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return None
    return int(environ.get("CONTENT_LENGTH") or 0)


async def _at_once(protocol: HTTPProtocol) -> bytes:
    from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]  # granian's, which it does not declare

    try:
        return await protocol()
    except ProtocolClosed:
        raise BrokenBodyError("the client is gone") from None


async def _in_parts(protocol: HTTPProtocol, most_bytes: int) -> bytes:
    """The beginning of the body, and the rest of it is skipped.

    What granian gathers at once takes several times its size, and is kept.
    """
    body, read_bytes = io.BytesIO(), 0
    async for part in protocol:
        body.write(part[: most_bytes - body.tell()])
        read_bytes += len(part)
        if read_bytes >= most_bytes + _MOST_DRAINED_BYTES:
            break
    return body.getvalue()
