"""HTTP routes: views parse, call one handler and render."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from flask_swagger_ui import get_swaggerui_blueprint
from msgspec import json
from prometheus_client import CollectorRegistry
from werkzeug.exceptions import InternalServerError

from event_backbone.case.records import fault_in_kept_id
from event_backbone.case.schema import Case
from event_backbone.errors import RejectedError, TryAgainLaterError
from event_backbone.guards.browser_guard import POLICY, page_policy
from event_backbone.guards.key_guard import CHALLENGE
from event_backbone.web.error_handlers import add_error_handlers
from event_backbone.web.exposition import exposition
from event_backbone.web.probes import add_probes
from event_backbone.web.request_bodies import body_within, form_within, read_object
from event_backbone.web.responses import (
    json_bytes_response,
    json_response,
    problem_response,
    retry_after_header,
)
from prediction_service.journal.writer import Journal
from prediction_service.serving.form import CaseForm, Field, FormKey
from prediction_service.serving.gateway import failed, unavailable
from prediction_service.serving.handlers import PredictionHandlers, Reply
from prediction_service.serving.openapi import openapi_document
from prediction_service.serving.reloading import Reloading
from prediction_service.serving.status import ReplicaStatus
from prediction_service.serving.stored_predictions import ErasureOrder, StoredPredictions, erase_each

#: The form runs no script, is framed by nobody and sends what is typed into it nowhere else.
_PAGE_HEADERS = {POLICY: page_policy("default-src 'none'", "style-src 'self'", "img-src data:", "form-action 'self'")}
#: The viewer of the API document runs its own files, which style what they make, and asks this service alone.
_DOCS_POLICY = page_policy(
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'none'",
)


def build_api(
    case: Case,
    handlers: PredictionHandlers,
    journal: Journal,
    stored: StoredPredictions,
    status: ReplicaStatus,
    registry: CollectorRegistry,
    *,
    max_body_bytes: int,
    form_key: FormKey | None = None,
) -> Flask:
    """The Flask application; everything it needs is given, nothing is global."""
    app = Flask(__name__)
    _add_predictions(app, handlers, max_body_bytes)
    _add_stored_predictions(app, case, journal, stored, max_body_bytes)
    add_probes(app, case.name, status, lambda: exposition(registry, case.name))
    _add_pages(app, case, handlers, max_body_bytes, form_key or FormKey())
    _add_errors(app)
    return app


def _render(reply: Reply) -> Response:
    code, body = reply
    return json_bytes_response(body, code)


def _add_predictions(app: Flask, handlers: PredictionHandlers, max_body_bytes: int) -> None:
    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        return _render(handlers.predict(body_within(max_body_bytes)))

    @app.post("/predict/batch")
    def predict_batch() -> ResponseReturnValue:
        return _render(handlers.predict_batch(body_within(max_body_bytes)))

    @app.post("/labels")
    def labels() -> ResponseReturnValue:
        return _render(handlers.take_labels(body_within(max_body_bytes)))


def _add_stored_predictions(
    app: Flask, case: Case, journal: Journal, stored: StoredPredictions, max_body_bytes: int
) -> None:
    @app.get("/predictions/<record_id>")
    def stored_prediction(record_id: str) -> ResponseReturnValue:
        _check_record_id(record_id)
        found = stored.one(record_id)
        if found is None:
            return problem_response(404, f"{stored.where} holds no prediction {record_id!r}.")
        return json_response(found)

    @app.get("/predictions")
    def stored_predictions() -> ResponseReturnValue:
        page = stored.page(request.args.to_dict())
        return json_response({"predictions": page.predictions, "next": page.next})

    @app.post("/predictions/erase")
    def erase_predictions() -> ResponseReturnValue:
        """For ids that no URL can carry, and for many: every one is tried, and what was not erased is named."""
        order = read_object(body_within(max_body_bytes), ErasureOrder)
        result = erase_each(journal, case.name, order.record_ids)
        return json_response(result)

    @app.delete("/predictions/<record_id>")
    def erase_prediction(record_id: str) -> ResponseReturnValue:
        _check_record_id(record_id)
        return json_response({"record_id": record_id, "rows_erased": journal.erase(record_id, case.name)})


def add_admin(app: Flask, reloading: Reloading) -> None:
    """The operators' routes, beside :func:`build_api`."""

    @app.post("/admin/reload")
    def reload() -> ResponseReturnValue:
        return json_response(reloading.reload())


def _check_record_id(record_id: str) -> None:
    fault = fault_in_kept_id(record_id)
    if fault is not None:
        raise RejectedError([fault])


def _add_pages(app: Flask, case: Case, handlers: PredictionHandlers, max_body_bytes: int, form_key: FormKey) -> None:
    form = CaseForm(case)
    most_form_bytes = min(form.most_bytes, max_body_bytes)
    with_keys = form_key.field is not None
    document = json.encode(openapi_document(case, max_body_bytes=max_body_bytes, with_keys=with_keys))

    @app.get("/openapi.json")
    def openapi() -> ResponseReturnValue:
        return json_bytes_response(document)

    def page(fields: list[Field], shown: dict[str, Any] | None, key_fault: str | None = None) -> str:
        return render_template(
            "form.html", case=case, fields=fields, reply=shown, key_field=form_key.field, key_fault=key_fault
        )

    @app.get("/")
    def empty_form() -> ResponseReturnValue:
        return page(form.fields({}, []), None), _PAGE_HEADERS

    @app.post("/")
    def filled_form() -> ResponseReturnValue:
        sent, headers = form_within(most_form_bytes).to_dict(), _PAGE_HEADERS
        if (key_fault := form_key.fault(sent)) is not None:
            return page(form.fields(sent, []), None, key_fault), 401, {**headers, CHALLENGE[0]: CHALLENGE[1]}
        try:
            code, body = handlers.predict_payload(form.payload(sent))
        except TryAgainLaterError as error:
            code, body = unavailable(str(error), error.retry_after_s)
            headers = {**headers, "Retry-After": retry_after_header(error.retry_after_s)}
        reply = json.decode(body)
        return page(form.fields(sent, reply.get("faults", [])), form.shown(code, reply)), code, headers

    # No field for other documents, and nobody outside is asked whether this one is valid.
    shown = {"app_name": case.title, "layout": "BaseLayout", "validatorUrl": None}
    docs = get_swaggerui_blueprint("/docs", "/openapi.json", config=shown)
    docs.after_request(_with_docs_policy)
    app.register_blueprint(docs)


def _with_docs_policy(response: Response) -> Response:
    response.headers[POLICY] = _DOCS_POLICY
    return response


def _add_errors(app: Flask) -> None:
    add_error_handlers(app)

    @app.errorhandler(InternalServerError)
    def broken(_error: InternalServerError) -> ResponseReturnValue:
        return _render(failed())
