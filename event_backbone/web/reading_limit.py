"""Reading of request bodies: one that comes slowly, or does not come, takes nobody's place.

A thread waits for each body. There are enough of them, and every client may keep only some waiting, so those that send
slowly wait by themselves. Reading a body that is there takes microseconds, and meets no limit.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from event_backbone.errors import TryAgainLaterError
from event_backbone.web.problems import problem
from event_backbone.web.responses import retry_after_header, send_problem, try_again

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

#: Bodies that one client may be sending at once, and all clients together.
BODIES_OF_A_CLIENT, BODIES_AT_ONCE = 40, 48
#: Requests that wait for a place; more threads that take turns would make those with a place slow.
WAITING_AT_ONCE = 8
#: Answered in a thread more, however many requests are worked on.
PROBES = frozenset({"/livez", "/readyz", "/metrics", "/status"})
#: Their bodies, if they have one, mean nothing (RFC 9110, 9.3.1).
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class TooManyBodiesError(TryAgainLaterError):
    """Too many others are being sent, by the same client or by all; nothing of this body was read."""


class TooManyRequestsError(TryAgainLaterError):
    """Too many others wait for a place; nothing of this request was worked on."""


class ReadingLimit:
    """Counts the bodies that are being read, by client. Thread-safe."""

    def __init__(self, of_a_client: int = BODIES_OF_A_CLIENT, at_once: int = BODIES_AT_ONCE) -> None:
        self._of_a_client = of_a_client
        self._at_once = at_once
        self._reading: Counter[str] = Counter()
        self._all = 0
        self._lock = threading.Lock()

    def enter(self, client: str) -> None:
        """Raises :class:`TooManyBodiesError`."""
        with self._lock:
            if self._all >= self._at_once or self._reading[client] >= self._of_a_client:
                raise TooManyBodiesError("too many bodies are still being sent", 1.0)
            self._reading[client] += 1
            self._all += 1

    def leave(self, client: str) -> None:
        with self._lock:
            self._all -= 1
            self._reading[client] -= 1
            if not self._reading[client]:
                del self._reading[client]


class Places:
    """Requests that are worked on at once, and so many that wait: more would leave no thread to answer a probe.

    Thread-safe.
    """

    def __init__(self, at_once: int, waiting: int = WAITING_AT_ONCE) -> None:
        self._working = threading.BoundedSemaphore(at_once)
        self._inside = threading.BoundedSemaphore(at_once + waiting)

    def enter(self) -> None:
        """Wait for a place; raises :class:`TooManyRequestsError`."""
        if not self._inside.acquire(blocking=False):
            raise TooManyRequestsError("too many requests are waiting", 1.0)
        self._working.acquire()

    def leave(self) -> None:
        self._working.release()
        self._inside.release()

    @contextlib.contextmanager
    def given_back(self) -> Iterator[None]:
        """Let others work for the time of a wait."""
        self.leave()
        try:
            yield
        finally:
            self._inside.acquire()
            self._working.acquire()


class LimitedBody:
    """``wsgi.input`` of one request: counts while it is read, and gives the request's place back meanwhile."""

    def __init__(self, stream: InputStream, limit: ReadingLimit, client: str, places: Places) -> None:
        self._stream = stream
        self._limit = limit
        self._client = client
        self._places = places

    def read(self, size: int | None = None, /) -> bytes:
        """Everything without a ``size``. Raises :class:`TooManyBodiesError`."""
        self._limit.enter(self._client)
        try:
            with self._places.given_back():
                # granian 2.8 takes a negative size for an error, where io takes it for everything.
                return self._stream.read() if size is None or size < 0 else self._stream.read(size)
        finally:
            self._limit.leave(self._client)


class LimitedBodies:
    """WSGI middleware: at most as many requests as there are ``places`` are worked on, and bodies are awaited aside.

    ``client_of`` names the client of a request. 503 with ``Retry-After`` where one has too many bodies under way.
    """

    def __init__(
        self,
        application: WSGIApplication,
        places: Places,
        client_of: Callable[[WSGIEnvironment], str],
        limit: ReadingLimit,
    ) -> None:
        self._application = application
        self._places = places
        self._client_of = client_of
        self._limit = limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in _WITHOUT_BODY:
            environ["wsgi.input"] = io.BytesIO()
            environ.pop("CONTENT_LENGTH", None)
            if environ["PATH_INFO"] in PROBES:
                return self._application(environ, start_response)
        else:
            stream: Any = environ["wsgi.input"]
            environ["wsgi.input"] = LimitedBody(stream, self._limit, self._client_of(environ), self._places)
        try:
            return self._answer(environ, start_response)
        except (TooManyBodiesError, TooManyRequestsError) as error:
            body = problem(503, try_again(str(error), error.retry_after_s))
            return send_problem(start_response, 503, body, ("Retry-After", retry_after_header(error.retry_after_s)))

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self._places.enter()
        try:
            return self._application(environ, start_response)
        finally:
            self._places.leave()


def address_of(environ: WSGIEnvironment) -> str:
    return str(environ.get("REMOTE_ADDR", ""))
