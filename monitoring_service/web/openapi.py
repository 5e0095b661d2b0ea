"""The OpenAPI document of monitoring, made from the case and the wire types."""

from __future__ import annotations

import msgspec

from event_backbone.case.schema import Case
from event_backbone.guards.key_guard import KEY_FIELD
from event_backbone.openapi.parts import (
    NDJSON,
    OBJECT,
    REF,
    TEXT,
    WHOLE,
    Part,
    about_the_service,
    answers,
    array,
    asked,
    closed,
    content,
    document,
    object_of,
    or_null,
    path_parameter,
    problem_answer,
    query_parameter,
    ref,
    refusals,
    sent,
    whole,
)
from event_backbone.web.request_bodies import LARGEST_QUERY_NUMBER, MOST_FORM_BYTES
from monitoring_service.alerting.views import AlertView
from monitoring_service.intake.receiver import MOST_LINES, Receipt
from monitoring_service.views.report_document import REPORTS_PATH
from monitoring_service.web.request_bodies import MOST_DECISION_BYTES, Decision, Silencing

_LATER = "It can't be kept now, or too many rows wait for their check; Retry-After says when to come back."
_STANDBY = "It stands by while another process works, or can't write now; Retry-After says when to come back."
_WRONG_PARAMETER = "A parameter is wrong."
_DECISION_REFUSALS = refusals(MOST_DECISION_BYTES)


def openapi_document(case: Case, *, max_body_bytes: int, with_keys: bool, with_retraining: bool) -> Part:
    """An OpenAPI 3.1 document; ``with_keys``: requests need an API key."""
    types = [Receipt, AlertView, Decision, Silencing]
    _, open_schemas = msgspec.json.schema_components(types, ref_template=REF)
    schemas = closed(open_schemas, Decision.__name__, Silencing.__name__)
    paths = {
        "/events": {"post": _events(max_body_bytes)},
        **_state(case),
        **_reports(),
        **_alerts(),
        **_references(),
        **({"/api/retraining": {"post": _retraining()}} if with_retraining else {}),
        **about_the_service("Whether this process is the active one"),
    }
    return document(
        f"{case.title}: monitoring",
        case.description,
        paths,
        schemas,
        with_keys=with_keys,
        everywhere={"503": _STANDBY},
    )


def _events(max_body_bytes: int) -> Part:
    too_large = (
        f"The body is larger than {max_body_bytes} bytes or has more than {MOST_LINES} lines; nothing was stored."
    )
    responses = answers("200", ref("Receipt"), status_413=too_large, status_503=_LATER)
    return sent("Events, one envelope a line; what is none is named by its line", TEXT, responses, NDJSON)


def _state(case: Case) -> Part:
    column = path_parameter("name", {"type": "string", "enum": list(case.column_names)})
    row = query_parameter("after_row", whole(0, LARGEST_QUERY_NUMBER, default=0), "Only checks after this row.")
    limit = query_parameter("limit", whole(1, LARGEST_QUERY_NUMBER), "The newest windows, at most.")
    bins = object_of(kind=TEXT, bins=array(OBJECT))
    history = object_of(at={"type": "number"}, columns=array(TEXT), checks=array(OBJECT), arrivals=array(array(WHOLE)))
    return {
        "/api/state": {"get": asked("Everything as it stands", answers("200", object_of(case=TEXT, at=TEXT)))},
        "/api/history": {
            "get": asked("Checks and arrivals", answers("200", history, status_422=_WRONG_PARAMETER), row)
        },
        "/api/columns/{name}/distribution": {
            "get": asked(
                "A column's values in the reference and in the window",
                answers("200", bins, status_404="The case has no such column."),
                column,
            )
        },
        "/api/quality-windows": {
            "get": asked(
                "Performance of past windows, by model version",
                answers("200", {"type": ["array", "object"]}, status_422=_WRONG_PARAMETER),
                limit,
            )
        },
        "/api/shadow": {
            "get": asked(
                "What a shadow said beside what was answered",
                answers("200", object_of(most_pairs=WHOLE, comparisons=array(OBJECT))),
            )
        },
    }


def _reports() -> Part:
    report = object_of(row=WHOLE, at=TEXT, kind=TEXT, url=TEXT, size=WHOLE)
    page = {"200": {"description": "Done.", **content(TEXT, "text/html; charset=utf-8")}}
    absent = {"404": problem_answer("There is no such report.")}
    name = path_parameter("name")
    form = object_of(**{KEY_FIELD: TEXT})
    too_large = problem_answer(f"The body is larger than {MOST_FORM_BYTES} bytes.")
    wrong_key = problem_answer("The form's key is not one that this service knows.")
    return {
        "/api/reports": {
            "get": asked("The reports that are kept, newest first", answers("200", array(report))),
            "post": asked(
                "Have one made about the newest checked window",
                answers(
                    "202",
                    object_of(row=WHOLE, kind=TEXT),
                    status_409="One is being made, or there is no window.",
                    status_429="The last one was asked for just now; Retry-After says when to come back.",
                ),
            ),
        },
        f"{REPORTS_PATH}{{name}}": {
            "get": asked("A report as a page; latest is the newest", {**page, **absent}, name),
            "post": sent(
                "The same, with the key in a form: a link can't carry one",
                form,
                {**page, **absent, "401": wrong_key, "413": too_large},
                "application/x-www-form-urlencoded",
                parameters=(name,),
            ),
        },
    }


def _alerts() -> Part:
    shown = object_of(alerts=array(ref("AlertView")))
    alert_id = path_parameter("alert_id")
    none = {"status_404": "There is no such alert."}
    return {
        "/api/alerts": {"get": asked("What fires, is pending, or is resolved", answers("200", shown))},
        "/api/alerts/{alert_id}/acknowledge": {
            "post": sent(
                "Not to be told again until it is resolved",
                ref("Decision"),
                answers("200", shown, **none, status_409="It is resolved already.", **_DECISION_REFUSALS),
                parameters=(alert_id,),
            )
        },
        "/api/alerts/{alert_id}/silence": {
            "post": sent(
                "Not to be told for a time that it fires",
                ref("Silencing"),
                answers("200", shown, **none, **_DECISION_REFUSALS),
                parameters=(alert_id,),
            ),
            "delete": asked("End a silence", answers("200", shown, status_404="There is none."), alert_id),
        },
    }


def _references() -> Part:
    reference = object_of(current=or_null(OBJECT), history=array(OBJECT))

    def decided(summary: str, conflict: str) -> Part:
        responses = answers("200", reference, status_409=conflict, **_DECISION_REFUSALS)
        return {"post": sent(summary, ref("Decision"), responses)}

    return {
        "/api/reference": {"get": asked("What windows are compared with", answers("200", reference))},
        "/api/reference/accept": decided("Accept the window as the reference", "There is nothing to accept."),
        "/api/reference/revert": decided("Take the last acceptance back", "There is nothing to take back."),
    }


def _retraining() -> Part:
    responses = answers(
        "202",
        object_of(id=TEXT),
        status_409="No retraining may begin now, and why.",
        status_503="The training server is away; Retry-After says when to come back.",
        **_DECISION_REFUSALS,
    )
    return sent("Ask the training server for a retraining", ref("Decision"), responses)
