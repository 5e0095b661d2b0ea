"""HTTP routes of alerts: listing, acknowledging and silencing them."""

from __future__ import annotations

from flask import Flask, Response
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Conflict, NotFound

from event_backbone.web.responses import json_response
from monitoring_service.alerting.service import AlertService
from monitoring_service.web.request_bodies import Decision, Silencing, sent


def add_alert_routes(app: Flask, service: AlertService) -> None:
    """Add the routes; bodies with faults are answered with all of them."""

    def shown() -> Response:
        return json_response({"alerts": service.views()})

    @app.get("/api/alerts")
    def alerts() -> ResponseReturnValue:
        return shown()

    @app.post("/api/alerts/<alert_id>/acknowledge")
    def acknowledge(alert_id: str) -> ResponseReturnValue:
        body = sent(Decision)
        if not service.acknowledge(alert_id, body.by, body.note):
            raise _not_there(service, alert_id, "Only an alert that is pending or firing can be acknowledged.")
        return shown()

    @app.post("/api/alerts/<alert_id>/silence")
    def silence(alert_id: str) -> ResponseReturnValue:
        body = sent(Silencing)
        if not service.silence(alert_id, body.by, body.note, body.seconds):
            raise NotFound("There is no such alert.")
        return shown()

    @app.delete("/api/alerts/<alert_id>/silence")
    def unsilence(alert_id: str) -> ResponseReturnValue:
        if not service.unsilence(alert_id):
            raise NotFound("There is no silence of this alert.")
        return shown()


def _not_there(service: AlertService, alert_id: str, detail: str) -> NotFound | Conflict:
    is_past = any(alert.id == alert_id for alert in service.states.past)
    return Conflict(detail) if is_past else NotFound("There is no such alert.")
