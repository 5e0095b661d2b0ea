"""HTTP route of retraining: a person asks for one; what became of it stands in the state."""

from __future__ import annotations

import msgspec
from flask import Flask, Response
from flask.typing import ResponseReturnValue

from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.web.reference_routes import said


def add_retraining_routes(app: Flask, service: RetrainingBridge) -> None:
    @app.post("/api/retraining")
    def retrain() -> ResponseReturnValue:
        asked = said()
        id_ = service.ask(asked.by, asked.note)
        return Response(msgspec.json.encode({"id": id_}), 202, content_type="application/json")
