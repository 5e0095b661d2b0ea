"""Refusal of encoded bodies: what is read here is what was sent, so no small body can become a large one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from event_backbone.guards.refusal import RequestRefusal
from event_backbone.web.problems import problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

DETAIL = "Bodies are taken as they are: without Content-Encoding, or with identity."
_REFUSAL = RequestRefusal(415, problem(415, DETAIL), (("Accept-Encoding", "identity"),))
#: Methods whose body, if there is one, means nothing here.
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


def encoding_refusal(environ: WSGIEnvironment) -> RequestRefusal | None:
    """415 for a ``Content-Encoding``, with the one that is taken in ``Accept-Encoding`` (RFC 9110, 12.5.3)."""
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    return None if coding in ("", "identity") or environ["REQUEST_METHOD"] in _BODILESS else _REFUSAL
