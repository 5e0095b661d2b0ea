"""RSGI application around a WSGI one: the event loop awaits whole requests, and threads answer them.

A thread is taken when a request is there to its last byte, and is free again before its answer was read. So clients
that send or read slowly, or not at all, wait by themselves, however many they are.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.guards.access import Client, Guards
from event_backbone.guards.browser_guard import with_policy
from event_backbone.guards.denial import Denial
from event_backbone.server.admission import AdmissionControl
from event_backbone.server.body_reader import BodyReader, BrokenBodyError, LateBodyError
from event_backbone.server.worker_threads import WorkerThreads
from event_backbone.web.problems import CONTENT_TYPE, problem
from event_backbone.web.responses import retry_after_header, try_again

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from granian.rsgi import HTTPProtocol, Scope  # type: ignore[attr-defined]  # granian's, not declared

log = structlog.get_logger()

#: Answered by a thread of their own, however many requests are worked on.
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
_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_LATE = Denial(408, problem(408, "The body did not come in time; nothing was stored."), (("Connection", "close"),))
_FAILED = Denial(500, problem(500, "Something failed here and was logged."))
_CROWD_RETRY_AFTER_S = 1.0


class Application(Protocol):
    """A WSGI callable that owns resources; :meth:`close` is called once, after the last request."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]: ...

    def count_unauthorized(self) -> None:
        """Count a request without a valid API key."""
        ...

    def count_shed(self) -> None:
        """Count a request that was told to come back later, because too many are here."""
        ...

    def close(self) -> None: ...


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _Request(NamedTuple):
    environ: WSGIEnvironment
    protocol: HTTPProtocol


class WsgiBridge:
    """The RSGI callable: guards, admission control and bodies on the event loop, the application in ``threads``."""

    def __init__(
        self, application: Application, guards: Guards, admission: AdmissionControl, bodies: BodyReader, *, threads: int
    ) -> None:
        self._application = application
        self._guards = guards
        self._admission = admission
        self._bodies = bodies
        self._workers: WorkerThreads[_Request] = WorkerThreads(self._answer, threads, "request")
        self._probe_workers: WorkerThreads[_Request] = WorkerThreads(self._answer, _PROBE_THREADS, "probe")

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        environ = environ_of(scope)
        client = self._guards.check(environ)
        if isinstance(client, Denial):
            await self._bodies.drain(environ, Client(scope.client.rpartition(":")[0], True), protocol)
            return send_refusal(protocol, client)
        if environ["REQUEST_METHOD"] in _WITHOUT_BODY:
            body = b""
            if environ["PATH_INFO"] in PROBES:
                return await self._probe_workers.do(_Request(_with_body(environ, body), protocol))
        else:
            try:
                body = await self._bodies.read(environ, client, protocol)
            except LateBodyError:
                return send_refusal(protocol, _LATE)
            except BrokenBodyError:
                return None
            except TryAgainLaterError as error:
                return self._shed(protocol, str(error), error.retry_after_s)
        if not self._admission.enter():
            return self._shed(protocol, "too many requests are in flight", _CROWD_RETRY_AFTER_S)
        try:
            await self._workers.do(_Request(_with_body(environ, body), protocol))
        finally:
            self._admission.leave()

    def _shed(self, protocol: HTTPProtocol, reason: str, retry_after_s: float) -> None:
        self._application.count_shed()
        headers = (("Retry-After", retry_after_header(retry_after_s)),)
        send_refusal(protocol, Denial(503, problem(503, try_again(reason, retry_after_s)), headers))

    def _answer(self, request: _Request) -> None:
        try:
            response = response_of(self._application, request.environ)
        except Exception:  # the server's border
            log.exception("request_failed")
            send_refusal(request.protocol, _FAILED)
        else:
            request.protocol.response_bytes(response.status, with_policy(response.headers), response.body)


def send_refusal(protocol: HTTPProtocol, refusal: Denial) -> None:
    headers = [("Content-Type", CONTENT_TYPE), *refusal.headers]
    protocol.response_bytes(refusal.status, with_policy(headers), refusal.body)


def environ_of(scope: Scope) -> WSGIEnvironment:
    """The environment of a request by PEP 3333, without its body."""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        **_ENVIRON,
        "REQUEST_METHOD": scope.method,
        # What stands in a path is UTF-8, and WSGI wants its bytes as they are.
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
    }
    for name, value in scope.headers.items():
        key = _NAMES.get(name) or _environ_name(name)
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


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
