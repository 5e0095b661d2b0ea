"""Responses that every service gives in the same way."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from event_backbone.errors import Fault
from event_backbone.web.responses import (
    json_response,
    later_response,
    problem_response,
    rejection_response,
    retry_after_header,
)


@pytest.mark.parametrize(
    ("seconds", "header"), [(0.0, "1"), (-3.0, "1"), (1.0, "1"), (1.2, "2"), (2.5, "3"), (59.4, "60")]
)
def test_retry_after_is_whole_seconds_rounded_up(seconds: float, header: str) -> None:
    assert retry_after_header(seconds) == header


@given(st.floats(min_value=0, max_value=1e9))
def test_nobody_is_told_to_come_back_too_early(seconds: float) -> None:
    assert max(1.0, seconds) <= int(retry_after_header(seconds)) <= max(1, math.ceil(seconds))


def test_the_text_and_the_header_name_the_same_seconds() -> None:
    response = later_response("the journal is full", 2.1)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "3")
    assert json.decode(response.data)["detail"] == "the journal is full; try again in 3 s."


def test_a_document_is_json_and_a_problem_says_so() -> None:
    assert (json_response({"a": 1}, 202).data, json_response({}).content_type) == (b'{"a":1}', "application/json")
    problem = problem_response(404, "There is no such run.")
    assert (problem.status_code, problem.content_type) == (404, "application/problem+json")
    assert json.decode(problem.data) == {"title": "Not Found", "status": 404, "detail": "There is no such run."}


@pytest.mark.parametrize(("reason", "code"), [("json", 400), ("range", 422)])
def test_all_faults_of_an_input_are_named(reason: str, code: int) -> None:
    response = rejection_response([Fault("a", reason, "is wrong"), Fault("b", "type", "is none")])
    assert response.status_code == code
    assert [fault["field"] for fault in json.decode(response.data)["faults"]] == ["a", "b"]
