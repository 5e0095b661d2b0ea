"""The monitoring service put together without processes, threads or time of its own."""

from __future__ import annotations

import threading
from pathlib import Path

from monitoring_world import enveloped, made_case, predictions
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from event_backbone.case import Case
from monitoring_service.accepted_references import AcceptedReferences
from monitoring_service.alert_desk import AlertDesk
from monitoring_service.alert_views import AlertLinks
from monitoring_service.alerts import Rules
from monitoring_service.api import Parts, build_api
from monitoring_service.board import PublishedBoard
from monitoring_service.checks import CheckParts, Checks
from monitoring_service.evaluator_client import EvaluatorFailedError
from monitoring_service.inbox import Inbox
from monitoring_service.intake import Arrivals, Intake
from monitoring_service.messages import (
    ColumnMeasure,
    Evaluate,
    Evaluated,
    Figure,
    Figures,
    MakeReport,
    MeasureFigures,
    MeasureQuality,
    Mix,
    Quality,
    ReportState,
)
from monitoring_service.metrics import MonitoringMetrics
from monitoring_service.quality_windows import QualityWindows
from monitoring_service.reference_desk import ReferenceDesk
from monitoring_service.references import References
from monitoring_service.report_desk import ReportDesk, ReportTimer
from monitoring_service.reports import ReportFolder
from monitoring_service.restoring import restored_standing, restored_windows
from monitoring_service.retraining_desk import RetrainingDesk
from monitoring_service.shadow_comparison import ShadowComparisons
from monitoring_service.snapshot import Lookout, Shown
from monitoring_service.standing import decode_point
from monitoring_service.stream_alarms import StreamAlarms
from monitoring_service.stream_status import StreamStatus


def fast_case() -> Case:
    return made_case(window_rows=100, minimum_rows=50, check_every_rows=10)


class ObedientEvaluator:
    """Answers every window, unless ``failures`` are left or a window ends at a row of ``poison``."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.compared: list[str | None] = []
        self.scored: list[int] = []
        self.labelled: list[int] = []
        self.measured: list[MeasureQuality] = []
        self.reported: list[int] = []
        self.report_kinds: list[str] = []
        self.failures = 0
        self.poison: set[int] = set()
        self.drifting = False
        self.running = False

    def start(self) -> None: ...

    def evaluate(self, request: Evaluate) -> Evaluated:
        row = request.window.row
        self.asked.append(row)
        self.compared.append(request.window.accepted_sha256)
        self.scored += [row] if request.with_scores else []
        if self.failures or row in self.poison:
            self.failures = max(0, self.failures - 1)
            raise EvaluatorFailedError("told to")
        p_value = 1e-9 if self.drifting else 0.8
        measures = [ColumnMeasure(name, "ok", effect=0.5, p_value=p_value) for name in fast_case().column_names]
        calm = ColumnMeasure("score", "ok", effect=0.0, p_value=1.0)
        return Evaluated(row, "ok", None, measures, calm, Mix({}, {}))

    def measure_quality(self, request: MeasureQuality) -> Quality:
        self.measured.append(request)
        self.labelled.append(len(request.labelled.labels))
        return Quality(labelled_rows=len(request.labelled.labels))

    def measure_figures(self, request: MeasureFigures) -> Figures:
        return Figures([{"accuracy": Figure(0.5, 0.4, 0.6)} for _ in request.windows])

    def make_report(self, request: MakeReport) -> ReportState:
        self.reported.append(request.window.row)
        self.report_kinds.append(request.kind)
        self.running = True
        return ReportState(True, 0, 0)

    def reports(self) -> ReportState:
        self.running = False
        return ReportState(False, 1, 0)

    def close(self) -> None: ...


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Everything of one service on one folder; a second bench on the same folder is a restart."""

    def __init__(
        self,
        folder: Path,
        *,
        max_backlog_rows: int = 1000,
        max_body_bytes: int = 1_000_000,
        stream: StreamStatus | None = None,
        retraining: RetrainingDesk | None = None,
    ) -> None:
        self.case = fast_case()
        self.clock = Clock()
        self.registry = CollectorRegistry()
        self.stopping = threading.Event()
        self.evaluator = ObedientEvaluator()
        self.faults: list[str] = []
        self.inbox = Inbox(folder / "inbox.sqlite", self.case, clock=self.clock)
        standing = restored_standing(self.inbox)
        self.windows = restored_windows(self.case, self.inbox, standing)
        points, episodes = map(decode_point, self.inbox.points()), self.inbox.episodes(limit=10)
        self.board = PublishedBoard(standing, points, episodes, points_kept=100, episodes_kept=10)
        self.metrics = MonitoringMetrics(self.case, self.registry, stale_after_s=15)
        timer = ReportTimer(every_rows=100, every_s=60, clock=self.clock)
        self.report_desk = ReportDesk(self.inbox, self.evaluator, self.board, timer, labelled_rows=100)
        self.accepted = AcceptedReferences(self.inbox, folder / "references")
        references = References(self.case, folder / "bundles", folder / "references")
        self.reference_desk = ReferenceDesk(self.case, self.windows, self.inbox, references, self.accepted)
        parts_of_checks = CheckParts(
            windows=self.windows,
            inbox=self.inbox,
            evaluator=self.evaluator,
            board=self.board,
            metrics=self.metrics,
            reports=self.report_desk,
            accepted=self.accepted,
            alarms=StreamAlarms(
                self.case, self.windows, self.inbox, References(self.case, folder / "bundles", folder / "references")
            ),
        )
        self.checks = Checks(self.case, parts_of_checks, scores_every_s=5, clock=self.clock)
        self.quality_windows = QualityWindows(self.inbox, self.evaluator, 100, clock=self.clock)
        self.shadow = ShadowComparisons(self.case, self.inbox, self.evaluator, clock=self.clock)
        self.arrivals = Arrivals(self.inbox.arrivals_by_second(since=0), kept_s=300, clock=self.clock)
        self.reports_dir = folder / "reports"
        self.reports = ReportFolder(self.reports_dir, kept=2, kept_s=3600)
        self.intake = Intake(
            self.case,
            self.inbox,
            self.windows,
            self.arrivals,
            self.reports,
            self.metrics,
            max_backlog_rows=max_backlog_rows,
        )
        self.desk = AlertDesk(Rules(self.case.name), AlertLinks(), self.inbox, clock=self.clock)
        shown = Shown(self.inbox, self.windows, self.board, self.arrivals, self.reports, self.desk, stream)
        self.lookout = Lookout(self.case, shown, stale_after_s=15, clock=self.clock)
        parts = Parts(
            self.case,
            self.intake,
            self.lookout,
            self.metrics,
            self.reports,
            lambda: self.faults,
            max_body_bytes,
            self.report_desk,
            self.reference_desk,
            self.quality_windows,
            self.shadow,
            self.desk,
            retraining=retraining,
        )
        self.client = Client(build_api(parts))

    def receive(self, count: int, first: int = 0) -> None:
        stored = self.inbox.store(enveloped(predictions(count, first=first)))
        self.windows.add(stored.rows, stored.rejected, stored.rows_counted)

    def run_all(self) -> None:
        """Make every check that is due."""
        while self.windows.backlog_rows:
            self.checks.step(self.stopping, 0)

    def close(self) -> None:
        self.inbox.close()
