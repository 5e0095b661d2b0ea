"""Whole requests to the services, events into the inbox and its checks, bundles that serve, answers of MLflow."""

from __future__ import annotations

import atexit
import contextlib
import io
import re
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from fuzzed_decoder import Decoder, NothingTakenError
from fuzzed_inputs import Contents, Fields
from fuzzed_over_http import EVENTS, GARDEN
from monitoring_bench import Bench
from monitoring_world import body_of
from prediction_world import servable_parts
from rsgi_client import Scope
from three_services import three_services

from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import ModelRef, encode_json
from event_backbone.model.bundle import BrokenBundleError, open_bundle, write_bundle
from event_backbone.model.mlflow_registry import MlflowRegistry
from event_backbone.model.scoring import Scorer
from event_backbone.server.wsgi_bridge import environ_of, response_of
from event_backbone.web.problems import CONTENT_TYPE
from monitoring_service.intake.receiver import TooManyLinesError

PREDICTION_PATHS = [
    *(
        "/predictions/r1",
        "/predictions",
        "/predictions/erase",
        "/predict",
        "/predict/batch",
        "/labels",
        "/docs",
    ),
    *("/static/form.css", "/readyz", "/docs/../x"),
]
MONITORING_PATHS = [
    *("/api/columns/price/distribution", "/api/history", "/api/quality-windows", "/api/alerts/a/silence"),
    *("/api/alerts/a/acknowledge", "/reports/latest", "/reports/report-000000000100-demand.html", "/static/live.js"),
    *("/api/reference/accept", "/events", "/api/retraining"),
]
TRAINING_PATHS = ["/train/none", "/train", "/alerts", "/readyz"]
REQUESTS = {
    "service": ["prediction", "monitoring", "training"],
    "method": ["GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS", "get"],
    "path": [*PREDICTION_PATHS, *MONITORING_PATHS, *TRAINING_PATHS],
    "query": [
        "limit=5&since=7",
        "after_row=1",
        "limit=1&limit=2",
        "%ff=%00",
        "a=b;c=d",
        "since=2026-01-01T00:00:00%2B14:00",
    ],
    "Content-Type": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
    "body": ['{"by":"Ada","note":"n","seconds":60}', '{"record_ids":["r1"]}', "leaves=5&plot=%FF", "--x\r\n\r\n--x--"],
    "X-Api-Key": ["k" * 43],
    "Content-Encoding": ["identity"],
    "Host": ["127.0.0.1"],
    "Accept": ["text/html", "*/*;q=0.x"],
    "Range": ["bytes=0-5", "bytes=5-1,9-"],
    "If-Modified-Since": ["Wed, 21 Oct 2026 07:28:00 GMT"],
}
#: 503 is documented: no champion, too much waits, or a run is at work.
AWAY = 503
#: The form is shown again, with its faults.
FORM_AGAIN = 422


def of_services(folder: Path) -> dict[str, Decoder]:
    away = (BrokenBundleError, TryAgainLaterError, SettingsError)
    good_requests = [
        {"service": service, "method": "GET", "path": path, "query": "limit=5", "Host": "127.0.0.1"}
        for service, paths in (("prediction", PREDICTION_PATHS), ("monitoring", MONITORING_PATHS))
        for path in paths
    ]
    texts = [text for several in REQUESTS.values() for text in several]
    return {
        "request": Decoder(_send(folder / "services"), (), Fields(good_requests, list(REQUESTS), texts, "latin-1")),
        "events into the inbox": Decoder(
            _take_events(folder / "inbox"), (NothingTakenError, TooManyLinesError), Contents([body_of(EVENTS)], "lines")
        ),
        "bundle that serves": Decoder(
            _serve(folder / "serving"), (BrokenBundleError,), Contents(list(_parts().values()), "json")
        ),
        "answer of MLflow": Decoder(_mlflow(), away, Contents([encode_json(MLFLOW_ANSWER)])),
    }


def _send(folder: Path) -> Callable[[Mapping[str, str]], object]:
    """The services are made for the first request, and closed with the process."""

    @cache
    def services() -> dict[str, Any]:
        stack = contextlib.ExitStack()
        atexit.register(stack.close)
        return stack.enter_context(three_services(folder))

    def send(made: Mapping[str, str]) -> object:
        service = made.get("service", "")
        asked = dict(made)
        application = services()[service if service in REQUESTS["service"] else "monitoring"]
        asked.pop("service", None)
        method, path = asked.pop("method", "GET"), asked.pop("path", "/api/history")
        query = re.sub(r"[\x00-\x20\x7f]", "", asked.pop("query", ""))  # with these, granian refuses the request
        if path == "/admin/reload":  # it waits for a sidecar
            return None
        body = asked.pop("body", "").encode("latin-1", "replace")
        environ = environ_of(cast(Any, Scope(method, path, _as_granian_has_them(asked), query_string=query)))
        reply = response_of(application, {**environ, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)})
        assert reply.status < 500 or reply.status == AWAY
        shown = "text/html" if (service, path) == ("prediction", "/") and reply.status == FORM_AGAIN else CONTENT_TYPE
        assert reply.status < 400 or dict(reply.headers)["Content-Type"].startswith(shown)
        return reply

    return send


def _as_granian_has_them(headers: Mapping[str, str]) -> dict[str, str]:
    """Without those whose values are not of visible ASCII, which it leaves out (2.8.7)."""
    return {
        name.lower(): text.strip()
        for name, text in headers.items()
        if re.fullmatch(r"[\x20-\x7e\t]*", text) and text.strip()
    }


def _take_events(folder: Path) -> Callable[[bytes], object]:
    """Kept and checked, as monitoring does it."""

    @cache
    def bench() -> Bench:
        folder.mkdir()
        return Bench(folder, max_backlog_rows=100)

    numbers = count()

    def take(body: bytes) -> object:
        intake = bench().intake
        if intake.is_full:
            bench().run_all()
        # What is known already would never reach a window.
        receipt = intake.take(body.replace(b'"r0"', b'"n%d"' % next(numbers)))
        if len(receipt.refused) == body.count(b"\n") + 1:
            raise NothingTakenError
        return receipt

    return take


def _parts() -> dict[str, bytes]:
    return {name: content for name, content in servable_parts(GARDEN).items() if name != "model.onnx"}


def _serve(folder: Path) -> Callable[[bytes], object]:
    """In place of the part that it resembles most, in a bundle whose digests are right."""
    parts, all_parts = _parts(), servable_parts(GARDEN)

    def serve(content: bytes) -> object:
        place = folder / "bundle"
        shutil.rmtree(place, ignore_errors=True)
        name = max(parts, key=lambda one: len(set(parts[one].split(b'"')) & set(content.split(b'"'))))
        write_bundle(place, GARDEN, {**all_parts, name: content})
        return Scorer(open_bundle(place), ModelRef("m", "1"), GARDEN)

    return serve


# MLflow ---------------------------------------------------------------------------------------------------------------

VERSION = {
    "name": "streamgauge-garden",
    "version": "7",
    "run_id": "r",
    "source": "s",
    "creation_timestamp": 1,
    "tags": [{"key": "bundle_sha256", "value": "a" * 64}],
    "aliases": ["champion"],
}
MLFLOW_ANSWER = {
    "model_version": VERSION,
    "model_versions": [VERSION],
    "registered_model": {"name": "streamgauge-garden", "aliases": [{"alias": "champion", "version": "7"}]},
}


def _mlflow() -> Callable[[bytes], object]:
    """MLflow's client decodes what its server answers; what it raises has to be named as its own."""

    @cache
    def registry() -> tuple[MlflowRegistry, Any, Any]:
        import requests
        from mlflow.utils import rest_utils

        response = requests.Response()
        response.status_code = 200
        return MlflowRegistry("http://127.0.0.1:1"), response, rest_utils

    def ask(body: bytes) -> object:
        client, response, rest_utils = registry()
        response._content = body
        with patch.object(rest_utils, "_get_http_response_with_retries", lambda *_args, **_more: response):
            return asked_of(client)

    def asked_of(client: MlflowRegistry) -> list[object]:
        found: list[object] = []
        for question in (
            lambda: client.resolve("streamgauge-garden", "champion"),
            lambda: client.resolve_version("streamgauge-garden", "7"),
            lambda: client.versions("streamgauge-garden"),
        ):
            with contextlib.suppress(BrokenBundleError):
                found.append(question())
        return found

    return ask
