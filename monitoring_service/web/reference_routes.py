"""HTTP routes of references: the one in force, accepting the current window, reverting that."""

from __future__ import annotations

from flask import Flask
from flask.typing import ResponseReturnValue

from event_backbone.web.responses import json_response
from monitoring_service.references.acceptance import ReferenceService
from monitoring_service.web.request_bodies import Decision, sent


def add_reference_routes(app: Flask, service: ReferenceService) -> None:
    @app.get("/api/reference")
    def reference() -> ResponseReturnValue:
        return json_response(service.document())

    @app.post("/api/reference/accept")
    def accept() -> ResponseReturnValue:
        asked = sent(Decision)
        service.accept(asked.by, asked.note)
        return json_response(service.document())

    @app.post("/api/reference/revert")
    def revert() -> ResponseReturnValue:
        asked = sent(Decision)
        service.revert(asked.by, asked.note)
        return json_response(service.document())
