"""The alerts of a running service: evaluated in one thread, notified in another, and changed by people."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Iterable
from typing import Any, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from event_backbone.decoding.bounded_json import bounded_decoder
from monitoring_service.alerting.catalogue import BY_CONDITION
from monitoring_service.alerting.lifecycle import (
    Acknowledgement,
    Alert,
    AlertStates,
    Notification,
    Rules,
    Silence,
    acknowledged,
    advanced,
    after_notifying,
    due_notification,
    silenced,
    unsilenced,
)
from monitoring_service.alerting.views import AlertLinks, AlertView, alert_views, webhook_body
from monitoring_service.state.conditions import Condition

log = structlog.get_logger()

DOCUMENT = "alerts"
_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], AlertStates] = bounded_decoder(AlertStates)


class AlertDocuments(Protocol):
    """Durable storage of the alert states (the inbox)."""

    def keep_document(self, name: str, body: bytes) -> None: ...

    def document(self, name: str) -> bytes | None: ...


class AlertService:
    """Holds the :class:`AlertStates`; thread-safe. A change is stored before it is visible; errors of storing pass."""

    def __init__(
        self, rules: Rules, links: AlertLinks, documents: AlertDocuments, clock: Callable[[], float] = time.time
    ) -> None:
        self._rules = rules
        self._links = links
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._states = _restored(documents)

    @property
    def states(self) -> AlertStates:
        return self._states

    @property
    def time_scale(self) -> float:
        return self._rules.time_scale

    def views(self) -> list[AlertView]:
        return alert_views(self._rules.case, self._states, self._links)

    def webhook_body(self, notification: Notification) -> dict[str, Any]:
        """The notification in the JSON of webhooks."""
        return webhook_body(self._rules.case, notification, self._links)

    def watch(self, conditions: Iterable[Condition]) -> None:
        """Evaluate all conditions once."""
        with self._lock:
            before = self._states
            self._change(advanced(before, conditions, self._clock(), self._rules))
        _log_changes(before, self._states)

    def due(self, *, passing_over: Container[str] = ()) -> Notification | None:
        return due_notification(self._states, self._clock(), self._rules, passing_over=passing_over)

    def mark_notified(self, notification: Notification) -> None:
        with self._lock:
            self._change(after_notifying(self._states, notification, self._clock()))

    def acknowledge(self, id_: str, by: str, note: str) -> bool:
        """Note who knows of an alert; return whether it is pending or firing."""
        return self._try(
            "alert_acknowledged", id_, lambda states, now: acknowledged(states, id_, Acknowledgement(by, note, now))
        )

    def silence(self, id_: str, by: str, note: str, seconds: float) -> bool:
        """Send nothing about an alert for so many seconds; return whether there is such an alert."""
        return self._try(
            "alert_silenced", id_, lambda states, now: silenced(states, id_, Silence(by, note, now, now + seconds))
        )

    def unsilence(self, id_: str) -> bool:
        """End a silence; return whether there was one."""
        return self._try("alert_unsilenced", id_, lambda states, now: unsilenced(states, id_))

    def _try(self, event: str, id_: str, change: Callable[[AlertStates, float], AlertStates | None]) -> bool:
        with self._lock:
            states = change(self._states, self._clock())
            if states is None:
                return False
            self._change(states)
        log.info(event, id=id_)
        return True

    def _change(self, states: AlertStates) -> None:
        """Values move with every check; they alone are no reason to write."""
        if _without_values(states) != _without_values(self._states):
            self._documents.keep_document(DOCUMENT, _encode(states))
        self._states = states


def _without_values(states: AlertStates) -> AlertStates:
    def bare(alert: Alert) -> Alert:
        return replace(alert, condition=Condition(alert.condition.name, alert.condition.column))

    return replace(states, present=[bare(alert) for alert in states.present])


def _restored(documents: AlertDocuments) -> AlertStates:
    """States of another version of this program are not understood, and begin empty."""
    kept = documents.document(DOCUMENT)
    if kept is None:
        return AlertStates()
    try:
        return _known_kinds(_decode(kept))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("alerts_not_understood", reason=str(error))
        return AlertStates()


def _known_kinds(states: AlertStates) -> AlertStates:
    """Without alerts of conditions that this version of the program does not have."""
    return replace(
        states,
        present=[alert for alert in states.present if alert.condition.name in BY_CONDITION],
        past=[alert for alert in states.past if alert.condition.name in BY_CONDITION],
    )


def _log_changes(before: AlertStates, after: AlertStates) -> None:
    fired = {(alert.id, alert.since) for alert in before.present if alert.state == "firing"}
    known = {(alert.id, alert.since) for alert in before.past}
    for alert in after.present:
        if alert.state == "firing" and (alert.id, alert.since) not in fired:
            log.info("alert_firing", alert=alert.name, column=alert.condition.column, id=alert.id)
    for alert in after.past:
        if (alert.id, alert.since) not in known:
            log.info("alert_resolved", alert=alert.name, column=alert.condition.column, id=alert.id)
