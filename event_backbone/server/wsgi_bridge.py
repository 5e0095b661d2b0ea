"""RSGI application around a WSGI one: the event loop awaits whole requests, and threads answer them.

A thread is taken when a request is there to its last byte, and is free again before its answer was read. So clients
that send or read slowly, or not at all, wait by themselves, however many they are.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from event_backbone.guards.access import Client, Guards
from event_backbone.guards.browser_guard import with_policy
from event_backbone.guards.refusal import RequestRefusal
from event_backbone.server.admission import AdmissionControl
from event_backbone.server.application import AnswersGroups, Application, GroupHandler, Posted, Response
from event_backbone.server.body_reader import BodyReader, BrokenBodyError, LateBodyError
from event_backbone.server.group_worker import GroupWorker
from event_backbone.server.reading_limit import TooManyBodiesError
from event_backbone.server.unread_limit import (
    LARGE_BYTES,
    UNREAD_BYTES_OF_AN_ADDRESS,
    UNREAD_BYTES_OF_STRANGERS,
    Connection,
    UnreadLimit,
)
from event_backbone.server.worker_threads import WorkerThreads
from event_backbone.web.problems import CONTENT_TYPE, problem
from event_backbone.web.responses import retry_after_header, try_again

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]  # granian's, not declared

log = structlog.get_logger()

#: Answered by a thread of their own, however many requests are worked on or answers unread.
PROBES = frozenset({"/livez", "/readyz", "/metrics", "/status"})
_PROBE_THREADS = 2
#: Their bodies, if they have one, mean nothing (RFC 9110, 9.3.1).
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_ENVIRON = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.url_scheme": "http",
    "wsgi.version": (1, 0),
}
_NO_DATE = re.compile(r"[0-9]{5}")
_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_FAILED = RequestRefusal(500, problem(500, "Something failed here and was logged."))
_LATE = RequestRefusal(
    408, problem(408, "The body did not come in time; nothing was stored."), (("Connection", "close"),)
)
#: A larger body takes so long to decode that others should not wait for it.
_MOST_BYTES_IN_GROUP = 64 * 1024


def _later(reason: str, retry_after_s: float = 1.0) -> RequestRefusal:
    return RequestRefusal(
        503, problem(503, try_again(reason, retry_after_s)), (("Retry-After", retry_after_header(retry_after_s)),)
    )


#: Made once: the more there is to refuse, the less a refusal may cost.
_CROWD = _later("too many requests are in flight")
_MANY_BODIES = _later("too many bodies are still being sent")
_MANY_ANSWERS = _later("too many answers are still being read")
#: Until granian listens.
_LOOK_AGAIN_S = 0.01


class _Request(NamedTuple):
    environ: WSGIEnvironment
    client: Client
    protocol: HTTPProtocol


_InGroup = tuple[Posted, "HTTPProtocol"]


class WsgiBridge:
    """The RSGI callable: guards, admission control and bodies on the event loop, the application in ``threads``."""

    def __init__(
        self,
        application: Application,
        guards: Guards,
        admission: AdmissionControl,
        bodies: BodyReader,
        *,
        threads: int,
        when_listening: Callable[[], bool] = lambda: True,
    ) -> None:
        """``when_listening`` is called from the start on, again and again until it is true."""
        self._application = application
        self._guards = guards
        self._admission = admission
        self._bodies = bodies
        self._unread_of_known = UnreadLimit()
        self._unread_of_strangers = UnreadLimit(UNREAD_BYTES_OF_AN_ADDRESS, UNREAD_BYTES_OF_STRANGERS)
        self._when_listening = when_listening
        self._workers: WorkerThreads[_Request] = WorkerThreads(self._answer, threads, "request")
        self._probe_workers: WorkerThreads[_Request] = WorkerThreads(self._answer, _PROBE_THREADS, "probe")
        self._groups = _group_workers(application)
        self._most_bytes_in_group = min(_MOST_BYTES_IN_GROUP, bodies.most_bytes)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Granian calls it before it listens."""
        if not self._when_listening():
            loop.call_later(_LOOK_AGAIN_S, self.__rsgi_init__, loop)

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        # Before anything else, which costs more than this refusal does.
        if self._admission.is_full() and scope.path not in PROBES:
            return self._shed(protocol, _CROWD)
        environ = environ_of(scope)
        client = self._guards.check(environ)
        if isinstance(client, RequestRefusal):
            await self._bodies.drain(environ, Client(environ["REMOTE_ADDR"], True), protocol)
            return refuse(protocol, client)
        try:
            await self._take(environ, client, protocol)
        except LateBodyError:
            refuse(protocol, _LATE)
        except TooManyBodiesError:
            self._shed(protocol, _MANY_BODIES)
        except BrokenBodyError:
            return None

    async def _take(self, environ: WSGIEnvironment, client: Client, protocol: HTTPProtocol) -> None:
        """Await the body and have the request answered; raises what :class:`BodyReader` does."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        body = b""
        if method not in _WITHOUT_BODY:
            body = await self._bodies.read(environ, client, protocol)
        elif path in PROBES:
            return await self._probe_workers.do(_Request(_with_body(environ, body), client, protocol))
        if not self._admission.enter():
            return self._shed(protocol, _CROWD)
        try:
            if method == "POST" and path in self._groups and len(body) <= self._most_bytes_in_group:
                await self._groups[path].do((Posted(body, time.perf_counter()), protocol))
            else:
                await self._workers.do(_Request(_with_body(environ, body), client, protocol))
        finally:
            self._admission.leave()

    def _shed(self, protocol: HTTPProtocol, refusal: RequestRefusal) -> None:
        self._application.count_shed()
        refuse(protocol, refusal)

    def _answer(self, request: _Request) -> None:
        try:
            response = response_of(self._application, request.environ)
        except Exception:  # the server's border
            log.exception("request_failed")
            refuse(request.protocol, _FAILED)
        else:
            self._send(request, response)

    def _send(self, request: _Request, response: Response) -> None:
        if len(response.body) <= LARGE_BYTES or self._has_room_for(request, len(response.body)):
            _send_response(request.protocol, response)
        else:
            self._shed(request.protocol, _MANY_ANSWERS)

    def _has_room_for(self, request: _Request, answer_bytes: int) -> bool:
        unread = self._unread_of_strangers if request.client.is_stranger else self._unread_of_known
        is_taken = unread.add(request.client.name, _connection_of(request.environ), answer_bytes)
        return is_taken or request.environ["PATH_INFO"] in PROBES


def _group_workers(application: Application) -> dict[str, GroupWorker[_InGroup]]:
    if not isinstance(application, AnswersGroups):
        return {}
    return {
        path: GroupWorker(partial(_answer_group, handler), f"group {path}")
        for path, handler in application.group_handlers.items()
    }


def _answer_group(handler: GroupHandler, group: Sequence[_InGroup]) -> None:
    try:
        responses = handler([posted for posted, _ in group])
        for (_, protocol), response in zip(group, responses, strict=True):
            _send_response(protocol, response)
    except Exception:  # the server's border
        log.exception("requests_failed")
        for _, protocol in group:
            refuse(protocol, _FAILED)


def _send_response(protocol: HTTPProtocol, response: Response) -> None:
    protocol.response_bytes(response.status, with_policy(response.headers), response.body)


def refuse(protocol: HTTPProtocol, refusal: RequestRefusal) -> None:
    headers = [("Content-Type", CONTENT_TYPE), *refusal.headers]
    protocol.response_bytes(refusal.status, with_policy(headers), refusal.body)


def environ_of(scope: Scope) -> WSGIEnvironment:
    """The environment of a request by PEP 3333, without its body."""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        **_ENVIRON,
        "REQUEST_METHOD": scope.method,
        # What stands in a path or a query is UTF-8, and WSGI wants its bytes as they are.
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode().decode("latin-1"),
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "REMOTE_PORT": scope.client.rpartition(":")[2],
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
    }
    for name, value in scope.headers.items():
        key = _NAMES.get(name) or _environ_name(name)
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    _leave_out_what_is_no_date(environ)
    return environ


def _leave_out_what_is_no_date(environ: WSGIEnvironment) -> None:
    """Werkzeug fails at numbers above a year's; what is no date means nothing (RFC 9110, 13.1.3)."""
    if _NO_DATE.search(environ.get("HTTP_IF_MODIFIED_SINCE", "")):
        del environ["HTTP_IF_MODIFIED_SINCE"]
    since = environ.get("HTTP_IF_RANGE", "")
    if '"' not in since and _NO_DATE.search(since):  # a tag may hold any number
        del environ["HTTP_IF_RANGE"]
        environ.pop("HTTP_RANGE", None)  # a part of what changed would be worse than all of it


def _connection_of(environ: WSGIEnvironment) -> Connection:
    address = environ["REMOTE_ADDR"].removeprefix("[").removesuffix("]")
    return Connection(int(environ["SERVER_PORT"]), address, int(environ["REMOTE_PORT"]))


def _environ_name(name: str) -> str:
    # With an underscore it is not the header that has a dash there, so it keeps a name that nobody reads.
    key = f"HTTP_{name.upper().replace('-', '_')}" if "_" not in name else f"UNREAD_{name}"
    if len(_NAMES) < 200:
        _NAMES[name] = key
    return key


def _with_body(environ: WSGIEnvironment, body: bytes) -> WSGIEnvironment:
    environ["wsgi.input"] = io.BytesIO(body)
    return environ


def response_of(application: WSGIApplication, environ: WSGIEnvironment) -> Response:
    """What a WSGI application answers, whole."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_rest: Any) -> Any:
        started.append((status, headers))

    parts = application(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    status, headers = started[-1]
    return Response(int(status[:3]), headers, body)
