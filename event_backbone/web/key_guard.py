"""Authentication by API key, except on routes that need none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from event_backbone.web.api_keys import KeyCheck
from event_backbone.web.problems import problem
from event_backbone.web.reading_limit import LimitedBodies, Places, ReadingLimit, TooManyBodiesError, address_of
from event_backbone.web.request_bodies import drain
from event_backbone.web.responses import send_problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Readable by everybody who can reach the service: probes, metrics without personal data, and pages without data.
OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs"})
OPEN_FOLDERS = ("/static/", "/docs/")
#: The field of a form that carries the key. No column can be called so.
KEY_FIELD = "api-key"

#: Bodies without a key that one address may be sending at once, and all addresses together.
BODIES_OF_AN_ADDRESS, STRANGERS_AT_ONCE = 2, 8
_MOST_DRAINED_BYTES = 4 * 1024 * 1024

DETAIL = "This needs a good API key, as Authorization: Bearer KEY or X-API-Key: KEY."
CHALLENGE = ("WWW-Authenticate", "Bearer")
_REFUSAL = problem(401, DETAIL)


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
        places: Places,
        *,
        count_refusal: Callable[[], None],
        forms: Collection[str] = (),
    ) -> None:
        self._of_holders = LimitedBodies(application, places, _presented, ReadingLimit())
        self._strangers = ReadingLimit(BODIES_OF_AN_ADDRESS, STRANGERS_AT_ONCE)
        self._of_strangers = LimitedBodies(application, places, address_of, self._strangers)
        self._keys = keys
        self._count_refusal = count_refusal
        self._forms = frozenset(forms)
        self._form_folders = tuple(path for path in self._forms if path.endswith("/") and path != "/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if self._keys.accepts(_presented(environ)):
            return self._of_holders(environ, start_response)
        if _is_open(method, path) or self._is_form(method, path):
            return self._of_strangers(environ, start_response)
        self._drain(environ)
        self._count_refusal()
        return send_problem(start_response, 401, _REFUSAL, CHALLENGE)

    def _drain(self, environ: WSGIEnvironment) -> None:
        """Read and drop the body: a client whose connection closes while it sends never sees the response.

        Not beside too many others, though: then one that is still sending may miss it.
        """
        address = address_of(environ)
        try:
            self._strangers.enter(address)
        except TooManyBodiesError:
            return
        try:
            drain(environ["wsgi.input"], _MOST_DRAINED_BYTES)
        finally:
            self._strangers.leave(address)

    def _is_form(self, method: str, path: str) -> bool:
        return method == "POST" and (path in self._forms or path.startswith(self._form_folders))


def _is_open(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and (path in OPEN_PATHS or path.startswith(OPEN_FOLDERS))


def _presented(environ: WSGIEnvironment) -> str:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(key.strip())
    return str(environ.get("HTTP_X_API_KEY", ""))
