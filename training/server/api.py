"""HTTP routes: views parse, call one method and render."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from flask import Flask, Response
from flask.typing import ResponseReturnValue
from msgspec import Meta, Struct
from werkzeug.exceptions import NotFound

from event_backbone.events.schema import encode_json, time_text
from event_backbone.openapi.parts import (
    OBJECT,
    REF,
    TEXT,
    Part,
    about_the_service,
    answers,
    array,
    asked,
    closed,
    document,
    object_of,
    or_null,
    path_parameter,
    ref,
    refusals,
    sent,
)
from event_backbone.web.error_handlers import add_error_handlers
from event_backbone.web.exposition import exposition
from event_backbone.web.probes import AnsweringStatus, add_probes
from event_backbone.web.request_bodies import LONGEST_NAME, LONGEST_NOTE, body_within, read_object
from event_backbone.web.responses import json_bytes_response, json_response, problem_response, retry_after_header
from training.server.alertmanager import ReceivedAlerts, read_message, request_of
from training.server.metrics import TrainingMetrics
from training.server.retraining import RunScheduler
from training.server.runs import RetrainingRequest, RetrainingRun, RunRefusal

MOST_BYTES = 1024 * 1024
RUNS_SHOWN = 20


#: A person's name and note, as monitoring puts them together.
_LONGEST_REASON = LONGEST_NAME + len(": ") + LONGEST_NOTE


class TrainRequest(Struct, frozen=True):
    """The body of ``POST /train``: why, and for which episode if for one."""

    reason: Annotated[str, Meta(min_length=1, max_length=_LONGEST_REASON)]
    episode: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


@dataclass(frozen=True)
class ServerParts:
    """Collaborators of the views; ``alerts`` are the names of those that start a retraining."""

    case: str
    scheduler: RunScheduler
    metrics: TrainingMetrics
    alerts: Collection[str]
    draining: Callable[[], bool]
    with_keys: bool = False


def build_api(parts: ServerParts) -> Flask:
    """The Flask application; everything it needs is given, nothing is global."""
    app = Flask("training")
    _add_runs(app, parts)
    _add_alerts(app, parts)
    _add_probes(app, parts)
    _add_document(app, parts)
    add_error_handlers(app)
    return app


def _add_runs(app: Flask, parts: ServerParts) -> None:
    @app.post("/train")
    def train() -> ResponseReturnValue:
        asked = read_object(body_within(MOST_BYTES), TrainRequest)
        answer = _ask(parts, RetrainingRequest(asked.reason, asked.episode))
        return _refused(answer) if isinstance(answer, RunRefusal) else json_response({"id": answer.id}, 202)

    @app.get("/train")
    def runs() -> ResponseReturnValue:
        waiting = parts.scheduler.refusal_now()
        return json_response(
            {
                "runs": [run_document(run) for run in parts.scheduler.newest(RUNS_SHOWN)],
                "refusal": _refusal_document(waiting) if waiting else None,
            }
        )

    @app.get("/train/<id_>")
    def run(id_: str) -> ResponseReturnValue:
        found = parts.scheduler.run(id_)
        if found is None:
            raise NotFound("There is no such run.")
        return json_response(run_document(found))


def _add_alerts(app: Flask, parts: ServerParts) -> None:
    @app.post("/alerts")
    def alerts() -> ResponseReturnValue:
        """Always 200 for a message that can be read: what still fires is told again, so nobody has to insist."""
        started: list[dict[str, Any]] = []
        passed_over: list[dict[str, Any]] = []
        for alert in read_message(body_within(MOST_BYTES)).alerts:
            wanted = request_of(alert, parts.case, parts.alerts)
            if wanted is None:
                continue
            answer = _ask(parts, wanted)
            if isinstance(answer, RunRefusal):
                passed_over.append({"episode": wanted.episode, **_refusal_document(answer)})
            else:
                started.append({"episode": wanted.episode, "id": answer.id})
        return json_response({"started": started, "passed_over": passed_over})


def _ask(parts: ServerParts, wanted: RetrainingRequest) -> RetrainingRun | RunRefusal:
    answer = parts.scheduler.ask(wanted)
    if isinstance(answer, RunRefusal):
        parts.metrics.refusals.labels(answer.reason).inc()
    return answer


def _add_probes(app: Flask, parts: ServerParts) -> None:
    def faults() -> dict[str, str]:
        return {"draining": "the server is stopping"} if parts.draining() else {}

    def document() -> dict[str, Any]:
        return {"running": next((run.id for run in parts.scheduler.newest(1) if run.state == "running"), None)}

    def metrics() -> bytes:
        parts.metrics.show(parts.scheduler.newest(1))
        return exposition(parts.metrics.registry, parts.case)

    add_probes(app, parts.case, AnsweringStatus(faults, document), metrics)


def _add_document(app: Flask, parts: ServerParts) -> None:
    body = encode_json(openapi_document(parts.case, with_keys=parts.with_keys))

    @app.get("/openapi.json")
    def openapi() -> ResponseReturnValue:
        return json_bytes_response(body)


def openapi_document(case: str, *, with_keys: bool) -> Part:
    """An OpenAPI 3.1 document of these routes; ``with_keys``: requests need an API key."""
    _, open_schemas = msgspec.json.schema_components([TrainRequest, ReceivedAlerts], ref_template=REF)
    schemas = closed(open_schemas, TrainRequest.__name__)
    run = object_of(id=TEXT, state=TEXT, stage=TEXT, reason=TEXT, started_at=TEXT)
    refusal = object_of(reason=TEXT, detail=TEXT)
    refused = refusals(MOST_BYTES)
    begun = answers("202", object_of(id=TEXT), status_409="No retraining may begin now, and why.", **refused)
    taken = answers("200", object_of(started=array(OBJECT), passed_over=array(OBJECT)), **refused)
    found = answers("200", run, status_404="There is no such run.")
    paths = {
        "/train": {
            "post": sent("Retrain now", ref("TrainRequest"), begun),
            "get": asked("The newest runs", answers("200", object_of(runs=array(run), refusal=or_null(refusal)))),
        },
        "/train/{id_}": {"get": asked("One run", found, path_parameter("id_"))},
        "/alerts": {"post": sent("Alertmanager's webhook, version 4", ref("ReceivedAlerts"), taken)},
        **about_the_service("The run at work"),
    }
    return document(
        f"{case}: training", "Retrains when an alert or a person asks.", paths, schemas, with_keys=with_keys
    )


def _refused(refusal: RunRefusal) -> Response:
    response = problem_response(409, refusal.detail)
    if refusal.retry_after_s is not None:
        response.headers["Retry-After"] = retry_after_header(refusal.retry_after_s)
    return response


def _refusal_document(refusal: RunRefusal) -> dict[str, Any]:
    return {"reason": refusal.reason, "detail": refusal.detail, "retry_after_s": refusal.retry_after_s}


def run_document(run: RetrainingRun) -> dict[str, Any]:
    """A run as JSON; times as RFC 3339, ``None`` for what is not known yet."""
    return {
        "id": run.id,
        "state": run.state,
        "stage": run.stage,
        "reason": run.reason,
        "episode": run.episode,
        "started_at": time_text(run.started_at),
        "ended_at": None if run.ended_at is None else time_text(run.ended_at),
        "decision": run.decision,
    }
