"""The request gateway: metrics, the size of bodies, and two paths that give the same answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prediction_world import Reply, call, made_case, made_record, serving
from prometheus_client import CollectorRegistry
from rsgi_client import Exchange, answered, run

from event_backbone.errors import TryAgainLaterError
from event_backbone.guards.access import Access, Guards
from event_backbone.server.admission import AdmissionControl
from event_backbone.server.application import Posted, Response
from event_backbone.server.body_reader import BodyReader
from event_backbone.server.wsgi_bridge import WsgiBridge
from prediction_service.serving.gateway import RequestGateway
from prediction_service.serving.metrics import ServingMetrics

LIMIT = 1024
TYPE = {"content-type": "application/json"}


class Gateway:
    """A gateway with handlers and a Flask application that a test writes."""

    def __init__(self, predict_all: Callable[[Sequence[bytes]], list[tuple[int, bytes]]]) -> None:
        self.metrics = ServingMetrics(CollectorRegistry(), made_case())
        self.wsgi = RequestGateway(self.flask, predict_all, self.metrics, fast_path=True)

    def flask(self, _environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("204 No Content", [])
        return [b""]

    def post(self, *bodies: bytes) -> list[Response]:
        return self.wsgi.answer_group([Posted(body, time.perf_counter()) for body in bodies])

    def value(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


def echo(bodies: Sequence[bytes]) -> list[tuple[int, bytes]]:
    return [(200, body) for body in bodies]


def problem_of(reply: Reply | Response) -> dict[str, Any]:
    assert dict(reply.headers)["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(reply.body)
    assert problem["status"] == reply.status
    return problem


# The fast path --------------------------------------------------------------------------------------------------------


def test_each_record_of_a_group_gets_its_own_answer() -> None:
    assert [response.body for response in Gateway(echo).post(b"one", b"two")] == [b"one", b"two"]


def test_an_answer_says_its_type() -> None:
    assert Gateway(echo).post(b"hello")[0].headers == [("Content-Type", "application/json")]


def test_what_can_be_tried_again_is_503_with_retry_after() -> None:
    def later(_: Sequence[bytes]) -> list[tuple[int, bytes]]:
        raise TryAgainLaterError("the journal is full", retry_after_s=2.1)

    for reply in Gateway(later).post(b"one", b"two"):
        assert (reply.status, dict(reply.headers)["Retry-After"]) == (503, "3")
        assert problem_of(reply)["detail"] == "the journal is full; try again in 3 s."


def test_a_failure_nobody_expected_is_500_without_its_text() -> None:
    def fail(_: Sequence[bytes]) -> list[tuple[int, bytes]]:
        raise ZeroDivisionError("secret of the record")

    gateway = Gateway(fail)
    [reply] = gateway.post(b"one")
    assert problem_of(reply)["status"] == 500
    assert b"secret" not in reply.body
    assert gateway.value("prediction_requests_total", endpoint="predict", status="500") == 1


def test_requests_are_counted_by_endpoint_and_status_from_closed_sets() -> None:
    gateway = Gateway(echo)
    gateway.post(b"one", b"two")
    for path in ("/labels", "/unheard-of", "/another"):
        call(gateway.wsgi, "POST", path)
    assert gateway.value("prediction_requests_total", endpoint="predict", status="200") == 2
    assert gateway.value("prediction_requests_total", endpoint="labels", status="204") == 1
    assert gateway.value("prediction_requests_total", endpoint="other", status="204") == 2
    assert gateway.value("prediction_request_duration_seconds_count", endpoint="predict") == 2
    assert gateway.value("prediction_request_duration_seconds_count", endpoint="other") == 2


# Two paths, one behaviour ---------------------------------------------------------------------------------------------


class Service:
    """A prediction service behind its bridge."""

    def __init__(self, application: Any) -> None:
        guards = Guards(Access(), application.count_unauthorized)
        self._bridge = WsgiBridge(application, guards, AdmissionControl(8), BodyReader(LIMIT), threads=1)

    def call(self, method: str, path: str, body: bytes = b"", *, announced: int | None = -1, **more: str) -> Reply:
        exchange = Exchange(
            method, path, body, announced=announced, query=more.pop("query", ""), headers={**TYPE, **more}
        )
        answer = run(answered(self._bridge, exchange))
        return Reply(answer.status, answer.headers, answer.body)


@pytest.fixture(params=[True, False], ids=["fast path", "flask"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path, lane=request.param, max_body_bytes=LIMIT) as application:
        yield Service(application)


def large(size: int) -> bytes:
    return b'{"soil": "' + b"x" * (size - 12) + b'"}'


@pytest.mark.parametrize("announced", [-1, None], ids=["with length", "without length"])
def test_a_body_over_the_limit_is_413_with_and_without_a_length(service: Service, announced: int | None) -> None:
    reply = service.call("POST", "/predict", large(LIMIT + 1), announced=announced)
    assert problem_of(reply)["detail"] == "The body is larger than 1024 bytes; nothing was stored."
    assert reply.status == 413
    assert service.call("GET", "/status").json()["journal"]["last_seq"] == 0


@pytest.mark.parametrize("announced", [-1, None], ids=["with length", "without length"])
def test_a_body_at_the_limit_is_read_whole(service: Service, announced: int | None) -> None:
    reply = service.call("POST", "/predict", large(LIMIT), announced=announced)
    assert reply.status == 422
    assert "soil" in [fault["field"] for fault in reply.json()["faults"]]


@pytest.mark.parametrize("path", ["/predict/batch", "/labels", "/"])
def test_the_limit_holds_on_every_path(service: Service, path: str) -> None:
    form = "application/x-www-form-urlencoded"
    for announced in (-1, None):
        reply = service.call("POST", path, large(5000), announced=announced, **{"content-type": form})
        assert problem_of(reply)["status"] == 413


def test_a_record_without_a_length_is_answered(service: Service) -> None:
    record = json.dumps(made_record(record_id="r1", leaves=30)).encode()
    reply = service.call("POST", "/predict", record, announced=None)
    assert (reply.status, reply.json()["score"]) == (200, pytest.approx(0.3))


def test_unknown_paths_and_methods_are_problem_documents(service: Service) -> None:
    assert problem_of(service.call("GET", "/unheard-of"))["status"] == 404
    reply = service.call("GET", "/predict")
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
def test_a_wrong_page_is_named(service: Service, query: str, field: str) -> None:
    problem = problem_of(service.call("GET", "/predictions", query=query))
    assert (problem["status"], [fault["field"] for fault in problem["faults"]]) == (422, [field])


def test_a_record_id_that_can_be_none_is_422_and_one_nobody_used_404(service: Service) -> None:
    for method in ("GET", "DELETE"):
        assert problem_of(service.call(method, "/predictions/not an id"))["status"] == 422
    assert problem_of(service.call("GET", "/predictions/unheard-of"))["status"] == 404


def test_an_id_that_this_replica_does_not_know_is_erased_at_the_sinks(service: Service) -> None:
    reply = service.call("DELETE", "/predictions/unheard-of")
    assert (reply.status, reply.json()) == (200, {"record_id": "unheard-of", "rows_erased": 0})
    assert service.call("GET", "/status").json()["journal"]["erasures"] == 1
