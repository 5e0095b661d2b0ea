"""Authentication by API key, except on routes that need none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from event_backbone.web.api_keys import KeyCheck
from event_backbone.web.problems import problem
from event_backbone.web.responses import retry_after_header, send_problem, try_again

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Readable by everybody who can reach the service: probes, metrics without personal data, and pages without data.
OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs"})
OPEN_FOLDERS = ("/static/", "/docs/")
#: The field of a form that carries the key. No column can be called so.
KEY_FIELD = "api-key"

#: Requests without a key that may be read at the same time: however slowly they come, other threads stay free.
STRANGERS_AT_ONCE = 2
_MOST_DRAINED_BYTES = 4 * 1024 * 1024

DETAIL = "This needs a good API key, as Authorization: Bearer KEY or X-API-Key: KEY."
CHALLENGE = ("WWW-Authenticate", "Bearer")
_REFUSAL = problem(401, DETAIL)
_LATER_S = 1.0
_LATER = problem(503, try_again("Others are sending a form now", _LATER_S))


class KeyGuard:
    """WSGI middleware: 401 without a valid key.

    ``forms``: paths whose POST the application behind checks itself, because a browser's form carries its key in a
    field; it answers 401 as well and counts what it refuses. One that ends with a slash, beside ``/`` alone, stands for
    everything below it.
    """

    def __init__(
        self,
        application: WSGIApplication,
        keys: KeyCheck,
        *,
        count_refusal: Callable[[], None],
        forms: Collection[str] = (),
    ) -> None:
        self._application = application
        self._keys = keys
        self._count_refusal = count_refusal
        self._forms = frozenset(forms)
        self._form_folders = tuple(path for path in self._forms if path.endswith("/") and path != "/")
        self._unlisted_files = threading.BoundedSemaphore(STRANGERS_AT_ONCE)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if _is_open(method, path) or self._keys.accepts(_presented(environ)):
            return self._application(environ, start_response)
        if not self._unlisted_files.acquire(blocking=False):
            return self._turn_away(method, path, start_response)
        try:
            if self._is_form(method, path):
                return self._application(environ, start_response)
            _drain(environ)
            return self._refuse(start_response)
        finally:
            self._unlisted_files.release()

    def _turn_away(self, method: str, path: str, start_response: StartResponse) -> list[bytes]:
        """Answer 401 without reading the body; a client that is still sending may miss it."""
        if self._is_form(method, path):
            return send_problem(start_response, 503, _LATER, ("Retry-After", retry_after_header(_LATER_S)))
        return self._refuse(start_response)

    def _is_form(self, method: str, path: str) -> bool:
        return method == "POST" and (path in self._forms or path.startswith(self._form_folders))

    def _refuse(self, start_response: StartResponse) -> list[bytes]:
        self._count_refusal()
        return send_problem(start_response, 401, _REFUSAL, CHALLENGE)


def _is_open(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and (path in OPEN_PATHS or path.startswith(OPEN_FOLDERS))


def _drain(environ: WSGIEnvironment) -> None:
    """Read and drop the body: a client whose connection closes while it sends never sees the response."""
    stream, left = environ["wsgi.input"], _MOST_DRAINED_BYTES
    while left > 0 and (chunk := stream.read(min(left, 64 * 1024))):
        left -= len(chunk)


def _presented(environ: WSGIEnvironment) -> str:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(key.strip())
    return str(environ.get("HTTP_X_API_KEY", ""))
