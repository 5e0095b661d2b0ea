"""HTTP routes of references: what is in force, accepting the current window, taking that back."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Flask, request
from flask.typing import ResponseReturnValue
from msgspec import Meta, Struct

from event_backbone.web.responses import json_response, problem_response
from monitoring_service.references.acceptance import ReferenceService

_MOST_BYTES = 4096


class Said(Struct, forbid_unknown_fields=True):
    """Who decides, and why."""

    by: Annotated[str, Meta(min_length=1, max_length=100)]
    note: Annotated[str, Meta(max_length=500)] = ""


def add_reference_routes(app: Flask, service: ReferenceService) -> None:
    @app.get("/api/reference")
    def reference() -> ResponseReturnValue:
        return json_response(service.document())

    @app.post("/api/reference/accept")
    def accept() -> ResponseReturnValue:
        asked = said()
        service.accept(asked.by, asked.note)
        return json_response(service.document())

    @app.post("/api/reference/revert")
    def revert() -> ResponseReturnValue:
        asked = said()
        service.revert(asked.by, asked.note)
        return json_response(service.document())

    @app.errorhandler(msgspec.ValidationError)
    def not_said(error: msgspec.ValidationError) -> ResponseReturnValue:
        return problem_response(422, f"{error}; nothing was changed.")

    @app.errorhandler(msgspec.DecodeError)
    def no_json(_error: msgspec.DecodeError) -> ResponseReturnValue:
        return problem_response(400, "The body is no JSON; nothing was changed.")


def said() -> Said:
    """The body of the present request; raises msgspec's errors, which :func:`add_reference_routes` answers."""
    request.max_content_length = _MOST_BYTES
    return msgspec.json.decode(request.get_data(cache=False), type=Said)
