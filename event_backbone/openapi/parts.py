"""Building blocks of the OpenAPI 3.1 documents; a service adds its paths and schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.formats import markdown
from event_backbone.guards.encoding_guard import DETAIL as ENCODING_DETAIL
from event_backbone.guards.key_guard import DETAIL as KEY_DETAIL
from event_backbone.guards.key_guard import OPEN_PATHS
from event_backbone.web.problems import CONTENT_TYPE, Problem
from event_backbone.web.responses import JSON

Part = dict[str, Any]

NDJSON = "application/x-ndjson"
REF = "#/components/schemas/{name}"
WHOLE: Part = {"type": "integer"}
TEXT: Part = {"type": "string"}
OBJECT: Part = {"type": "object"}
NOT_JSON = f"The body is no JSON, or is nested deeper than {MOST_DEPTH} arrays and objects."
FAULTS = "What is wrong, by field: the first faults, and how many more there are; nothing was stored."

_WITHOUT_BODY = frozenset({"get", "head"})
_CROWD = "Too many requests in flight, bodies being sent or answers being read; Retry-After says when to come back."
_LATE_BODY = "The body did not come in time; nothing was stored."
_FOREIGN = "The Host or Origin is another than this service's."


def ref(name: str) -> Part:
    return {"$ref": REF.format(name=name)}


def array(items: Part, **limits: int) -> Part:
    return {"type": "array", "items": items, **limits}


def or_null(schema: Part) -> Part:
    return {"anyOf": [schema, {"type": "null"}]}


def object_of(**properties: Part) -> Part:
    """An object that has all of these, and perhaps others."""
    return {"type": "object", "required": list(properties), "properties": properties}


def closed(schemas: Part, *names: str) -> Part:
    """The same schemas; those of these names allow no other fields than their own."""
    return {
        name: {**schema, "additionalProperties": False} if name in names else schema for name, schema in schemas.items()
    }


def whole(low: int, high: int, **more: Any) -> Part:
    return {"type": "integer", "minimum": low, "maximum": high, **more}


def content(schema: Part, *types: str) -> Part:
    return {"content": {kind: {"schema": schema} for kind in types or (JSON,)}}


def problem_answer(text: str) -> Part:
    return {"description": text, **content(ref("Problem"), CONTENT_TYPE)}


def answers(good: str, schema: Part, **problems: str) -> Part:
    """The good answer's schema, and what each problem means by ``status_404``."""
    described = {code.removeprefix("status_"): problem_answer(text) for code, text in problems.items()}
    return {good: {"description": "Done.", **content(schema)}, **described}


def refusals(most_bytes: int) -> dict[str, str]:
    """What every route with a JSON body answers to one that it can't take; for :func:`answers`."""
    return {
        "status_400": NOT_JSON,
        "status_413": f"The body is larger than {most_bytes} bytes; nothing was stored.",
        "status_422": FAULTS,
    }


def asked(summary: str, responses: Part, *parameters: Part) -> Part:
    """An operation without a body."""
    return {"summary": summary, **({"parameters": list(parameters)} if parameters else {}), "responses": responses}


def sent(summary: str, schema: Part, responses: Part, *types: str, parameters: tuple[Part, ...] = ()) -> Part:
    """An operation with a JSON body, or one of these types."""
    body = {"requestBody": {"required": True, **content(schema, *types)}}
    return {**asked(summary, responses, *parameters), **body}


def path_parameter(name: str, schema: Part = TEXT) -> Part:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def query_parameter(name: str, schema: Part, description: str = "") -> Part:
    return {"name": name, "in": "query", "schema": schema, **({"description": description} if description else {})}


def about_the_service(status: str) -> Part:
    """The paths that every process answers; ``status`` says what stands in ``/status``."""
    probes = {"/livez": "Is the process alive?", "/readyz": "May requests be sent here?"}
    documents = {"/status": status, "/openapi.json": "This document"}
    metrics = {"description": "Done.", "content": {"text/plain": {"schema": TEXT}}}
    return {
        **{
            path: {"get": asked(text, {"200": _probe("Yes.", JSON), "503": _probe("No.", CONTENT_TYPE)})}
            for path, text in probes.items()
        },
        **{path: {"get": asked(text, answers("200", OBJECT))} for path, text in documents.items()},
        "/metrics": {"get": asked("Everything Prometheus asks for", {"200": metrics})},
    }


def _probe(text: str, kind: str) -> Part:
    return {"description": text, **content(OBJECT, kind)}


def document(
    title: str,
    description: str,
    paths: Part,
    schemas: Part,
    *,
    with_keys: bool,
    everywhere: Mapping[str, str] | None = None,
) -> Part:
    """The whole document; ``everywhere``: problems that any route but a probe may answer, by status."""
    _, (of_problem) = msgspec.json.schema_components([Problem], ref_template=REF)
    for path, operations in paths.items():
        for method, operation in operations.items():
            _add_guards(path, method, operation["responses"], everywhere or {})
    made = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": markdown.paragraph(description)},
        "paths": paths,
        "components": {"schemas": {**of_problem, **schemas}},
    }
    return _with_keys(made) if with_keys else made


def _add_guards(path: str, method: str, responses: Part, everywhere: Mapping[str, str]) -> None:
    if path in ("/livez", "/readyz"):
        return
    responses["403"] = problem_answer(_FOREIGN)
    if method not in _WITHOUT_BODY:
        responses["415"] = problem_answer(ENCODING_DETAIL)
        responses["408"] = problem_answer(_LATE_BODY)
    if path not in ("/status", "/metrics"):
        for code, text in everywhere.items():
            responses.setdefault(code, problem_answer(text))
        responses.setdefault("503", problem_answer(_CROWD))


def _with_keys(made: Part) -> Part:
    """The document of a service that asks for keys: by default one in either header, and 401 without."""
    for path, operations in made["paths"].items():
        for operation in operations.values():
            if path in OPEN_PATHS:
                operation["security"] = []
            else:
                operation["responses"]["401"] = problem_answer(KEY_DETAIL)
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {**made, "security": [{"bearer": []}, {"header": []}]}
