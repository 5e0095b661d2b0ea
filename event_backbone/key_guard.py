"""Lets requests through that show an API key, and those that need none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

from event_backbone.api_keys import KeyCheck
from event_backbone.problems import CONTENT_TYPE, problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Readable by everybody who can reach the service: probes, figures without personal data, and pages without figures.
OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs"})
OPEN_FOLDERS = ("/static/", "/docs/")
#: The field of a form that carries the key. No column can be called so.
KEY_FIELD = "api-key"

DETAIL = "This needs a good API key, as Authorization: Bearer KEY or X-API-Key: KEY."
_BODY = problem(401, DETAIL)
CHALLENGE = ("WWW-Authenticate", "Bearer")
_HEADERS = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(_BODY))), CHALLENGE]


class KeyGuard:
    """A WSGI application in front of another: 401 without a good key, before a byte of the body is read.

    ``forms``: paths whose POST the application behind checks itself, because a browser's form carries its key in a
    field; it answers 401 as well and counts what it refuses.
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

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._is_open(environ["REQUEST_METHOD"], environ["PATH_INFO"]) or self._keys.accepts(_presented(environ)):
            return self._application(environ, start_response)
        self._count_refusal()
        start_response("401 Unauthorized", _HEADERS)
        return [_BODY]

    def _is_open(self, method: str, path: str) -> bool:
        if method in ("GET", "HEAD"):
            return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)
        return method == "POST" and path in self._forms


def _presented(environ: WSGIEnvironment) -> str:
    scheme, _, key = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(key.strip())
    return str(environ.get("HTTP_X_API_KEY", ""))
