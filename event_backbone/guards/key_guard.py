"""Authentication by API key, except on routes that need none."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from event_backbone.guards.api_keys import KeyCheck
from event_backbone.guards.refusal import RequestRefusal
from event_backbone.web.problems import problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Readable by everybody who can reach the service: probes, metrics without personal data, and pages without data.
OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs"})
OPEN_FOLDERS = ("/static/", "/docs/")
#: The field of a form that carries the key. No column can be called so.
KEY_FIELD = "api-key"

DETAIL = "This needs a good API key, as Authorization: Bearer KEY or X-API-Key: KEY."
CHALLENGE = ("WWW-Authenticate", "Bearer")
_REFUSAL = RequestRefusal(401, problem(401, DETAIL), (CHALLENGE,))


class KeyGuard:
    """401 without a valid key.

    ``forms``: paths whose POST the application behind checks itself, because a browser's form carries its key in a
    field; it answers 401 as well and counts what it refuses. One that ends with a slash, beside ``/`` alone, stands for
    everything below it.
    """

    def __init__(self, keys: KeyCheck, *, forms: Collection[str] = ()) -> None:
        self._keys = keys
        self._forms = frozenset(forms)
        self._form_folders = tuple(path for path in self._forms if path.endswith("/") and path != "/")

    def holder(self, environ: WSGIEnvironment) -> str | None:
        """The key that was shown, if it is valid."""
        presented = _presented(environ)
        return presented if self._keys.accepts(presented) else None

    def refusal(self, environ: WSGIEnvironment) -> RequestRefusal | None:
        """For a request without a valid key."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        return None if _is_open(method, path) or self._is_form(method, path) else _REFUSAL

    def _is_form(self, method: str, path: str) -> bool:
        return method == "POST" and (path in self._forms or path.startswith(self._form_folders))


def _is_open(method: str, path: str) -> bool:
    return method in ("GET", "HEAD") and (path in OPEN_PATHS or path.startswith(OPEN_FOLDERS))


def _presented(environ: WSGIEnvironment) -> str:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(key.strip())
    return str(environ.get("HTTP_X_API_KEY", ""))
