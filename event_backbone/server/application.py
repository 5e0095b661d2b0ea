"""What a server asks of the application that it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Application(Protocol):
    """A WSGI callable that owns resources; :meth:`close` is called once, after the last request."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]: ...

    def count_unauthorized(self) -> None:
        """Count a request without a valid API key."""
        ...

    def count_shed(self) -> None:
        """Count a request that was told to come back later, because too many are here."""
        ...

    def close(self) -> None: ...


class Posted(NamedTuple):
    """A request as a group has it: its body, and when that was whole, by ``time.perf_counter``."""

    body: bytes
    since_s: float


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


GroupHandler = Callable[[Sequence[Posted]], Sequence[Response]]


@runtime_checkable
class AnswersGroups(Protocol):
    """An application that answers what is posted to some paths in groups, all that are there at a moment in one call.

    A handler returns a response to each, in order; it is never run by two threads at once.
    """

    @property
    def group_handlers(self) -> Mapping[str, GroupHandler]: ...
