"""HTTP routes of alerts: listing, acknowledging and silencing them."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from werkzeug.exceptions import Conflict, NotFound

from event_backbone.case.files import faults_in_file
from event_backbone.errors import Fault, RejectedError
from event_backbone.web.responses import json_response, rejection_response
from monitoring_service.alerting.service import AlertService

LONGEST_SILENCE_S = 30 * 86400
_MOST_BYTES = 8192
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
_Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Acknowledge(_Body):
    """Somebody knows of it."""

    by: _Name
    note: _Note = ""


class Silencing(_Body):
    """Nobody is told for so many seconds."""

    by: _Name
    seconds: float = Field(gt=0, le=LONGEST_SILENCE_S)
    note: _Note = ""


Asked = TypeVar("Asked", bound=_Body)


def add_alert_routes(app: Flask, service: AlertService) -> None:
    """Add the routes; bodies with faults are answered with all of them."""

    def shown() -> Response:
        return json_response({"alerts": service.views()})

    @app.get("/api/alerts")
    def alerts() -> ResponseReturnValue:
        return shown()

    @app.post("/api/alerts/<alert_id>/acknowledge")
    def acknowledge(alert_id: str) -> ResponseReturnValue:
        body = _asked(Acknowledge)
        if not service.acknowledge(alert_id, body.by, body.note):
            raise _not_there(service, alert_id, "Only an alert that is pending or firing can be acknowledged.")
        return shown()

    @app.post("/api/alerts/<alert_id>/silence")
    def silence(alert_id: str) -> ResponseReturnValue:
        body = _asked(Silencing)
        if not service.silence(alert_id, body.by, body.note, body.seconds):
            raise NotFound("There is no such alert.")
        return shown()

    @app.delete("/api/alerts/<alert_id>/silence")
    def unsilence(alert_id: str) -> ResponseReturnValue:
        if not service.unsilence(alert_id):
            raise NotFound("There is no silence of this alert.")
        return shown()

    @app.errorhandler(RejectedError)
    def faulty(error: RejectedError) -> ResponseReturnValue:
        return rejection_response(error.faults)


def _not_there(service: AlertService, alert_id: str, detail: str) -> NotFound | Conflict:
    is_past = any(alert.id == alert_id for alert in service.states.past)
    return Conflict(detail) if is_past else NotFound("There is no such alert.")


def _asked(what: type[Asked]) -> Asked:
    """The body; raises :class:`RejectedError` with all of its faults."""
    request.max_content_length = _MOST_BYTES
    try:
        return what.model_validate(msgspec.json.decode(request.get_data(cache=False)))
    except msgspec.DecodeError:
        raise RejectedError([Fault("(body)", "json", "the body is no JSON")]) from None
    except ValidationError as error:
        raise RejectedError(faults_in_file(error)) from None
