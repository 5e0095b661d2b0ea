"""HTTP route of retraining: a person requests one; its progress stands in the state."""

from __future__ import annotations

from flask import Flask
from flask.typing import ResponseReturnValue

from event_backbone.web.responses import json_response
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.web.request_bodies import Decision, sent


def add_retraining_routes(app: Flask, service: RetrainingBridge) -> None:
    @app.post("/api/retraining")
    def retrain() -> ResponseReturnValue:
        asked = sent(Decision)
        return json_response({"id": service.ask(asked.by, asked.note)}, 202)
