"""The lifecycle of alerts: pending, firing, resolved, and which notifications are due.

Pure functions over one immutable value, the :class:`AlertStates`, with every time given; ``alerting.service`` keeps it
in the inbox. An alert remembers what its receiver knows, so a restart at any point loses no notification; one that
was sent and whose answer was not kept yet is sent again: at least once.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from monitoring_service.alerting.catalogue import BY_CONDITION, AlertKind, badness
from monitoring_service.state.conditions import BROKEN_DATA, Condition

State = Literal["pending", "firing", "resolved"]

#: As in prometheus/alertmanager.yml: what comes within the first is one notification, another about the same alert
#: name follows no sooner than the second, and what goes on firing is notified again after the third.
GROUP_WAIT_S = 10.0
GROUP_INTERVAL_S = 60.0
REPEAT_S = 4 * 3600.0
#: Resolved alerts that are remembered; the oldest go, notified or not.
PAST_KEPT = 100
SILENCES_KEPT = 200

_FNV_OFFSET, _FNV_PRIME, _SEPARATOR = 0xCBF29CE484222325, 0x100000001B3, b"\xff"


class Acknowledgement(Struct, frozen=True):
    """Somebody deals with it: no notification until it is resolved. Times are in seconds since 1970."""

    by: str
    note: str
    at: float


class Silence(Struct, frozen=True):
    """No notification that it fires, for a time."""

    by: str
    note: str
    at: float
    until: float


class Alert(Struct, frozen=True, omit_defaults=True):
    """One condition's alert; ``condition`` is as it was last seen while it held.

    ``since`` is when the condition was first seen, ``notified_state`` the state that the receiver knows of, and
    ``notification_due_since`` since when a notification is due. ``muted_by`` names the alert that this one follows
    from.
    """

    id: str
    condition: Condition
    state: State
    since: float
    firing_since: float | None = None
    resolved_at: float | None = None
    notified_state: State | None = field(name="told", default=None)
    notification_due_since: float | None = field(name="owed_since", default=None)
    acknowledged: Acknowledgement | None = None
    muted_by: str | None = None

    @property
    def kind(self) -> AlertKind:
        return BY_CONDITION[self.condition.name]

    @property
    def name(self) -> str:
        return self.kind.name


class AlertStates(Struct, frozen=True, omit_defaults=True):
    """All alerts: ``present`` are pending or firing, ``past`` resolved, oldest first. Silences go by an alert's id,
    ``notified_at`` by its name."""

    present: list[Alert] = []
    past: list[Alert] = []
    silences: dict[str, Silence] = {}
    notified_at: dict[str, float] = field(name="told_at", default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """``time_scale`` shortens every time for tests and demonstrations; without ``notifying`` no notification is due."""

    case: str
    time_scale: float = 1.0
    notifying: bool = True


@dataclass(frozen=True, slots=True)
class Notification:
    """The content of one notification: alerts of one name, worst first, those that are resolved last."""

    name: str
    alerts: tuple[Alert, ...]


def labels_of(case: str, condition: Condition) -> dict[str, str]:
    kind = BY_CONDITION[condition.name]
    labels = {"alertname": kind.name, "case": case, "condition": condition.name, "severity": kind.severity}
    return labels if condition.column is None else {**labels, "column": condition.column}


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's: FNV-1a of 64 bits over names and values in the order of the names."""
    found = _FNV_OFFSET
    for name in sorted(labels):
        for byte in name.encode() + _SEPARATOR + labels[name].encode() + _SEPARATOR:
            found = (found ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def advanced(states: AlertStates, conditions: Iterable[Condition], now: float, rules: Rules) -> AlertStates:
    """The states after one evaluation of all conditions."""
    active = {_id(rules, one): one for one in conditions if one.active and one.name in BY_CONDITION}
    known = {alert.id: alert for alert in states.present}
    present = [
        _held(known.get(id_) or Alert(id_, condition, "pending", now), condition, now, rules)
        for id_, condition in active.items()
    ]
    ended = [_resolved(alert, now) for alert in states.present if alert.id not in active and alert.state == "firing"]
    silences = {id_: silence for id_, silence in states.silences.items() if silence.until > now}
    muted = _muted(present)
    return replace(
        states,
        present=[_with_due_notification(alert, silences, now, rules) for alert in muted],
        past=[*states.past, *ended][-PAST_KEPT:],
        silences=silences,
    )


def _id(rules: Rules, condition: Condition) -> str:
    return fingerprint(labels_of(rules.case, condition))


def _held(alert: Alert, condition: Condition, now: float, rules: Rules) -> Alert:
    alert = replace(alert, condition=condition)
    if alert.state == "pending" and now - alert.since >= alert.kind.for_s * rules.time_scale:
        return replace(alert, state="firing", firing_since=now)
    return alert


def _resolved(alert: Alert, now: float) -> Alert:
    """Where the firing was notified, the end is; where it could not be, both are."""
    notification_due_since = alert.notification_due_since if alert.notified_state is None else now
    return replace(
        alert, state="resolved", resolved_at=now, notification_due_since=notification_due_since, muted_by=None
    )


def _muted(alerts: list[Alert]) -> list[Alert]:
    """Mute what follows from a stale monitor, and the drift of columns whose data is broken."""
    firing = [alert for alert in alerts if alert.state == "firing"]
    stale = next((alert.name for alert in firing if alert.condition.name == "stale"), None)
    broken = {alert.condition.column: alert.name for alert in firing if alert.condition.name in BROKEN_DATA}
    return [replace(alert, muted_by=_muted_by(alert, stale, broken)) for alert in alerts]


def _muted_by(alert: Alert, stale: str | None, broken: Mapping[str | None, str]) -> str | None:
    if alert.kind.follows_checks and stale is not None:
        return stale
    return broken.get(alert.condition.column) if alert.condition.name == "drift" else None


def _with_due_notification(alert: Alert, silences: Mapping[str, Silence], now: float, rules: Rules) -> Alert:
    """Due for an alert that fires and was not notified, unless it is muted, silenced or acknowledged."""
    if alert.state != "firing" or alert.notified_state is not None:
        return alert
    if not rules.notifying or is_quiet(alert, silences):
        return replace(alert, notification_due_since=None)
    return alert if alert.notification_due_since is not None else replace(alert, notification_due_since=now)


def is_quiet(alert: Alert, silences: Mapping[str, Silence]) -> bool:
    return alert.muted_by is not None or alert.id in silences or alert.acknowledged is not None


def due_notification(
    states: AlertStates, now: float, rules: Rules, *, passing_over: Container[str] = ()
) -> Notification | None:
    """The next notification to send, without the alert names that are passed over; made of the present states."""
    for name in dict.fromkeys(alert.name for alert in [*states.present, *states.past]):
        if rules.notifying and name not in passing_over and _is_due(states, name, now, rules):
            return Notification(name, _alerts_to_notify(states, name))
    return None


def _is_due(states: AlertStates, name: str, now: float, rules: Rules) -> bool:
    notified_at = states.notified_at.get(name)
    due = [alert.notification_due_since for alert in _of(states, name) if alert.notification_due_since is not None]
    if due:
        waited = now - min(due) >= GROUP_WAIT_S * rules.time_scale
        return waited and (notified_at is None or now - notified_at >= GROUP_INTERVAL_S * rules.time_scale)
    if notified_at is None or now - notified_at < REPEAT_S * rules.time_scale:
        return False
    fires = [alert for alert in states.present if alert.name == name and alert.notified_state == "firing"]
    return any(not is_quiet(alert, states.silences) for alert in fires)


def _of(states: AlertStates, name: str) -> list[Alert]:
    return [alert for alert in [*states.past, *states.present] if alert.name == name]


def _alerts_to_notify(states: AlertStates, name: str) -> tuple[Alert, ...]:
    """Of alerts that came back meanwhile only the newest: a notification has each once."""
    alerts = _of(states, name)
    firing = [alert for alert in alerts if alert.state == "firing" and not is_quiet(alert, states.silences)]
    newest = {alert.id: alert for alert in alerts if alert.notification_due_since is not None or alert in firing}
    resolved = [alert for alert in newest.values() if alert.state == "resolved"]
    return (*sorted(firing, key=lambda alert: -badness(alert.condition)), *resolved)


def after_notifying(states: AlertStates, notification: Notification, now: float) -> AlertStates:
    """The receiver has it. For what has changed since it was sent, another one is due."""
    notified = {alert.id: alert for alert in notification.alerts}

    def known(alert: Alert) -> Alert:
        newest = notified.get(alert.id)
        if newest is None or alert.since > newest.since:
            return alert
        if alert.since < newest.since:
            return replace(alert, notified_state="resolved", notification_due_since=None)
        return replace(
            alert, notified_state=newest.state, notification_due_since=None if newest.state == alert.state else now
        )

    return replace(
        states,
        present=[known(alert) for alert in states.present],
        past=[known(alert) for alert in states.past],
        notified_at={**states.notified_at, notification.name: now},
    )


def acknowledged(states: AlertStates, id_: str, by: Acknowledgement) -> AlertStates | None:
    """``None`` when no such alert is pending or firing."""
    if all(alert.id != id_ for alert in states.present):
        return None
    present = [
        replace(alert, acknowledged=by, notification_due_since=None) if alert.id == id_ else alert
        for alert in states.present
    ]
    return replace(states, present=present)


def silenced(states: AlertStates, id_: str, silence: Silence) -> AlertStates | None:
    """``None`` when there is no such alert; a resolved one can be silenced in case it comes back."""
    if all(alert.id != id_ for alert in [*states.present, *states.past]):
        return None
    others = {key: value for key, value in states.silences.items() if key != id_}
    kept = dict(list(others.items())[-(SILENCES_KEPT - 1) :])
    present = [replace(alert, notification_due_since=None) if alert.id == id_ else alert for alert in states.present]
    return replace(states, present=present, silences={**kept, id_: silence})


def unsilenced(states: AlertStates, id_: str) -> AlertStates | None:
    """``None`` when it is not silenced."""
    if id_ not in states.silences:
        return None
    return replace(states, silences={key: silence for key, silence in states.silences.items() if key != id_})
