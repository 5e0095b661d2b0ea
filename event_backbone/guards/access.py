"""Access control of a service: all guards as one, asked before a request's body is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from event_backbone.guards.api_keys import ApiKeys, KeyCheck
from event_backbone.guards.browser_guard import BrowserGuard, with_policy
from event_backbone.guards.encoding_guard import encoding_refusal
from event_backbone.guards.key_guard import KeyGuard
from event_backbone.guards.refusal import RequestRefusal
from event_backbone.settings import LOOPBACK_HOSTS, ListeningSettings
from event_backbone.web.responses import send_problem

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Client(NamedTuple):
    """Who sends a request: a key or an address. ``is_stranger``: there are keys, and none of them was shown."""

    name: str
    is_stranger: bool


@dataclass(frozen=True, slots=True)
class Access:
    """Access control: allowed host names, and API keys (``None``: anybody on this machine).

    ``forms``: paths (or folders, with a slash at the end) where the application checks the key of a posted form itself,
    with the same ``keys``.
    """

    hosts: frozenset[str] = LOOPBACK_HOSTS
    keys: KeyCheck | None = None
    forms: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: ListeningSettings, *, forms: Collection[str] = ()) -> Access:
        """Raises :class:`SettingsError` when there is a keys file that can't be used."""
        keys = ApiKeys(settings.api_keys_file) if settings.api_keys_file else None
        return cls(LOOPBACK_HOSTS.union(settings.allowed_hosts), keys, frozenset(forms))


class Guards:
    """Decide by a request's head whether its application may see it. Thread-safe."""

    def __init__(self, access: Access, count_unauthorized: Callable[[], None]) -> None:
        self._browser = BrowserGuard(access.hosts)
        self._key = KeyGuard(access.keys, forms=access.forms) if access.keys is not None else None
        self._count_unauthorized = count_unauthorized

    def check(self, environ: WSGIEnvironment) -> Client | RequestRefusal:
        refusal = self._browser.refusal(environ)
        if refusal is not None:
            return refusal
        client = self._client_of(environ)
        if isinstance(client, RequestRefusal):
            self._count_unauthorized()
            return client
        return encoding_refusal(environ) or client

    def _client_of(self, environ: WSGIEnvironment) -> Client | RequestRefusal:
        if self._key is None:
            return Client(address_of(environ), False)
        holder = self._key.holder(environ)
        if holder is not None:
            return Client(holder, False)
        return self._key.refusal(environ) or Client(address_of(environ), True)


class GuardedApplication:
    """WSGI middleware: :class:`Guards` before an application whose server has no bridge of ours.

    Bodies are left unread: on a connection that stays open, nobody knows where one that was not announced ends.
    """

    def __init__(self, application: WSGIApplication, guards: Guards) -> None:
        self._application = application
        self._guards = guards

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, with_policy(headers), *rest)

        found = self._guards.check(environ)
        if isinstance(found, RequestRefusal):
            return send_problem(start, found.status, found.body, *found.headers)
        return self._application(environ, start)


def address_of(environ: WSGIEnvironment) -> str:
    return str(environ.get("REMOTE_ADDR", ""))
