"""HTTP routes of Evidently's reports: having one made, listing them, reading one."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, send_file
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from event_backbone.guards.api_keys import KeyCheck
from event_backbone.guards.browser_guard import POLICY
from event_backbone.guards.key_guard import CHALLENGE, DETAIL, KEY_FIELD
from event_backbone.web.request_bodies import MOST_FORM_BYTES, form_within
from event_backbone.web.responses import json_response, problem_response
from monitoring_service.checks.report_schedule import ReportScheduler
from monitoring_service.reports.folder import Report, ReportFolder
from monitoring_service.reports.script_policy import policy_of
from monitoring_service.views.report_document import REPORTS_PATH, report_document

LATEST = "latest"


def add_report_routes(
    app: Flask,
    folder: ReportFolder,
    service: ReportScheduler,
    keys: KeyCheck | None,
    count_refusal: Callable[[], None],
) -> None:
    @app.post("/api/reports")
    def order() -> ResponseReturnValue:
        return json_response({"row": service.demand(), "kind": "demand"}, 202)

    @app.get("/api/reports")
    def listed() -> ResponseReturnValue:
        return json_response([report_document(report) for report in reversed(folder.all())])

    @app.post(f"{REPORTS_PATH}<name>")
    def report_by_form(name: str) -> ResponseReturnValue:
        """A link can't carry a key, so the page sends it in a form."""
        form = form_within(MOST_FORM_BYTES)
        if keys is not None and not keys.accepts(form.get(KEY_FIELD, "")):
            count_refusal()
            refusal = problem_response(401, DETAIL)
            refusal.headers.extend([CHALLENGE])
            return refusal
        return report(name)

    @app.get(f"{REPORTS_PATH}<name>")
    def report(name: str) -> ResponseReturnValue:
        return _page(_found(folder, name))


def _found(folder: ReportFolder, name: str) -> Report:
    report = folder.latest() if name == LATEST else folder.find(name)
    if report is None:
        raise NotFound(
            "There is no report yet: the first is made after the first check of a window."
            if name == LATEST
            else "There is no such report: the last of each kind are kept, never what held an erased record."
        )
    return report


def _page(report: Report) -> Response:
    try:
        policy = policy_of(report.path)
        response = send_file(report.path.resolve(), mimetype="text/html", max_age=0)
    except FileNotFoundError:
        raise NotFound("This report was just replaced; ask again.") from None
    response.headers[POLICY] = policy
    return response
