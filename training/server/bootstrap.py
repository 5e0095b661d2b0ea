"""Wiring of the training server: settings, adapters, threads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from event_backbone.server.serve import Draining
from training.server.api import ServerParts, build_api
from training.server.messages import RunOrder
from training.server.metrics import TrainingMetrics
from training.server.retraining import RunScheduler, Started
from training.server.run_process import RunProcess
from training.server.runs import RetrainingRun
from training.server.runs_file import RunsFile
from training.server.settings import TrainingServerSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class TrainingApplication:
    """The WSGI application and the run scheduler below it."""

    def __init__(self, wsgi: WSGIApplication, scheduler: RunScheduler, metrics: TrainingMetrics) -> None:
        self._wsgi = wsgi
        self._scheduler = scheduler
        self._metrics = metrics

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._wsgi(environ, start_response)

    def count_unauthorized(self) -> None:
        self._metrics.unauthorized.inc()

    def count_shed(self) -> None:
        self._metrics.shed.inc()

    def close(self) -> None:
        self._scheduler.close()


def build_application(settings: TrainingServerSettings, draining: Draining) -> TrainingApplication:
    """Open the runs file; no run, and nothing that a run needs, is touched yet."""
    case = settings.load_case()
    metrics = TrainingMetrics(CollectorRegistry())

    def launch(run: RetrainingRun) -> Started:
        order = RunOrder(run.id, os.getpid(), run.alert_since)
        return RunProcess(order, timeout_s=settings.retraining_timeout_s)

    scheduler = RunScheduler(
        RunsFile(settings.server_dir),
        launch,
        cooldown_s=settings.retraining_cooldown_s,
        count=lambda outcome: metrics.runs.labels(outcome).inc(),
    )
    parts = ServerParts(
        case.name,
        scheduler,
        metrics,
        frozenset(settings.retraining_alerts),
        draining.is_set,
        with_keys=settings.api_keys_file is not None,
    )
    return TrainingApplication(build_api(parts), scheduler, metrics)
