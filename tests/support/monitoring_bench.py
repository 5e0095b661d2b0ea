"""The monitoring service put together without processes, threads or time of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from monitoring_world import enveloped, made_case, predictions
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from event_backbone.case.schema import Case
from event_backbone.guards.api_keys import KeyCheck
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.evaluation.client import EvaluatorFailedError
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.evaluation.measuring import NotMeasuredError
from monitoring_service.intake.kafka_status import StreamStatus
from monitoring_service.lifecycle.restore import restore
from monitoring_service.messages import (
    ColumnMeasure,
    ColumnScore,
    Labelled,
    MakeReport,
    MeasurePerformance,
    MetricValue,
    Performance,
    PredictionMix,
    ReportState,
    ScoreWindow,
    WindowMeasures,
    WindowScores,
)
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.views.metrics import MonitoringMetrics
from monitoring_service.web.app import build_api
from monitoring_service.wiring import Clocks, api_parts, wire


def fast_case() -> Case:
    performance = {"minimum_labelled_rows": 50}
    return made_case(window_rows=100, minimum_rows=50, check_every_rows=10, quality=performance)


class ObedientMeasurer:
    """Measures every window, unless it ends at a row of ``poison``."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.compared: list[str | None] = []
        self.labelled: list[int] = []
        self.measured: list[MeasurePerformance] = []
        self.poison: set[int] = set()
        self.drifting = False

    def measure(self, window: JudgedWindow) -> WindowMeasures:
        self.asked.append(window.row)
        self.compared.append(window.accepted_sha256)
        if window.row in self.poison:
            raise NotMeasuredError("told to")
        p_value = 1e-9 if self.drifting else 0.8
        measures = [ColumnMeasure(name, "ok", effect=0.5, p_value=p_value) for name in fast_case().column_names]
        calm = ColumnMeasure("score", "ok", effect=0.0, p_value=1.0)
        return WindowMeasures(window.row, "ok", None, measures, calm, PredictionMix({}, {}))

    def performance(self, request: MeasurePerformance) -> Performance:
        self.measured.append(request)
        self.labelled.append(len(request.labelled.labels))
        return Performance(labelled_rows=len(request.labelled.labels))

    def metric_values(self, windows: Sequence[Labelled]) -> list[dict[str, MetricValue]]:
        return [{"accuracy": MetricValue(0.5, 0.4, 0.6)} for _ in windows]


class ObedientEvaluator:
    """Is there unless ``starting``, and answers unless ``failures`` are left."""

    def __init__(self) -> None:
        self.scored: list[int] = []
        self.reported: list[int] = []
        self.report_kinds: list[str] = []
        self.failures = 0
        self.starting = False
        self.running = False

    def ready(self) -> bool:
        if self.starting:
            self._fail_if_told()
        return not self.starting

    def score(self, request: ScoreWindow) -> WindowScores:
        self._fail_if_told()
        row = request.window.row
        self.scored.append(row)
        columns = [ColumnScore(name, float(row), "a method") for name in request.columns]
        return WindowScores(row, columns, ColumnScore("score", float(row), "a method") if request.predictions else None)

    def make_report(self, request: MakeReport) -> ReportState:
        self._fail_if_told()
        self.reported.append(request.window.row)
        self.report_kinds.append(request.kind)
        self.running = True
        return ReportState(True, 0, 0)

    def reports(self) -> ReportState:
        self.running = False
        return ReportState(False, 1, 0)

    def close(self) -> None: ...

    def _fail_if_told(self) -> None:
        if self.failures:
            self.failures -= 1
            raise EvaluatorFailedError("told to")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Settings(MonitoringServiceSettings):
    """The service's own, with everything in one folder."""

    folder: Path

    @property
    def monitoring_dir(self) -> Path:
        return self.folder

    @property
    def bundles_dir(self) -> Path:
        return self.folder / "bundles"


class Bench:
    """Everything of one service on one folder; a second bench on the same folder is a restart."""

    def __init__(
        self,
        folder: Path,
        *,
        max_backlog_rows: int = 1000,
        max_body_bytes: int = 1_000_000,
        stream: StreamStatus | None = None,
        retraining: RetrainingBridge | None = None,
        keys: KeyCheck | None = None,
    ) -> None:
        self.case = fast_case()
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.stopping = threading.Event()
        self.measurer = ObedientMeasurer()
        self.evaluator = ObedientEvaluator()
        self.faults: dict[str, str] = {}
        settings = _Settings(
            _env_file=None,
            folder=folder,
            monitoring_max_backlog_rows=max_backlog_rows,
            monitoring_max_body_bytes=max_body_bytes,
            monitoring_history_checks=100,
            monitoring_report_every_rows=100,
            monitoring_reports_kept=2,
        )
        restored = restore(self.case, settings, self.clock)
        self.inbox, self.windows, self.results = restored.inbox, restored.windows, restored.results
        self.arrivals, self.reports, self.reports_dir = restored.arrivals, restored.reports, settings.reports_dir
        self.metrics = MonitoringMetrics(self.case, self.registry, stale_after_s=settings.monitoring_stale_after_s)
        clocks = Clocks(self.clock, self.clock)
        wired = wire(self.case, settings, restored, self.metrics, self.evaluator, stream, clocks, self.measurer)
        self.intake, self.checks, self.performance_windows = wired.intake, wired.checks, wired.performance_windows
        self.evaluator_work = wired.evaluator_work
        self.report_scheduler, self.reference_service, self.accepted = (
            wired.report_scheduler,
            wired.reference_service,
            wired.accepted,
        )
        self.service, self.snapshots, self.shadow = wired.alert_service, wired.snapshots, wired.shadow
        parts = api_parts(
            self.case, settings, restored, self.metrics, wired, lambda: self.faults, keys, retraining=retraining
        )
        self.application = build_api(parts)
        self.client = Client(self.application)

    def receive(self, count: int, first: int = 0) -> None:
        stored = self.inbox.store(enveloped(predictions(count, first=first)))
        self.windows.add(stored.rows, stored.rejected, stored.rows_counted)

    def step(self) -> None:
        """One round of the check thread, and one of the evaluator's."""
        self.checks.step(self.stopping, 0)
        self.evaluator_work.step()

    def run_all(self) -> None:
        """Make every check that is due, and show the scores of the newest."""
        while self.windows.backlog_rows:
            self.step()
        self.checks.step(self.stopping, 0)

    def close(self) -> None:
        self.inbox.close()
