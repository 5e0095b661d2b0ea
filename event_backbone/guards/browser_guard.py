"""What a browser may do: no requests from other pages, no frames around ours, and a policy for every answer.

A browser lets any page post to ``127.0.0.1`` without asking, and a page whose host name is made to point there may even
read the answers. Such requests carry a foreign ``Origin`` or a foreign ``Host``; other clients send neither.

Every answer says that it is what its type says, and that nobody may frame it; one that brings no policy of its own, as
only pages do, may load and run nothing. See ``docs/adr/0019-what-a-page-may-do.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from event_backbone.guards.refusal import RequestRefusal
from event_backbone.web.problems import problem

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


POLICY = "Content-Security-Policy"
_NO_SNIFFING = ("X-Content-Type-Options", "nosniff")
_NO_FRAME = "frame-ancestors 'none'"
_ALWAYS = f"base-uri 'none'; {_NO_FRAME}"
_FOR_NO_PAGE = [_NO_SNIFFING, (POLICY, f"default-src 'none'; form-action 'none'; {_ALWAYS}")]

#: Whoever asks whether a process is there, such as an orchestrator, calls it by an address that nobody knows before.
_PROBES = frozenset({"/livez", "/readyz"})
#: RFC 9110, 7.2: a name or an address, in brackets if it has colons, and perhaps a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]*))(?::\d{0,5})?", re.IGNORECASE)
_FOREIGN_HOST = RequestRefusal(403, problem(403, "The Host header names another host than this service listens on."))
_FOREIGN_ORIGIN = RequestRefusal(403, problem(403, "Pages of another origin may not use this service."))


def page_policy(*directives: str) -> str:
    """The policy of a page that may do a little more than nothing."""
    return "; ".join((*directives, _ALWAYS))


class BrowserGuard:
    """403 for a ``Host`` that is not ours or an ``Origin`` that differs from it.

    ``hosts`` are in small letters, without ports.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(hosts)

    def refusal(self, environ: WSGIEnvironment) -> RequestRefusal | None:
        host = environ.get("HTTP_HOST")
        if host is not None and _without_port(host) not in self._hosts and environ.get("PATH_INFO") not in _PROBES:
            return _FOREIGN_HOST
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and origin.partition("://")[2] != host:
            return _FOREIGN_ORIGIN
        return None


def with_policy(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of an answer, with what every answer says to browsers."""
    for name, policy in headers:
        if name == POLICY:
            return [*headers, _NO_SNIFFING] if _NO_FRAME in policy else [*headers, _NO_SNIFFING, (POLICY, _NO_FRAME)]
    return headers + _FOR_NO_PAGE


def _without_port(host: str) -> str | None:
    """``None`` where the whole is no host, whatever it begins with."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else None
