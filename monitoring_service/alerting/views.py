"""Alerts for the page and over HTTP, and in the JSON that Alertmanager sends to webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from event_backbone.events.schema import time_text
from monitoring_service.alerting.catalogue import Severity, badness, texts
from monitoring_service.alerting.lifecycle import Alert, AlertStates, Notification, State, labels_of
from monitoring_service.settings import RUNBOOK
from monitoring_service.state.conditions import Condition

#: Alertmanager's word for an end that is not there.
NO_TIME = "0001-01-01T00:00:00Z"
RECEIVER = "monitoring"
PAST_SHOWN = 50
_ORDER = {"firing": 0, "pending": 1, "resolved": 2}


class AlertView(Struct, frozen=True):
    """An alert as JSON; what does not apply is ``None``."""

    id: str
    name: str
    severity: Severity
    state: State
    labels: dict[str, str]
    summary: str
    description: str
    value: float | None
    threshold: float | None
    since: str
    firing_since: str | None
    resolved_at: str | None
    acknowledged_by: str | None
    acknowledged_note: str | None
    silenced_by: str | None
    silenced_until: str | None
    silence_note: str | None
    muted_by: str | None
    runbook: str


@dataclass(frozen=True, slots=True)
class AlertLinks:
    """Links in notifications: the runbook, and the page of this service."""

    runbook: str = RUNBOOK
    page: str = ""


def alert_views(case: str, states: AlertStates, links: AlertLinks) -> list[AlertView]:
    """Firing ones first, pages before tickets, the worst before the others; then pending ones; then resolved ones."""
    shown = [*states.present, *reversed(states.past[-PAST_SHOWN:])]
    views = [(alert, _view(case, alert, states, links)) for alert in shown]
    views.sort(key=lambda pair: _rank(*pair))
    return [view for _, view in views]


def _rank(alert: Alert, view: AlertView) -> tuple[int, float, bool, float]:
    """The sort is stable, and ``past`` comes newest first."""
    if alert.state == "resolved":
        return _ORDER[alert.state], -(alert.resolved_at or 0.0), False, 0.0
    return _ORDER[alert.state], 0.0, view.severity != "page", -badness(alert.condition)


def _view(case: str, alert: Alert, states: AlertStates, links: AlertLinks) -> AlertView:
    written = texts(case, alert.condition, _beside(alert, states.present))
    silence, known = states.silences.get(alert.id), alert.acknowledged
    return AlertView(
        id=alert.id,
        name=alert.name,
        severity=alert.kind.severity,
        state=alert.state,
        labels=labels_of(case, alert.condition),
        summary=written.summary,
        description=written.description,
        value=alert.condition.value,
        threshold=alert.condition.threshold,
        since=time_text(alert.since),
        firing_since=_time(alert.firing_since),
        resolved_at=_time(alert.resolved_at),
        acknowledged_by=known.by if known else None,
        acknowledged_note=known.note if known else None,
        silenced_by=silence.by if silence else None,
        silenced_until=time_text(silence.until) if silence else None,
        silence_note=silence.note if silence else None,
        muted_by=alert.muted_by,
        runbook=alert.kind.runbook(links.runbook),
    )


def _beside(alert: Alert, present: Sequence[Alert]) -> list[Condition]:
    """The conditions of all alerts of this name that fire beside it, its own as well."""
    others = [
        one.condition for one in present if one.name == alert.name and one.id != alert.id and one.state == "firing"
    ]
    return [alert.condition, *others]


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else time_text(seconds)


def webhook_body(case: str, notification: Notification, links: AlertLinks) -> dict[str, Any]:
    """Version 4 of what Alertmanager posts (``notify/webhook``, ``template.Data``): one group of alerts."""
    alerts = [_sent(case, alert, notification.alerts, links) for alert in notification.alerts]
    group = {"alertname": notification.name, "case": case}
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f'{name}="{value}"' for name, value in group.items()) + "}",
        "truncatedAlerts": 0,
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "receiver": RECEIVER,
        "groupLabels": group,
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": links.page,
        "alerts": alerts,
    }


def _sent(case: str, alert: Alert, group: Sequence[Alert], links: AlertLinks) -> dict[str, Any]:
    written = texts(case, alert.condition, _beside(alert, group))
    return {
        "status": "resolved" if alert.state == "resolved" else "firing",
        "labels": labels_of(case, alert.condition),
        "annotations": {
            "summary": written.summary,
            "description": written.description,
            "runbook": alert.kind.runbook(links.runbook),
        },
        "startsAt": time_text(alert.firing_since or alert.since),
        "endsAt": _time(alert.resolved_at) or NO_TIME,
        "generatorURL": links.page,
        "fingerprint": alert.id,
    }


def _common(of_alerts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them have in common."""
    first, *others = of_alerts
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
