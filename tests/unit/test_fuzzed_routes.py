"""What the OpenAPI documents allow and forbid is sent to every route: no 5xx, and no answer that is not documented."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fuzzing
import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from three_services import PAGES, ROUTES, Route, three_services

from event_backbone.openapi.parts import NDJSON

KEY = "the-one-good-key"
#: It waits for a sidecar, and takes nothing that could be wrong.
WITHOUT_INPUT = {"/admin/reload"}
DOCUMENTED = [route for route in ROUTES if route.pattern not in PAGES | WITHOUT_INPUT]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@schemathesis.serializer(NDJSON)
def lines_as_they_are(_context: Any, value: Any) -> Any:
    return value.encode(errors="surrogatepass") if isinstance(value, str) else repr(value).encode()


class OneKey:
    """Accepts one key."""

    def accepts(self, presented: str) -> bool:
        return presented == KEY


@pytest.fixture(scope="module", params=["without keys", "with keys"])
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    keys = OneKey() if request.param == "with keys" else None
    with three_services(tmp_path_factory.mktemp("services"), keys) as applications:
        yield {
            name: schemathesis.openapi.from_wsgi("/openapi.json", application)
            for name, application in applications.items()
        }


def try_route(services: dict[str, Any], route: Route, how_many: settings) -> None:
    """With what is allowed and with what is not, with a good key, another and none."""
    operation = services[route.service][route.pattern][route.method]
    for mode in modes_of(operation):

        @how_many
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers_are_documented(case: Any) -> None:
            for headers in ({"X-API-Key": KEY}, {"Authorization": "Bearer another"}, {}):
                case.call_and_validate(headers=headers, checks=CHECKS)

        answers_are_documented()


def modes_of(operation: Any) -> list[GenerationMode]:
    """Where nothing is sent, nothing can be wrong; a text that is a part of the path is always one."""
    has_content = operation.body or operation.query
    return list(GenerationMode) if has_content else [GenerationMode.POSITIVE]


@pytest.mark.parametrize("route", DOCUMENTED, ids=str)
def test_every_answer_is_documented_whatever_is_sent(services: dict[str, Any], route: Route) -> None:
    try_route(services, route, fuzzing.short(15))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("route", DOCUMENTED, ids=str)
def test_every_answer_is_documented_whatever_is_sent_long(services: dict[str, Any], route: Route) -> None:
    try_route(services, route, fuzzing.long_requests())


def try_sequences(services: dict[str, Any], name: str, how_many: settings) -> None:
    """Requests in a row, each made of answers to those before."""
    schema = services[name].exclude(path=sorted(WITHOUT_INPUT))

    class Sequences(schema.as_state_machine()):  # type: ignore[misc]  # made of the document
        def setup(self) -> None:
            schema.app.__self__.begin_anew()

        def get_call_kwargs(self, _case: Any) -> dict[str, Any]:
            return {"headers": {"X-API-Key": KEY}}

        def validate_response(self, response: Any, case: Any, **_more: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    Sequences.run(settings=how_many)


@pytest.mark.parametrize("name", ["prediction", "monitoring", "training"])
def test_every_answer_in_a_sequence_of_requests_is_documented(services: dict[str, Any], name: str) -> None:
    try_sequences(services, name, settings(fuzzing.short(5), stateful_step_count=6))


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["prediction", "monitoring", "training"])
def test_every_answer_in_a_sequence_of_requests_is_documented_long(services: dict[str, Any], name: str) -> None:
    try_sequences(services, name, settings(fuzzing.long_requests(), stateful_step_count=10))


def test_the_reload_of_a_model_takes_no_input(services: dict[str, Any]) -> None:
    operation = services["prediction"]["/admin/reload"]["POST"]
    assert (list(operation.body), list(operation.query), list(operation.path_parameters)) == ([], [], [])
