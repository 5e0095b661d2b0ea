"""Alertmanager's webhook (version 4), and the retraining requests that follow from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from event_backbone.errors import Fault, RejectedError
from event_backbone.events.schema import parse_utc
from event_backbone.web.request_bodies import read_json
from training.server.runs import RetrainingRequest

MOST_ALERTS = 1000
_Short = Annotated[str, Meta(max_length=200)]


class ReceivedAlert(Struct, frozen=True, rename="camel"):
    """One alert of a message; other fields are not read."""

    status: Literal["firing", "resolved"]
    labels: dict[_Short, str]
    starts_at: Annotated[str, Meta(max_length=40)]
    fingerprint: Annotated[str, Meta(min_length=1, max_length=64)]

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def episode(self) -> str:
        """An alert's fingerprint and beginning, which stay the same to its end."""
        return f"{self.fingerprint}@{self.starts_at}"


class ReceivedAlerts(Struct, frozen=True):
    """One group of alerts."""

    version: Literal["4"]
    alerts: Annotated[list[ReceivedAlert], Meta(max_length=MOST_ALERTS)]


def read_message(body: bytes) -> ReceivedAlerts:
    """Raises :class:`RejectedError` for what is no message of Alertmanager's."""
    try:
        message = msgspec.convert(read_json(body), ReceivedAlerts)
        for alert in message.alerts:
            parse_utc(alert.starts_at)
    except msgspec.ValidationError as error:
        raise RejectedError([Fault("(body)", "invalid", str(error))]) from None
    except ValueError:
        raise RejectedError([Fault("alerts.startsAt", "format", "must be an RFC 3339 time")]) from None
    return message


def request_of(alert: ReceivedAlert, case: str, names: Collection[str]) -> RetrainingRequest | None:
    """``None`` for an alert that asks for no retraining: resolved, of another case, or not one of ``names``.

    Where Prometheus watches one case alone, its alerts need not say which.
    """
    if alert.status != "firing" or alert.name not in names or alert.labels.get("case", case) != case:
        return None
    began = parse_utc(alert.starts_at).timestamp()
    return RetrainingRequest(f"alert {alert.name}", episode=alert.episode, alert_since=began)
