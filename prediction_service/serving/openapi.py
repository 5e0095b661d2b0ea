"""The OpenAPI document, made from the case file and the wire types."""

from __future__ import annotations

from typing import Any

import msgspec

from event_backbone.case.records import RECORD_ID_PATTERN, record_type
from event_backbone.case.schema import Case, Column
from event_backbone.events.schema import Prediction
from event_backbone.formats import markdown
from event_backbone.web.key_guard import DETAIL, OPEN_PATHS
from event_backbone.web.problems import CONTENT_TYPE, Problem
from event_backbone.web.responses import JSON
from prediction_service.serving.handlers import Answer, RecordAnswer

NDJSON = "application/x-ndjson"
_REF = "#/components/schemas/{name}"
# The end of text is \Z in Python, where $ would allow a line end; in JSON Schema it is $.
_RECORD_ID = {"type": "string", "pattern": RECORD_ID_PATTERN.replace(r"\Z", "$")}


def openapi_document(case: Case, *, max_body_bytes: int, with_keys: bool = False) -> dict[str, Any]:
    """An OpenAPI 3.1 document for this case; ``with_keys``: requests need an API key."""
    record = record_type(case)
    _, schemas = msgspec.json.schema_components([record, Answer, RecordAnswer, Problem, Prediction], ref_template=_REF)
    schemas["Record"] = _with_columns_described(case, schemas.pop(record.__name__))
    schemas["Label"] = _label_schema(case)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": f"{case.title}: predictions",
            "version": "1",
            "description": markdown.paragraph(case.description),
        },
        "paths": _paths(case, max_body_bytes),
        "components": {"schemas": schemas},
    }
    return _with_keys(document) if with_keys else document


def _with_keys(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a service that asks for keys: by default one in either header, and 401 without."""
    refused = {"description": DETAIL, **_content(_ref("Problem"), CONTENT_TYPE)}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in OPEN_PATHS:
                operation["security"] = []
            else:
                operation["responses"]["401"] = refused
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {**document, "security": [{"bearer": []}, {"header": []}]}


def _with_columns_described(case: Case, schema: dict[str, Any]) -> dict[str, Any]:
    for column in case.columns:
        prop = schema["properties"][column.name]
        prop["title"], prop["description"] = column.title, markdown.paragraph(_description(column))
        prop["examples"] = [_example(column)]
    schema["properties"]["record_id"] = {
        "anyOf": [_RECORD_ID, {"type": "null"}],
        "default": None,
        "description": "Identity of the record: the same id with the same content gets the stored prediction. "
        "Made when absent.",
    }
    return schema


def _description(column: Column) -> str:
    if column.is_category:
        return f"{column.help} Expected: {', '.join(column.categories)}; another text is taken as unknown."
    unit = f" Unit: {column.unit}." if column.unit else ""
    return f"{column.help}{unit}"


def _example(column: Column) -> str | int | float:
    if column.is_category:
        return column.categories[0]
    low = column.expected.minimum if column.expected.minimum is not None else column.valid.minimum or 0
    return int(low) if column.kind == "integer" else low


def _label_schema(case: Case) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "number"}
    if case.is_binary:
        value = {"type": "string", "enum": [case.target.negative, case.target.positive]}
    return {
        "type": "object",
        "required": ["record_id", "label"],
        "additionalProperties": False,
        "properties": {
            "record_id": _RECORD_ID,
            "label": {**value, "title": case.target.title},
            "labelled_at": {"type": "string", "format": "date-time"},
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(name=name)}


def _content(schema: dict[str, Any], *types: str) -> dict[str, Any]:
    return {"content": {kind: {"schema": schema} for kind in types or (JSON,)}}


def _answers(good: str, schema: dict[str, Any], **problems: str) -> dict[str, Any]:
    described = {code.removeprefix("status_"): text for code, text in problems.items()}
    answers = {good: {"description": "Done.", **_content(schema)}}
    for code, text in described.items():
        answers[code] = {"description": text, **_content(_ref("Problem"), CONTENT_TYPE)}
    return answers


def _paths(case: Case, max_body_bytes: int) -> dict[str, Any]:
    refusals = {
        "status_400": "The body is no JSON.",
        "status_413": f"The body is larger than {max_body_bytes} bytes.",
        "status_422": "Every fault, by field; nothing was stored.",
        "status_503": "Overload, a full journal or no model yet; Retry-After says when to come back.",
    }
    record, label = _ref("Record"), _ref("Label")
    conflict = {"status_409": "The record_id was used for another record; nothing changed."}
    return {
        "/predict": {
            "post": _operation(
                f"Predict {case.target.title.lower()}", record, _answers("200", _ref("Answer"), **conflict, **refusals)
            )
        },
        "/predict/batch": {
            "post": _operation(
                "Predict many, answered in order: an array, or one a line",
                {"type": "array", "items": record},
                _answers("200", _object(results={"type": "array", "items": _ref("RecordAnswer")}), **refusals),
                NDJSON,
            )
        },
        "/labels": {
            "post": _operation(
                "Ground truth by record_id: one, an array, or one a line",
                {"oneOf": [label, {"type": "array", "items": label}]},
                _answers("202", _taken_labels(), **refusals),
                NDJSON,
            )
        },
        **_stored_predictions(),
        "/admin/reload": {"post": _reload()},
        **_about_the_service(),
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _taken_labels() -> dict[str, Any]:
    faults = {"type": "array", "items": {"type": "object"}}
    rejected = {"type": "array", "items": _object(index={"type": "integer"}, faults=faults)}
    return _object(accepted={"type": "integer"}, rejected=rejected)


def _stored_predictions() -> dict[str, Any]:
    one_id = [{"name": "record_id", "in": "path", "required": True, "schema": _RECORD_ID}]
    absent = {
        "status_404": "Nothing is kept under this id.",
        "status_422": "This can't be a record_id.",
    }
    away = {"status_503": "The log of predictions is away; Retry-After says when to come back."}
    later = {"status_503": "The journal can't be written; Retry-After says when to come back."}
    cursor = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    page = _object(predictions={"type": "array", "items": _ref("Prediction")}, next=cursor)
    erased = _object(record_id=_RECORD_ID, rows_erased={"type": "integer"})
    return {
        "/predictions": {
            "get": {
                "summary": "Stored predictions in order",
                "parameters": _page_parameters(),
                "responses": _answers("200", page, status_422="A parameter is wrong.", **away),
            }
        },
        "/predictions/{record_id}": {
            "get": {
                "summary": "One stored prediction",
                "parameters": one_id,
                "responses": _answers("200", _ref("Prediction"), **absent, **away),
            },
            "delete": {
                "summary": "Erase what is kept about a record, here and at every sink; its id can't be used again",
                "parameters": one_id,
                "responses": _answers("200", erased, status_422=absent["status_422"], **later),
            },
        },
    }


def _reload() -> dict[str, Any]:
    version = {"type": "string"}
    model = _object(name=version, version=version)
    done = _object(model=model, previous={"anyOf": [version, {"type": "null"}]}, changed={"type": "boolean"})
    return {
        "summary": "Read the registry now; which version answers after that",
        "responses": _answers(
            "200",
            done,
            status_409="The registry's champion was refused, and why; the version before answers on.",
            status_503="The registry is away, no sidecar runs, or another reload is under way.",
        ),
    }


def _about_the_service() -> dict[str, Any]:
    probes = {"/livez": "Is the process alive?", "/readyz": "May requests be sent here?"}
    documents = {"/status": "Model, journal and sinks", "/openapi.json": "This document"}
    metrics = {"description": "Done.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        **{
            path: {
                "get": {"summary": text, "responses": {"200": {"description": "Yes."}, "503": {"description": "No."}}}
            }
            for path, text in probes.items()
        },
        **{
            path: {"get": {"summary": text, "responses": _answers("200", {"type": "object"})}}
            for path, text in documents.items()
        },
        "/metrics": {"get": {"summary": "Everything Prometheus asks for", "responses": {"200": metrics}}},
    }


def _operation(summary: str, schema: dict[str, Any], answers: dict[str, Any], *more_types: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "requestBody": {"required": True, **_content(schema, JSON, *more_types)},
        "responses": answers,
    }


def _page_parameters() -> list[dict[str, Any]]:
    since = "A time (RFC 3339), or the next of the page before."
    return [
        {"name": "since", "in": "query", "description": since, "schema": {"type": "string"}},
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
    ]
