"""Protection against requests from other web pages: checks of ``Host`` and ``Origin``.

A browser lets any page post to ``127.0.0.1`` without asking, and a page whose host name is made to point there may even
read the answers. Such requests carry a foreign ``Origin`` or a foreign ``Host``; other clients send neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from event_backbone.web.problems import problem
from event_backbone.web.responses import send_problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


#: Whoever asks whether a process is there, such as an orchestrator, calls it by an address that nobody knows before.
_PROBES = frozenset({"/livez", "/readyz"})
#: RFC 9110, 7.2: a name or an address, in brackets if it has colons, and perhaps a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]*))(?::\d{0,5})?", re.IGNORECASE)
_FOREIGN_HOST = problem(403, "The Host header names another host than this service listens on.")
_FOREIGN_ORIGIN = problem(403, "Pages of another origin may not use this service.")


class BrowserGuard:
    """WSGI middleware: 403 for a ``Host`` that is not ours or an ``Origin`` that differs from it.

    ``hosts`` are in small letters, without ports.
    """

    def __init__(self, application: WSGIApplication, hosts: Iterable[str]) -> None:
        self._application = application
        self._hosts = frozenset(hosts)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST")
        if host is not None and _without_port(host) not in self._hosts and environ.get("PATH_INFO") not in _PROBES:
            return send_problem(start_response, 403, _FOREIGN_HOST)
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.partition("://")[2] != host:
            return send_problem(start_response, 403, _FOREIGN_ORIGIN)
        return self._application(environ, start_response)


def _without_port(host: str) -> str | None:
    """``None`` where the whole is no host, whatever it begins with."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else None
