"""Probing of the services: readiness, liveness and status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from event_backbone.errors import StopError, StreamgaugeError, TryAgainLaterError
from event_backbone.web.http_client import own_client
from local_stack.waiting import WaitClock

#: Time enough for a loaded machine, short enough that nobody takes a hang for work.
SILENCE_ALLOWED_S = 20.0


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes


class UnreachableError(StreamgaugeError):
    """No answer came; the message says how."""


class Prober(Protocol):
    """GET with a bounded wait. Raises :class:`UnreachableError` when no whole answer came; any status is an answer."""

    def get(self, url: str) -> Reply: ...


class HttpProber:
    """The adapter over HTTP; ``api_key`` is sent where the services ask for one."""

    def __init__(self, timeout_s: float = 5.0, api_key: str | None = None) -> None:
        self._client = own_client(timeout_s=timeout_s, api_key=api_key)

    def get(self, url: str) -> Reply:
        try:
            answer = self._client.send("GET", url)
        except TryAgainLaterError as error:
            raise UnreachableError(str(error)) from None
        return Reply(answer.status, answer.body)


def fault_in(service: Service, path: str, prober: Prober) -> str | None:
    """Why ``path`` is not answered with 200, with the service's own reason if any; ``None`` when it is."""
    try:
        reply = prober.get(service.url + path)
    except UnreachableError as error:
        return str(error)
    return None if reply.status == 200 else f"{reply.status} {reply.body[:300].decode(errors='replace')}".strip()


def not_ready(services: Sequence[Service], prober: Prober) -> str | None:
    """Which services are not ready, and why; ``None`` when all are."""
    faults = {service.name: fault_in(service, "/readyz", prober) for service in services}
    return "; ".join(f"{name} is not ready: {fault}" for name, fault in faults.items() if fault) or None


class Watch:
    """Detects a service that has stopped answering while its process is still there."""

    def __init__(self, services: Sequence[Service], prober: Prober, clock: WaitClock) -> None:
        self._services = services
        self._prober = prober
        self._clock = clock
        self._heard_at = dict.fromkeys(services, clock.now())

    def look(self) -> None:
        """Probe once; raise :class:`StopError` naming a service that has been silent for too long."""
        for service in self._services:
            fault = fault_in(service, "/livez", self._prober)
            if fault is None:
                self._heard_at[service] = self._clock.now()
                continue
            silent_s = self._clock.now() - self._heard_at[service]
            if silent_s > SILENCE_ALLOWED_S:
                raise StopError(f"{service.name} has not answered for {silent_s:.0f} s: {fault}")
