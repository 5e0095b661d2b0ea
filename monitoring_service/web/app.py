"""The Flask application and its routes: views parse, call one method and render."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from event_backbone.case.schema import Case
from event_backbone.events.schema import encode_json
from event_backbone.guards.api_keys import KeyCheck
from event_backbone.guards.browser_guard import POLICY, page_policy
from event_backbone.web.error_handlers import add_error_handlers
from event_backbone.web.probes import AnsweringStatus, add_probes
from event_backbone.web.request_bodies import body_within, query_number
from event_backbone.web.responses import json_bytes_response, json_response, later_response, problem_response
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.alerting.service import AlertService
from monitoring_service.checks.performance_windows import PerformanceWindows
from monitoring_service.checks.report_schedule import ReportScheduler, TooSoonError
from monitoring_service.checks.shadow_comparison import ShadowComparisons
from monitoring_service.intake.arrivals import ARRIVALS_SHOWN_S
from monitoring_service.intake.receiver import Intake, TooManyLinesError
from monitoring_service.references.acceptance import ReferenceService
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.views.metrics import MonitoringMetrics
from monitoring_service.views.snapshot import SnapshotReader
from monitoring_service.views.state_document import history_document, state_document
from monitoring_service.web.alert_routes import add_alert_routes
from monitoring_service.web.openapi import openapi_document
from monitoring_service.web.page import page_content
from monitoring_service.web.performance_routes import add_performance_routes, add_shadow_routes
from monitoring_service.web.reference_routes import add_reference_routes
from monitoring_service.web.report_routes import add_report_routes
from monitoring_service.web.retraining_routes import add_retraining_routes

#: The page runs nothing but what this service serves.
PAGE_POLICY = page_policy(
    "default-src 'self'", "style-src 'self' 'unsafe-inline'", "object-src 'none'", "form-action 'self'"
)


@dataclass(frozen=True)
class RouteParts:
    """Collaborators of the views."""

    case: Case
    intake: Intake
    snapshots: SnapshotReader
    metrics: MonitoringMetrics
    reports: ReportFolder
    faults: Callable[[], dict[str, str]]
    max_body_bytes: int
    report_scheduler: ReportScheduler
    reference_service: ReferenceService
    performance_windows: PerformanceWindows
    shadow: ShadowComparisons
    alert_service: AlertService
    keys: KeyCheck | None = None
    retraining: RetrainingBridge | None = None


def build_api(parts: RouteParts) -> Flask:
    """The Flask application; everything it needs is given, nothing is global."""
    app = Flask("monitoring_service.web")
    _add_events(app, parts)
    _add_state(app, parts)
    _add_probes(app, parts)
    _add_document(app, parts)
    _add_pages(app, parts)
    add_report_routes(app, parts.reports, parts.report_scheduler, parts.keys, parts.metrics.unauthorized.inc)
    add_reference_routes(app, parts.reference_service)
    add_performance_routes(app, parts.performance_windows)
    add_shadow_routes(app, parts.shadow)
    add_alert_routes(app, parts.alert_service)
    if parts.retraining is not None:
        add_retraining_routes(app, parts.retraining)
    _add_errors(app)
    return app


def _add_events(app: Flask, parts: RouteParts) -> None:
    @app.post("/events")
    def events() -> ResponseReturnValue:
        return json_response(parts.intake.take(body_within(parts.max_body_bytes)))


def _add_state(app: Flask, parts: RouteParts) -> None:
    @app.get("/api/state")
    def state() -> ResponseReturnValue:
        reports, reference = parts.reports.all(), parts.reference_service.current()
        document = state_document(parts.case, parts.snapshots.take(), reports, reference)
        return json_response({**document, "retraining": parts.retraining.document() if parts.retraining else None})

    @app.get("/api/columns/<name>/distribution")
    def column_distribution(name: str) -> ResponseReturnValue:
        if name not in parts.case.column_names:
            raise NotFound("The case has no such column.")
        return json_response(parts.reference_service.distribution(name))

    @app.get("/api/history")
    def history() -> ResponseReturnValue:
        after_row = query_number(request.args, "after_row", default=0, low=0)
        arrivals = parts.snapshots.arrivals(ARRIVALS_SHOWN_S)
        return json_response(history_document(parts.case, parts.snapshots.take(), arrivals, after_row=after_row))


def _add_probes(app: Flask, parts: RouteParts) -> None:
    def metrics() -> bytes:
        return parts.metrics.exposition(parts.snapshots.take(), parts.reference_service.current())

    status = AnsweringStatus(parts.faults, lambda: {"active": True})
    add_probes(app, parts.case.name, status, metrics, parts.snapshots.waiting)


def _add_document(app: Flask, parts: RouteParts) -> None:
    document = encode_json(
        openapi_document(
            parts.case,
            max_body_bytes=parts.max_body_bytes,
            with_keys=parts.keys is not None,
            with_retraining=parts.retraining is not None,
        )
    )

    @app.get("/openapi.json")
    def openapi() -> ResponseReturnValue:
        return json_bytes_response(document)


def _add_pages(app: Flask, parts: RouteParts) -> None:
    shown = page_content(parts.case)

    @app.get("/")
    def page() -> ResponseReturnValue:
        response = Response(render_template("live.html", case=parts.case, shown=shown))
        response.headers[POLICY] = PAGE_POLICY
        return response


def _add_errors(app: Flask) -> None:
    add_error_handlers(app)

    @app.errorhandler(TooManyLinesError)
    def too_many_lines(error: TooManyLinesError) -> ResponseReturnValue:
        return problem_response(413, str(error))

    @app.errorhandler(TooSoonError)
    def too_soon(error: TooSoonError) -> ResponseReturnValue:
        return later_response(str(error), error.retry_after_s, 429)
