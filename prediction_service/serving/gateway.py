"""The request gateway before Flask: metrics of every request, and the fast path for ``POST /predict``.

The fast path and Flask's ``/predict`` view call the same handler.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter

from event_backbone.errors import TryAgainLaterError
from event_backbone.server.wsgi_bridge import PROBES
from event_backbone.web.problems import CONTENT_TYPE, problem
from event_backbone.web.request_bodies import read_body
from event_backbone.web.responses import JSON, retry_after_header, try_again
from prediction_service.serving.handlers import Reply
from prediction_service.serving.metrics import ENDPOINTS, OTHER, ServingMetrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()


_STATUS_LINES = {code: f"{code} {HTTPStatus(code).phrase}" for code in (200, 400, 409, 413, 422, 500, 503)}


class RequestGateway:
    """Request metrics and the fast path of ``/predict``, in front of the Flask application."""

    def __init__(
        self,
        flask_app: WSGIApplication,
        predict: Callable[[bytes], Reply],
        metrics: ServingMetrics,
        *,
        max_body_bytes: int,
        fast_path: bool,
    ) -> None:
        self._flask_app = flask_app
        self._predict = predict
        self._fast_path = fast_path
        self._max_body_bytes = max_body_bytes
        self._requests = metrics.requests
        self._observe_seconds = {
            endpoint: metrics.request_seconds.labels(endpoint).observe for endpoint in (*ENDPOINTS.values(), OTHER)
        }
        self._counters: dict[tuple[str, str], Counter] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in PROBES:
            return self._flask_app(environ, start_response)
        started = time.perf_counter()
        endpoint = ENDPOINTS.get(path, OTHER)
        if self._fast_path and endpoint == "predict" and environ["REQUEST_METHOD"] == "POST":
            status, answer = self._answer_on_fast_path(environ, start_response)
        else:
            status, answer = self._answer_in_flask(environ, start_response)
        self._counter(endpoint, status).inc()
        self._observe_seconds[endpoint](time.perf_counter() - started)
        return answer

    def _answer_in_flask(self, environ: WSGIEnvironment, start_response: StartResponse) -> tuple[str, Iterable[bytes]]:
        statuses: list[str] = []

        def noting(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            statuses.append(status[:3])
            return start_response(status, headers, *rest)

        answer = self._flask_app(environ, noting)
        return statuses[-1], answer

    def _counter(self, endpoint: str, status: str) -> Counter:
        counter = self._counters.get((endpoint, status))
        if counter is None:
            counter = self._counters[endpoint, status] = self._requests.labels(endpoint, status)
        return counter

    def _answer_on_fast_path(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> tuple[str, Iterable[bytes]]:
        body = read_body(environ, self._max_body_bytes)
        try:
            reply = too_large(self._max_body_bytes) if body is None else self._predict(body)
        except TryAgainLaterError as error:
            reply = unavailable(str(error), error.retry_after_s)
            return "503", _send(start_response, reply, error.retry_after_s)
        except Exception:  # the application's border, as Flask is one for its views
            log.exception("lane_failed")
            reply = failed()
        return str(reply[0]), _send(start_response, reply)


def _send(start_response: StartResponse, reply: Reply, retry_after_s: float = 1.0) -> list[bytes]:
    status, body = reply
    headers = [
        ("Content-Type", JSON if status == 200 else CONTENT_TYPE),
        ("Content-Length", str(len(body))),
    ]
    if status == 503:
        headers.append(("Retry-After", retry_after_header(retry_after_s)))
    start_response(_STATUS_LINES[status], headers)
    return [body]


def unavailable(detail: str, retry_after_s: float) -> Reply:
    return 503, problem(503, try_again(detail, retry_after_s))


def failed() -> Reply:
    detail = "Something failed here and was logged. The record may be kept or not: send it again with its record_id."
    return 500, problem(500, detail)


def too_large(max_body_bytes: int) -> Reply:
    return 413, problem(413, f"The body is larger than {max_body_bytes} bytes; nothing was stored.")
