"""Puts the parts of the service together that need no process, thread or broker, the same for tests as in service."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from event_backbone.case.schema import Case
from event_backbone.guards.api_keys import KeyCheck
from monitoring_service.alerting.lifecycle import Rules
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.alerting.service import AlertService
from monitoring_service.alerting.views import AlertLinks
from monitoring_service.checks.detector_alarms import DetectorRunner
from monitoring_service.checks.loop import Checks
from monitoring_service.checks.performance_check import PerformanceCheck
from monitoring_service.checks.performance_watch import PerformanceWatch
from monitoring_service.checks.performance_windows import PerformanceWindows
from monitoring_service.checks.rejection_check import RejectionCheck
from monitoring_service.checks.report_schedule import ReportScheduler, ReportTimer
from monitoring_service.checks.score_schedule import ScoreSchedule, ScoreTask
from monitoring_service.checks.shadow_comparison import ShadowComparisons
from monitoring_service.checks.state_keeper import StateKeeper
from monitoring_service.checks.window_check import CheckParts, WindowCheck
from monitoring_service.evaluation.client import EvaluatorPort
from monitoring_service.evaluation.evaluator_status import EvaluatorStatus
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.evaluation.measuring import Measurer, MeasurerPort
from monitoring_service.inbox.store import Inbox
from monitoring_service.intake.kafka_status import StreamStatus
from monitoring_service.intake.receiver import Intake
from monitoring_service.lifecycle.evaluator_thread import EvaluatorWork
from monitoring_service.lifecycle.restore import Restored
from monitoring_service.messages import WindowMeasures
from monitoring_service.references.acceptance import ReferenceService
from monitoring_service.references.accepted import AcceptedReferences
from monitoring_service.references.store import References
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.state.rejection_runs import RejectionWatch
from monitoring_service.views.metrics import MonitoringMetrics
from monitoring_service.views.snapshot import SnapshotReader, SnapshotSources
from monitoring_service.web.app import RouteParts


@dataclass(frozen=True, slots=True)
class Clocks:
    """``wall`` in seconds since 1970, ``steady`` since anything."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Wired:
    """The parts of the monitoring service, wired to each other."""

    intake: Intake
    accepted: AcceptedReferences
    report_scheduler: ReportScheduler
    reference_service: ReferenceService
    performance_windows: PerformanceWindows
    shadow: ShadowComparisons
    checks: Checks
    evaluator_work: EvaluatorWork
    alert_service: AlertService
    snapshots: SnapshotReader


def wire(
    case: Case,
    settings: MonitoringServiceSettings,
    restored: Restored,
    metrics: MonitoringMetrics,
    evaluator: EvaluatorPort,
    status: StreamStatus | None = None,
    clocks: Clocks = Clocks(),
    measurer: MeasurerPort | None = None,
) -> Wired:
    """Nothing is started; ``status`` is how reading from Kafka goes, if anything is read.

    ``measurer`` measures windows in place of the one that reads the bundles' references.
    """
    references = References(case, settings.bundles_dir, settings.accepted_references_dir)
    measurer = measurer or Measurer(case, references)
    evaluator_status = EvaluatorStatus(clocks.wall)
    accepted = AcceptedReferences(restored.inbox, settings.accepted_references_dir)
    report_scheduler = _report_scheduler(case, settings, restored, evaluator, clocks)
    alert_service = _alert_service(case, settings, restored, clocks)
    score_schedule = ScoreSchedule(
        restored.inbox, evaluator, every_s=settings.monitoring_scores_every_s, clock=clocks.steady
    )
    rejections = RejectionWatch(case, restored.windows, restored.results.state.rejection_run)

    def judged(window: JudgedWindow, measures: WindowMeasures) -> None:
        score_schedule.judged(window, measures)
        report_scheduler.judged(window)

    parts = CheckParts(
        windows=restored.windows,
        measurer=measurer,
        keeper=StateKeeper(case, restored.windows, restored.inbox, restored.results, rejections),
        metrics=metrics.checks,
        accepted=accepted,
        alarms=DetectorRunner(case, restored.windows, restored.inbox, references),
        count_failed=restored.results.count_failed,
        judged=judged,
    )
    return Wired(
        intake=_intake(case, settings, restored, metrics),
        accepted=accepted,
        report_scheduler=report_scheduler,
        reference_service=ReferenceService(case, restored.windows, restored.inbox, references, accepted),
        performance_windows=PerformanceWindows(restored.inbox, measurer, case.monitoring.window_rows, clocks.steady),
        shadow=ShadowComparisons(case, restored.inbox, measurer, clock=clocks.steady),
        checks=_checks(case, restored.inbox, parts, rejections, score_schedule, clocks),
        evaluator_work=EvaluatorWork(
            evaluator,
            score_schedule,
            report_scheduler,
            restored.windows,
            evaluator_status,
            metrics.checks.evaluator_failures.inc,
        ),
        alert_service=alert_service,
        snapshots=_snapshots(case, settings, restored, alert_service, evaluator_status, status, clocks),
    )


def api_parts(
    case: Case,
    settings: MonitoringServiceSettings,
    restored: Restored,
    metrics: MonitoringMetrics,
    wired: Wired,
    faults: Callable[[], dict[str, str]],
    keys: KeyCheck | None = None,
    retraining: RetrainingBridge | None = None,
) -> RouteParts:
    """What the views call; ``faults`` says why the service is not ready, ``keys`` open forms."""
    return RouteParts(
        case=case,
        intake=wired.intake,
        snapshots=wired.snapshots,
        metrics=metrics,
        reports=restored.reports,
        faults=faults,
        max_body_bytes=settings.monitoring_max_body_bytes,
        report_scheduler=wired.report_scheduler,
        reference_service=wired.reference_service,
        performance_windows=wired.performance_windows,
        shadow=wired.shadow,
        alert_service=wired.alert_service,
        keys=keys,
        retraining=retraining,
    )


def _report_scheduler(
    case: Case, settings: MonitoringServiceSettings, restored: Restored, evaluator: EvaluatorPort, clocks: Clocks
) -> ReportScheduler:
    every_rows, every_s = settings.monitoring_report_every_rows, settings.monitoring_report_every_s
    timer = ReportTimer(every_rows=every_rows, every_s=every_s, clock=clocks.steady)
    return ReportScheduler(
        restored.inbox, evaluator, restored.results, timer, labelled_rows=case.monitoring.window_rows
    )


def _checks(
    case: Case,
    inbox: Inbox,
    parts: CheckParts,
    rejections: RejectionWatch,
    score_schedule: ScoreSchedule,
    clocks: Clocks,
) -> Checks:
    """The tasks of the check thread, in their order."""
    performance = PerformanceWatch(case, parts.windows, inbox, parts.measurer, parts.accepted, clocks.steady)
    tasks = (
        WindowCheck(case, parts, clocks.steady),
        RejectionCheck(case, rejections, parts.keeper),
        PerformanceCheck(case, inbox, performance, parts.keeper),
        ScoreTask(score_schedule, parts.keeper),
    )
    return Checks(tasks, parts.windows.wait_until_due)


def _intake(case: Case, settings: MonitoringServiceSettings, restored: Restored, metrics: MonitoringMetrics) -> Intake:
    return Intake(
        case,
        restored.inbox,
        restored.windows,
        restored.arrivals,
        restored.reports,
        count_refused=metrics.count_refused,
        max_backlog_rows=settings.monitoring_max_backlog_rows,
    )


def _alert_service(case: Case, settings: MonitoringServiceSettings, restored: Restored, clocks: Clocks) -> AlertService:
    rules = Rules(
        case.name, settings.monitoring_alert_time_scale, notifying=settings.monitoring_webhook_url is not None
    )
    links = AlertLinks(settings.monitoring_runbook_url, settings.public_url)
    return AlertService(rules, links, restored.inbox, clocks.wall)


def _snapshots(
    case: Case,
    settings: MonitoringServiceSettings,
    restored: Restored,
    alerts: AlertService,
    evaluator: EvaluatorStatus,
    status: StreamStatus | None,
    clocks: Clocks,
) -> SnapshotReader:
    sources = SnapshotSources(
        restored.inbox,
        restored.windows,
        restored.results,
        restored.arrivals,
        restored.reports,
        alerts,
        evaluator,
        status,
    )
    return SnapshotReader(case, sources, stale_after_s=settings.monitoring_stale_after_s, clock=clocks.wall)
