"""The webhook notifier: posts what fires and what is resolved, in Alertmanager's own JSON.

Nothing waits in a queue here: what the receiver was not notified of stands in the alert states, so a message that could
not be sent is made anew of what is true by then, and a receiver that is away for long costs no memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from event_backbone.errors import StreamgaugeError, TryAgainLaterError
from event_backbone.process.backoff import Backoff
from event_backbone.web.http_client import HttpClient
from monitoring_service.alerting.lifecycle import Notification
from monitoring_service.alerting.service import AlertService

log = structlog.get_logger()

TIMEOUT_S = 5.0
SHORTEST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

_HEADERS = {"Content-Type": "application/json", "User-Agent": "streamgauge-monitoring"}


class NotTakenError(TryAgainLaterError):
    """The receiver did not take it. The message says why, never the URL: it may hold a secret."""


class Outbox(Protocol):
    """The port for notifications: returns when the receiver has it, raises :class:`NotTakenError` otherwise."""

    def send(self, body: bytes) -> None: ...


class Webhook:
    """Posts to one URL and reads no answer. ``client`` knows whether the receiver is one of ours or outside."""

    def __init__(self, url: str, client: HttpClient) -> None:
        self._url = url
        self._client = client

    def send(self, body: bytes) -> None:
        try:
            answer = self._client.send("POST", self._url, body, headers=_HEADERS, reads_body=False)
        except TryAgainLaterError as error:
            raise NotTakenError(str(error)) from None
        if not 200 <= answer.status < 300:
            raise NotTakenError(f"status {answer.status}")


class Notifier:
    """Sends what is due. Not thread-safe; a name that fails waits longer and longer, and none waits for another."""

    def __init__(
        self,
        service: AlertService,
        outbox: Outbox,
        *,
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._outbox = outbox
        self._count = count
        self._clock = clock
        self._backoffs: dict[str, Backoff] = {}
        self._again_at: dict[str, float] = {}

    def step(self, stopping: threading.Event) -> None:
        """Send everything that is due, each message once."""
        while not stopping.is_set() and (notification := self._service.due(passing_over=self._waiting())):
            self._notify(notification)

    def _waiting(self) -> set[str]:
        now = self._clock()
        return {name for name, again_at in self._again_at.items() if again_at > now}

    def _notify(self, notification: Notification) -> None:
        name = notification.name
        body = msgspec.json.encode(self._service.webhook_body(notification))
        try:
            self._outbox.send(body)
        except NotTakenError as error:
            self._put_off(name, str(error))
            return
        self._backoffs.pop(name, None)
        self._again_at.pop(name, None)
        self._count("sent")
        log.info("notification_sent", alert=name, alerts=len(notification.alerts))
        try:
            self._service.mark_notified(notification)
        except StreamgaugeError:
            # It is with the receiver, and this process does not know any more: it is sent again, in no hurry.
            self._again_at[name] = self._clock() + SHORTEST_PAUSE_S
            raise

    def _put_off(self, name: str, reason: str) -> None:
        backoff = self._backoffs.setdefault(name, Backoff(SHORTEST_PAUSE_S, LONGEST_PAUSE_S))
        pause_s = backoff.failed()
        self._again_at[name] = self._clock() + pause_s
        self._count("failed")
        log.warning("notification_not_taken", alert=name, reason=reason, again_in_s=pause_s)
