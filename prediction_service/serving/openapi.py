"""The OpenAPI document, made from the case file and the wire types."""

from __future__ import annotations

from typing import Any

import msgspec

from event_backbone.case.records import RECORD_ID_PATTERN, record_type
from event_backbone.case.schema import Case, Column
from event_backbone.events.schema import Prediction
from event_backbone.formats import markdown
from event_backbone.openapi.parts import (
    NDJSON,
    REF,
    TEXT,
    WHOLE,
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
    query_parameter,
    ref,
    refusals,
    sent,
    whole,
)
from prediction_service.serving.handlers import Answer, RecordAnswer
from prediction_service.serving.stored_predictions import MAX_PAGE, ErasureOrder, ErasureResult

# The end of text is \Z in Python, where $ would allow a line end; in JSON Schema it is $.
_RECORD_ID = {"type": "string", "pattern": RECORD_ID_PATTERN.replace(r"\Z", "$")}
_NOTHING_KEPT = "A full journal or no model yet; Retry-After says when to come back."
_OVERLOAD = "Overload; Retry-After says when to come back."
_NO_ID = "This can't be a record_id."


def openapi_document(case: Case, *, max_body_bytes: int, with_keys: bool = False) -> dict[str, Any]:
    """An OpenAPI 3.1 document for this case; ``with_keys``: requests need an API key."""
    record = record_type(case)
    types = [record, Answer, RecordAnswer, Prediction, ErasureOrder, ErasureResult]
    _, open_schemas = msgspec.json.schema_components(types, ref_template=REF)
    schemas = closed(open_schemas, ErasureOrder.__name__)
    schemas["Record"] = _with_columns_described(case, schemas.pop(record.__name__))
    schemas["Label"] = _label_schema(case)
    paths = {
        **_posted_records(case, max_body_bytes),
        **_stored_predictions(max_body_bytes),
        "/admin/reload": {"post": _reload()},
        **about_the_service("Model, journal and sinks"),
    }
    return document(
        f"{case.title}: predictions",
        case.description,
        paths,
        schemas,
        with_keys=with_keys,
        everywhere={"503": _OVERLOAD},
    )


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


def _posted_records(case: Case, max_body_bytes: int) -> Part:
    refused = {**refusals(max_body_bytes), "status_503": f"{_OVERLOAD} {_NOTHING_KEPT}"}
    record, label = ref("Record"), ref("Label")
    conflict = {"status_409": "The record_id was used for another record; nothing changed."}
    one_or_many = {"oneOf": [label, array(label, minItems=1)]}
    return {
        "/predict": {
            "post": sent(
                f"Predict {case.target.title.lower()}", record, answers("200", ref("Answer"), **conflict, **refused)
            )
        },
        "/predict/batch": {
            "post": _with_lines(
                sent(
                    "Predict many, answered in order: an array, or one a line",
                    array(record, minItems=1),
                    answers("200", object_of(results=array(ref("RecordAnswer"))), **refused),
                )
            )
        },
        "/labels": {
            "post": _with_lines(
                sent(
                    "Ground truth by record_id: one, an array, or one a line",
                    one_or_many,
                    answers("202", _taken_labels(), **refused),
                )
            )
        },
    }


def _with_lines(operation: Part) -> Part:
    """The same in NDJSON, whose lines OpenAPI has no schema for."""
    operation["requestBody"]["content"][NDJSON] = {"schema": TEXT}
    return operation


def _taken_labels() -> Part:
    return object_of(accepted=WHOLE, rejected=array(object_of(index=WHOLE, faults=array({"type": "object"}))))


def _stored_predictions(max_body_bytes: int) -> Part:
    one_id = path_parameter("record_id", _RECORD_ID)
    away = {"status_503": "The log of predictions is away; Retry-After says when to come back."}
    later = {"status_503": "The journal can't be written; Retry-After says when to come back."}
    page = object_of(predictions=array(ref("Prediction")), next=or_null(TEXT))
    erased = object_of(record_id=_RECORD_ID, rows_erased=WHOLE)
    return {
        "/predictions": {
            "get": asked(
                "Stored predictions in order",
                answers("200", page, status_422="A parameter is wrong.", **away),
                *_page_parameters(),
            )
        },
        "/predictions/erase": {
            "post": sent(
                "Erase many; what could not be erased is named with the reason",
                ref("ErasureOrder"),
                answers("200", ref("ErasureResult"), **refusals(max_body_bytes)),
            )
        },
        "/predictions/{record_id}": {
            "get": asked(
                "One stored prediction",
                answers("200", ref("Prediction"), status_404="Nothing is kept.", status_422=_NO_ID, **away),
                one_id,
            ),
            "delete": asked(
                "Erase what is kept about a record, here and at every sink; its id can't be used again",
                answers("200", erased, status_422=_NO_ID, **later),
                one_id,
            ),
        },
    }


def _reload() -> Part:
    done = object_of(
        model=or_null(object_of(name=TEXT, version=TEXT)), previous=or_null(TEXT), changed={"type": "boolean"}
    )
    return asked(
        "Read the registry now; which version answers after that",
        answers(
            "200",
            done,
            status_409="The registry's champion was refused, and why; the version before answers on.",
            status_503="The registry is away, no sidecar runs, or another reload is under way.",
        ),
    )


def _page_parameters() -> list[Part]:
    since = "A time (RFC 3339), or the next of the page before."
    limit = whole(1, MAX_PAGE, default=100)
    return [query_parameter("since", TEXT, since), query_parameter("limit", limit)]
