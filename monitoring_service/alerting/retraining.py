"""Retraining for the live page, and notifying the training server of alerts where no Alertmanager runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import structlog
from msgspec.structs import asdict

from event_backbone.errors import TryAgainLaterError
from monitoring_service.alerting.lifecycle import Alert, Notification
from monitoring_service.alerting.service import AlertService
from monitoring_service.alerting.training_client import TrainingServer, TrainingStatus

log = structlog.get_logger()

#: What fires is notified again and again, times the alerts' scale: the server knows what it has trained for, and a
#: cooldown ends.
NOTIFY_EVERY_S = 30.0
_RUNS_SHOWN = 5


class RetrainingBridge:
    """Keeps the training server's last status, and sends requests. :meth:`step` is for one thread, the rest for any."""

    def __init__(
        self,
        server: TrainingServer,
        alerts: AlertService | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """With ``alerts`` the server is notified of those that fire."""
        self._server = server
        self._alerts = alerts
        self._clock = clock
        self._status: TrainingStatus | None = None
        self._fault: str | None = None
        self._notify_every_s = NOTIFY_EVERY_S * (alerts.time_scale if alerts is not None else 1.0)
        self._notified_at: dict[tuple[str, float | None], float] = {}

    def ask(self, by: str, note: str) -> str:
        """Request a run for a person and return its id; raises what the server's answer means."""
        return self._server.train(f"{by}: {note}" if note else by)

    def document(self) -> dict[str, Any]:
        """``fault`` says why the server can't be reached; its last status stays beside it."""
        status = self._status or TrainingStatus([])
        return {
            "fault": self._fault,
            "runs": [asdict(run) for run in status.runs[:_RUNS_SHOWN]],
            "refusal": asdict(status.refusal) if status.refusal else None,
        }

    def step(self) -> None:
        """Read the status once, and notify of alerts that are due; a server that is away is a fault and a log line."""
        try:
            self._status = self._server.status()
            for notification in self._due():
                self._notify(notification)
        except TryAgainLaterError as error:
            if self._fault is None:
                log.warning("training_server_away", reason=str(error))
            self._fault = str(error)
        else:
            self._fault = None

    def _due(self) -> Iterator[Notification]:
        firing = list(_firing(self._alerts)) if self._alerts is not None else []
        self._notified_at = {
            key: at for key, at in self._notified_at.items() if key in {_key(alert) for alert in firing}
        }
        due = [alert for alert in firing if self._is_due(alert)]
        for name in dict.fromkeys(alert.name for alert in due):
            yield Notification(name, tuple(alert for alert in due if alert.name == name))

    def _is_due(self, alert: Alert) -> bool:
        notified_at = self._notified_at.get(_key(alert))
        return notified_at is None or self._clock() - notified_at >= self._notify_every_s

    def _notify(self, notification: Notification) -> None:
        assert self._alerts is not None
        self._server.notify(msgspec.json.encode(self._alerts.webhook_body(notification)))
        for alert in notification.alerts:
            self._notified_at[_key(alert)] = self._clock()


def _firing(service: AlertService) -> Iterator[Alert]:
    """Firing alerts, without muted and silenced ones."""
    states = service.states
    for alert in states.present:
        if alert.state == "firing" and alert.muted_by is None and alert.id not in states.silences:
            yield alert


def _key(alert: Alert) -> tuple[str, float | None]:
    return alert.id, alert.firing_since
