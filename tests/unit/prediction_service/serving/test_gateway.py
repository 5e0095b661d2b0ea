"""The request gateway: metrics, the size of bodies, and two paths that give the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prediction_world import Reply, call, made_case, made_record, serving
from prometheus_client import CollectorRegistry

from event_backbone.errors import TryAgainLaterError
from prediction_service.serving.gateway import RequestGateway
from prediction_service.serving.metrics import ServingMetrics

LIMIT = 1024


class Gateway:
    """A gateway with a handler and a Flask application that a test writes."""

    def __init__(self, predict: Callable[[bytes], tuple[int, bytes]], *, fast_path: bool = True) -> None:
        self.metrics = ServingMetrics(CollectorRegistry(), made_case())
        self.wsgi = RequestGateway(self.flask, predict, self.metrics, max_body_bytes=LIMIT, fast_path=fast_path)
        self.in_flask: list[str] = []

    def flask(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.in_flask.append(environ["PATH_INFO"])
        start_response("204 No Content", [])
        return [b""]

    def value(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


def echo(body: bytes) -> tuple[int, bytes]:
    return 200, body


def problem_of(reply: Reply) -> dict[str, Any]:
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json()
    assert problem["status"] == reply.status
    return problem


# The fast path --------------------------------------------------------------------------------------------------------


def test_the_fast_path_answers_only_post_predict() -> None:
    gateway = Gateway(echo)
    assert call(gateway.wsgi, "POST", "/predict", b"hello").body == b"hello"
    for method, path in [("GET", "/predict"), ("POST", "/predict/"), ("POST", "/predict/batch"), ("POST", "/labels")]:
        assert call(gateway.wsgi, method, path).status == 204
    assert gateway.in_flask == ["/predict", "/predict/", "/predict/batch", "/labels"]


def test_without_the_fast_path_flask_answers_everything() -> None:
    gateway = Gateway(echo, fast_path=False)
    assert call(gateway.wsgi, "POST", "/predict").status == 204


def test_an_answer_says_its_type_and_length() -> None:
    reply = call(Gateway(echo).wsgi, "POST", "/predict", b"hello")
    assert reply.headers == {"Content-Type": "application/json", "Content-Length": "5"}


def test_what_can_be_tried_again_is_503_with_retry_after() -> None:
    def later(_: bytes) -> tuple[int, bytes]:
        raise TryAgainLaterError("the journal is full", retry_after_s=2.1)

    reply = call(Gateway(later).wsgi, "POST", "/predict")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "3")
    assert problem_of(reply)["detail"] == "the journal is full; try again in 3 s."


def test_a_failure_nobody_expected_is_500_without_its_text() -> None:
    def fail(_: bytes) -> tuple[int, bytes]:
        raise ZeroDivisionError("secret of the record")

    gateway = Gateway(fail)
    reply = call(gateway.wsgi, "POST", "/predict")
    assert problem_of(reply)["status"] == 500
    assert b"secret" not in reply.body
    assert gateway.value("prediction_requests_total", endpoint="predict", status="500") == 1


def test_requests_are_counted_by_endpoint_and_status_from_closed_sets() -> None:
    gateway = Gateway(echo)
    for path in ("/predict", "/labels", "/unheard-of", "/another"):
        call(gateway.wsgi, "POST", path)
    assert gateway.value("prediction_requests_total", endpoint="predict", status="200") == 1
    assert gateway.value("prediction_requests_total", endpoint="labels", status="204") == 1
    assert gateway.value("prediction_requests_total", endpoint="other", status="204") == 2
    assert gateway.value("prediction_request_duration_seconds_count", endpoint="other") == 2


# Two paths, one behaviour ---------------------------------------------------------------------------------------------


@pytest.fixture(params=[True, False], ids=["fast path", "flask"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with serving(tmp_path, lane=request.param, max_body_bytes=LIMIT) as application:
        yield application


def large(size: int) -> bytes:
    return b'{"soil": "' + b"x" * (size - 12) + b'"}'


@pytest.mark.parametrize("content_length", [-1, None], ids=["with length", "without length"])
def test_a_body_over_the_limit_is_413_with_and_without_a_length(service: Any, content_length: int | None) -> None:
    reply = call(service, "POST", "/predict", large(LIMIT + 1), content_length=content_length)
    assert problem_of(reply)["detail"] == "The body is larger than 1024 bytes; nothing was stored."
    assert reply.status == 413
    assert call(service, "GET", "/status").json()["journal"]["last_seq"] == 0


@pytest.mark.parametrize("content_length", [-1, None], ids=["with length", "without length"])
def test_a_body_at_the_limit_is_read_whole(service: Any, content_length: int | None) -> None:
    reply = call(service, "POST", "/predict", large(LIMIT), content_length=content_length)
    assert reply.status == 422
    assert "soil" in [fault["field"] for fault in reply.json()["faults"]]


@pytest.mark.parametrize("path", ["/predict/batch", "/labels", "/"])
def test_the_limit_holds_on_every_path(service: Any, path: str) -> None:
    form = "application/x-www-form-urlencoded"
    for content_length in (-1, None):
        reply = call(service, "POST", path, large(5000), content_length=content_length, content_type=form)
        assert problem_of(reply)["status"] == 413


def test_a_record_without_a_length_is_answered(service: Any) -> None:
    record = json.dumps(made_record(record_id="r1", leaves=30)).encode()
    reply = call(service, "POST", "/predict", record, content_length=None)
    assert (reply.status, reply.json()["score"]) == (200, pytest.approx(0.3))


def test_unknown_paths_and_methods_are_problem_documents(service: Any) -> None:
    assert problem_of(call(service, "GET", "/unheard-of"))["status"] == 404
    reply = call(service, "GET", "/predict")
    assert problem_of(reply)["status"] == 405
    assert "POST" in reply.headers["Allow"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=all", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=%D9%A3&since=x", "since"),
        ("since=2026-01-01", "since"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
    ],
)
def test_a_wrong_page_is_named(service: Any, query: str, field: str) -> None:
    problem = problem_of(call(service, "GET", "/predictions", query=query))
    assert (problem["status"], [fault["field"] for fault in problem["faults"]]) == (422, [field])


def test_a_record_id_that_can_be_none_is_422_and_one_nobody_used_404(service: Any) -> None:
    for method in ("GET", "DELETE"):
        assert problem_of(call(service, method, "/predictions/not an id"))["status"] == 422
    assert problem_of(call(service, "GET", "/predictions/unheard-of"))["status"] == 404


def test_an_id_that_this_replica_does_not_know_is_erased_at_the_sinks(service: Any) -> None:
    reply = call(service, "DELETE", "/predictions/unheard-of")
    assert (reply.status, reply.json()) == (200, {"record_id": "unheard-of", "rows_erased": 0})
    assert call(service, "GET", "/status").json()["journal"]["erasures"] == 1
