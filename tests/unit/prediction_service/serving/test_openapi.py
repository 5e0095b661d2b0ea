"""The OpenAPI document says what the service does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from prediction_world import Service, call, made_case, made_record, serving

from event_backbone.case.files import find_case
from event_backbone.case.records import RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.events.schema import encode_json
from prediction_service.serving.app import add_admin, build_api
from prediction_service.serving.openapi import openapi_document

CASES_DIR = Path(__file__).parents[4] / "cases"
CASES = {name: find_case(name, CASES_DIR) for name in ("census", "housing")} | {"garden": made_case()}
#: For people, not for programs: the form, and the page that shows the document.
PAGES = {"/", "/static/{filename}", "/docs/", "/docs/{path}", "/docs/dist/{filename}"}


def document_of(case: Case) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(openapi_document(case, max_body_bytes=1000)))


def validator(document: dict[str, Any], name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft202012Validator(schema)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    service = Service(tmp_path)
    app = build_api(
        service.case, service.handlers, service.journal, None, None, service.metrics.registry, max_body_bytes=1000
    )
    add_admin(app, None)
    yield app
    service.journal.close()


# Records --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_schemas_are_schemas(name: str) -> None:
    for schema in document_of(CASES[name])["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", CASES)
def test_the_example_of_each_column_makes_a_record_that_is_taken(name: str) -> None:
    document = document_of(CASES[name])
    properties = document["components"]["schemas"]["Record"]["properties"]
    record = {column: properties[column]["examples"][0] for column in CASES[name].column_names}
    validator(document, "Record").validate(record)
    RecordDecoder(CASES[name]).decode(encode_json(record))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"leaves": 0},
        {"leaves": 5000},
        {"height": 0.5},
        {"height": 3},
        {"drift_south": None},
        {"drift_south": -1e300},
        {"soil": "unseen"},
        {"soil": "x" * 12},
        {"neighbour": None},
        {"record_id": None},
        {"record_id": "A-z.0_9:~"},
    ],
)
def test_what_the_service_takes_the_schema_takes(changes: dict[str, Any]) -> None:
    record = made_record(**changes)
    RecordDecoder(made_case()).decode(encode_json(record))
    validator(document_of(made_case()), "Record").validate(record)


@pytest.mark.parametrize(
    "changes",
    [
        {"leaves": -1},
        {"leaves": 5001},
        {"leaves": "5"},
        {"leaves": 5.5},
        {"leaves": True},
        {"leaves": None},
        {"leaves": ...},
        {"plot": 2**53 + 1},
        {"height": 0.4},
        {"soil": ""},
        {"soil": "x" * 13},
        {"soil": 5},
        {"flowers": "yes"},
        {"extra": 1},
        {"record_id": ""},
        {"record_id": "no spaces"},
        {"record_id": "x" * 129},
        {"record_id": 5},
    ],
)
def test_what_the_service_refuses_the_schema_refuses(changes: dict[str, Any]) -> None:
    record = {name: value for name, value in made_record(**changes).items() if value is not ...}
    assert RecordDecoder(made_case()).faults_in_body(encode_json(record))
    assert not validator(document_of(made_case()), "Record").is_valid(record)


def test_each_column_is_described_with_its_unit_and_what_is_usual() -> None:
    properties = document_of(made_case())["components"]["schemas"]["Record"]["properties"]
    assert properties["height"]["description"] == "Above the ground. Unit: cm."
    assert "Expected: clay, loam, sand" in properties["soil"]["description"]


def test_patterns_are_those_of_every_language() -> None:
    patterns = re.findall(r'"pattern": "([^"]*)"', str(document_of(made_case())).replace("'", '"'))
    assert patterns
    assert not [pattern for pattern in patterns if r"\Z" in pattern]


# Routes and answers ---------------------------------------------------------------------------------------------------


def routes(app: Flask) -> set[tuple[str, str]]:
    """Method and path of every rule, in OpenAPI's way of writing."""
    found = set()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule)
        found |= {(method.lower(), path) for method in (rule.methods or ()) - {"HEAD", "OPTIONS"}}
    return found


def test_every_route_is_in_the_document_and_every_path_of_it_is_a_route(app: Flask) -> None:
    documented = {
        (method, path) for path, operations in document_of(made_case())["paths"].items() for method in operations
    }
    assert {route for route in routes(app) if route[1] not in PAGES} == documented


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = document_of(made_case())
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document)))
    assert names <= set(document["components"]["schemas"])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Any]:
    with serving(tmp_path) as application:
        yield application


#: Method, path, query, body; what it is answered with has a schema in the document.
EXCHANGES: list[tuple[str, str, str, Any]] = [
    ("post", "/predict", "", made_record(record_id="r1")),
    ("post", "/predict", "", made_record(record_id="r1", leaves=1)),
    ("post", "/predict", "", {}),
    ("post", "/predict/batch", "", [made_record(record_id="r2"), {}, made_record(record_id="r1", leaves=1)]),
    ("post", "/predict/batch", "", []),
    ("post", "/labels", "", {"record_id": "r1", "label": "yes"}),
    ("post", "/labels", "", [{"record_id": "r1", "label": "yes"}, {}]),
    ("post", "/labels", "", {}),
    ("post", "/predictions/erase", "", {"record_ids": ["r7", ".", "a b"]}),
    ("post", "/predictions/erase", "", {"record_ids": []}),
    ("get", "/predictions", "", None),
    ("get", "/predictions", "limit=1", None),
    ("get", "/predictions", "limit=x", None),
    ("get", "/predictions/r1", "", None),
    ("get", "/predictions/r9", "", None),
    ("delete", "/predictions/r1", "", None),
    ("delete", "/predictions/r1", "", None),
    ("delete", "/predictions/not an id", "", None),
    ("get", "/status", "", None),
    ("get", "/openapi.json", "", None),
]


def test_every_answer_fits_the_document(service: Any) -> None:
    document = call(service, "GET", "/openapi.json").json()
    for method, path, query, content in EXCHANGES:
        body = b"" if content is None else encode_json(content)
        reply = call(service, method.upper(), path, body, query=query)
        pattern = re.sub(r"^(/predictions)/(?!erase$).*", r"\1/{record_id}", path)
        answers = document["paths"][pattern][method]["responses"]
        assert str(reply.status) in answers, f"{method} {path} answered {reply.status}"
        kind = reply.headers["Content-Type"]
        schema = {**answers[str(reply.status)]["content"][kind]["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(reply.json())


def test_the_document_is_shown_as_a_page(service: Any) -> None:
    reply = call(service, "GET", "/docs/")
    assert reply.status == 200
    assert b"/openapi.json" in reply.body
