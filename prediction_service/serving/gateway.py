"""The request gateway before Flask: metrics of every request, and the fast path for ``POST /predict``.

The fast path and Flask's ``/predict`` view call the same handlers.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter

from event_backbone.errors import TryAgainLaterError
from event_backbone.server.application import GroupHandler, Posted, Response
from event_backbone.server.wsgi_bridge import PROBES
from event_backbone.web.problems import CONTENT_TYPE, problem
from event_backbone.web.responses import JSON, retry_after_header, try_again
from prediction_service.serving.handlers import Reply
from prediction_service.serving.metrics import ENDPOINTS, OTHER, ServingMetrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()


class RequestGateway:
    """Request metrics and the fast path of ``/predict``, in front of the Flask application."""

    def __init__(
        self,
        flask_app: WSGIApplication,
        predict_all: Callable[[Sequence[bytes]], Sequence[Reply]],
        metrics: ServingMetrics,
        *,
        fast_path: bool,
    ) -> None:
        self._flask_app = flask_app
        self._predict_all = predict_all
        self._requests = metrics.requests
        self._observe_seconds = {
            endpoint: metrics.request_seconds.labels(endpoint).observe for endpoint in (*ENDPOINTS.values(), OTHER)
        }
        self._counters: dict[tuple[str, str], Counter] = {}
        self.group_handlers: Mapping[str, GroupHandler] = {"/predict": self.answer_group} if fast_path else {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in PROBES:
            return self._flask_app(environ, start_response)
        started = time.perf_counter()
        statuses: list[str] = []

        def noting(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            statuses.append(status[:3])
            return start_response(status, headers, *rest)

        answer = self._flask_app(environ, noting)
        endpoint = ENDPOINTS.get(path, OTHER)
        self._counter(endpoint, statuses[-1]).inc()
        self._observe_seconds[endpoint](time.perf_counter() - started)
        return answer

    def answer_group(self, group: Sequence[Posted]) -> list[Response]:
        """Answer records that were posted one by one, and count them; raises nothing."""
        responses = self._responses_to(group)
        now, observe_seconds = time.perf_counter(), self._observe_seconds["predict"]
        for status, number in Tally(response.status for response in responses).items():
            self._counter("predict", str(status)).inc(number)
        for posted in group:
            observe_seconds(now - posted.since_s)
        return responses

    def _responses_to(self, group: Sequence[Posted]) -> list[Response]:
        try:
            return [_response(*reply) for reply in self._predict_all([posted.body for posted in group])]
        except TryAgainLaterError as error:
            later = _response(*unavailable(str(error), error.retry_after_s), error.retry_after_s)
            return [later] * len(group)
        except Exception:  # the application's border, as Flask is one for its views
            log.exception("predictions_failed")
            return [_response(*failed())] * len(group)

    def _counter(self, endpoint: str, status: str) -> Counter:
        counter = self._counters.get((endpoint, status))
        if counter is None:
            counter = self._counters[endpoint, status] = self._requests.labels(endpoint, status)
        return counter


def _response(status: int, body: bytes, retry_after_s: float | None = None) -> Response:
    headers = [("Content-Type", JSON if status == 200 else CONTENT_TYPE)]
    if retry_after_s is not None:
        headers.append(("Retry-After", retry_after_header(retry_after_s)))
    return Response(status, headers, body)


def unavailable(detail: str, retry_after_s: float) -> Reply:
    return 503, problem(503, try_again(detail, retry_after_s))


def failed() -> Reply:
    detail = "Something failed here and was logged. The record may be kept or not: send it again with its record_id."
    return 500, problem(500, detail)
