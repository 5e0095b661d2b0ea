"""Refusal of encoded bodies: what is read here is what was sent, so no small body can become a large one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from event_backbone.web.problems import problem
from event_backbone.web.request_bodies import drain
from event_backbone.web.responses import send_problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DETAIL = "Bodies are taken as they are: without Content-Encoding, or with identity."
_REFUSAL = problem(415, DETAIL)
_ACCEPTED = ("Accept-Encoding", "identity")
_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


class EncodingGuard:
    """WSGI middleware: 415 for a ``Content-Encoding``, with the one that is taken in ``Accept-Encoding`` (RFC 9110)."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding in ("", "identity") or environ["REQUEST_METHOD"] in _WITHOUT_BODY:
            return self._application(environ, start_response)
        drain(environ["wsgi.input"])
        return send_problem(start_response, 415, _REFUSAL, _ACCEPTED)
