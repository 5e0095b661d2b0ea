"""The WSGI applications of all three services behind their guards, without a server, and the table of their routes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from monitoring_bench import Bench
from prediction_world import call, install_champion
from prometheus_client import CollectorRegistry

from event_backbone.guards.access import Access, GuardedApplication, Guards
from event_backbone.guards.api_keys import KeyCheck
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.alerting.training_client import TrainingStatus
from prediction_service.bootstrap import build_serving
from prediction_service.settings import ServingSettings
from training.server.api import MOST_BYTES, ServerParts, build_api
from training.server.messages import RunResult
from training.server.metrics import TrainingMetrics
from training.server.retraining import RunScheduler
from training.server.runs import RetrainingRun
from training.server.runs_file import RunsFile

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Bodies of the prediction service and of monitoring; small, so that a test can send what is larger.
MAX_BODY_BYTES = 400_000
DECISION_BYTES = 8192
FORM_BYTES = 8192
#: The made case's form: 32 KiB, and what its columns may hold.
CASE_FORM_BYTES = 37_000


@dataclass(frozen=True)
class Route:
    """One route; ``path`` is an example of ``pattern``.

    ``kind`` says what is in its body: ``json`` (one value, refused whole), ``parts`` (several, refused one by one),
    ``form``, or nothing. ``most_bytes`` is the limit of that body.
    """

    service: str
    method: str
    pattern: str
    path: str = ""
    kind: str = ""
    most_bytes: int = 0

    @property
    def example(self) -> str:
        return self.path or self.pattern

    def __str__(self) -> str:
        return f"{self.service}: {self.method} {self.pattern}"


def _routes_of_every_service(service: str) -> list[Route]:
    return [Route(service, "GET", path) for path in ("/", "/livez", "/readyz", "/status", "/metrics", "/openapi.json")][
        0 if service != "training" else 1 :
    ]


ROUTES = [
    *_routes_of_every_service("prediction"),
    Route("prediction", "GET", "/docs/"),
    Route("prediction", "GET", "/docs/{path}", "/docs/index.html"),
    Route("prediction", "GET", "/static/{filename}", "/static/form.css"),
    Route("prediction", "POST", "/", kind="form", most_bytes=CASE_FORM_BYTES),
    Route("prediction", "POST", "/predict", kind="json", most_bytes=MAX_BODY_BYTES),
    Route("prediction", "POST", "/predict/batch", kind="parts", most_bytes=MAX_BODY_BYTES),
    Route("prediction", "POST", "/labels", kind="json", most_bytes=MAX_BODY_BYTES),
    Route("prediction", "GET", "/predictions"),
    Route("prediction", "POST", "/predictions/erase", kind="json", most_bytes=MAX_BODY_BYTES),
    Route("prediction", "GET", "/predictions/{record_id}", "/predictions/r1"),
    Route("prediction", "DELETE", "/predictions/{record_id}", "/predictions/r1"),
    Route("prediction", "POST", "/admin/reload"),
    *_routes_of_every_service("monitoring"),
    Route("monitoring", "GET", "/static/{filename}", "/static/live.js"),
    Route("monitoring", "POST", "/events", kind="parts", most_bytes=MAX_BODY_BYTES),
    Route("monitoring", "GET", "/api/state"),
    Route("monitoring", "GET", "/api/history"),
    Route("monitoring", "GET", "/api/columns/{name}/distribution", "/api/columns/price/distribution"),
    Route("monitoring", "GET", "/api/quality-windows"),
    Route("monitoring", "GET", "/api/shadow"),
    Route("monitoring", "GET", "/api/reports"),
    Route("monitoring", "POST", "/api/reports"),
    Route("monitoring", "GET", "/reports/{name}", "/reports/latest"),
    Route("monitoring", "POST", "/reports/{name}", "/reports/latest", kind="form", most_bytes=FORM_BYTES),
    Route("monitoring", "GET", "/api/alerts"),
    Route(
        "monitoring", "POST", "/api/alerts/{alert_id}/acknowledge", "/api/alerts/a/acknowledge", "json", DECISION_BYTES
    ),
    Route("monitoring", "POST", "/api/alerts/{alert_id}/silence", "/api/alerts/a/silence", "json", DECISION_BYTES),
    Route("monitoring", "DELETE", "/api/alerts/{alert_id}/silence", "/api/alerts/a/silence"),
    Route("monitoring", "GET", "/api/reference"),
    Route("monitoring", "POST", "/api/reference/accept", kind="json", most_bytes=DECISION_BYTES),
    Route("monitoring", "POST", "/api/reference/revert", kind="json", most_bytes=DECISION_BYTES),
    Route("monitoring", "POST", "/api/retraining", kind="json", most_bytes=DECISION_BYTES),
    *_routes_of_every_service("training"),
    Route("training", "GET", "/static/{filename}", "/static/none"),
    Route("training", "POST", "/train", kind="json", most_bytes=MOST_BYTES),
    Route("training", "GET", "/train"),
    Route("training", "GET", "/train/{id_}", "/train/none"),
    Route("training", "POST", "/alerts", kind="json", most_bytes=MOST_BYTES),
]
#: For people: a document for programs leaves them out.
PAGES = {"/", "/docs/", "/docs/{path}", "/docs/dist/{filename}", "/static/{filename}"}


class _Guarded:
    """A WSGI application as a server's worker has it."""

    def __init__(self, inner: WSGIApplication, keys: KeyCheck | None, forms: set[str]) -> None:
        self._inner = inner
        self._outer = GuardedApplication(
            inner, Guards(Access(keys=keys, forms=frozenset(forms)), self.count_unauthorized)
        )
        self.refused = 0
        self.begin_anew: Callable[[], None] = lambda: None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        return self._inner(environ, start_response)

    def from_outside(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        return self._outer(environ, start_response)

    def count_unauthorized(self) -> None:
        self.refused += 1

    def close(self) -> None:
        """What is inside is closed by whoever made it."""


class _Trainer:
    """A training server that always begins."""

    def status(self) -> TrainingStatus:
        return TrainingStatus([])

    def train(self, _reason: str) -> str:
        return "begun"

    def notify(self, _body: bytes) -> None: ...


class _LastingRun:
    """Ends when it is told to, so that answers meanwhile don't depend on the time."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def follow(self, _at_stage: Callable[[str], None]) -> RunResult:
        self._stopped.wait()
        return RunResult("failed", {"reasons": ["made up"]})

    def stop(self) -> None:
        self._stopped.set()


def _launch(_run: RetrainingRun) -> _LastingRun:
    return _LastingRun()


class _Scheduler:
    """A scheduler that can begin anew, without a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = 0
        self._inner = self._made()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def begin_anew(self) -> None:
        if self._inner.newest(1):
            self._inner.close()
            self._inner = self._made()

    def _made(self) -> RunScheduler:
        self._begun += 1
        folder = self._folder / str(self._begun)
        return RunScheduler(RunsFile(folder), _launch, cooldown_s=0.0, count=lambda _outcome: None)


@contextlib.contextmanager
def three_services(folder: Path, keys: KeyCheck | None = None) -> Iterator[dict[str, Any]]:
    """The applications by name, ready for :func:`prediction_world.call`."""
    with contextlib.ExitStack() as stack:
        made = {
            "prediction": _prediction(stack, folder / "prediction", keys),
            "monitoring": _monitoring(stack, folder / "monitoring", keys),
            "training": _training(stack, folder / "training", keys),
        }
        yield {name: guarded.from_outside for name, guarded in made.items()}


def _prediction(stack: contextlib.ExitStack, folder: Path, keys: KeyCheck | None) -> _Guarded:
    install_champion(folder / "state", folder / "cases")
    settings = ServingSettings(
        case="garden", cases_dir=folder / "cases", state_dir=folder / "state", max_body_bytes=MAX_BODY_BYTES
    )
    application = build_serving(settings, settings.load_case(), threading.Event(), keys)
    stack.callback(application.close)
    return _Guarded(application, keys, {"/"})


def _monitoring(stack: contextlib.ExitStack, folder: Path, keys: KeyCheck | None) -> _Guarded:
    folder.mkdir(parents=True)
    bench = Bench(folder, max_body_bytes=MAX_BODY_BYTES, retraining=RetrainingBridge(_Trainer()), keys=keys)
    bench.receive(120)
    bench.run_all()
    stack.callback(bench.close)
    return _Guarded(bench.application, keys, {"/reports/"})


def _training(stack: contextlib.ExitStack, folder: Path, keys: KeyCheck | None) -> _Guarded:
    metrics = TrainingMetrics(CollectorRegistry())
    scheduler = _Scheduler(folder)
    stack.callback(lambda: scheduler.close())  # noqa: PLW0108  # it may be another by then
    parts = ServerParts(
        "shop",
        cast(RunScheduler, scheduler),
        metrics,
        {"ConceptDrift"},
        threading.Event().is_set,
        with_keys=keys is not None,
    )
    guarded = _Guarded(build_api(parts), keys, set())
    guarded.begin_anew = scheduler.begin_anew
    return guarded


def document_of(application: Any) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(call(application, "GET", "/openapi.json").body)
    return document
