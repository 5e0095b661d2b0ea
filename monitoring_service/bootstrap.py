"""Wires the service: the only place that chooses adapters."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import prometheus_client
import structlog
from prometheus_client import CollectorRegistry

from event_backbone.api_keys import KeyCheck
from event_backbone.case import Case
from event_backbone.wsgi_server import Draining
from monitoring_service.api import ARRIVALS_SHOWN_S, Parts, build_api
from monitoring_service.board import PublishedBoard
from monitoring_service.checks import Checks, ReportTimer
from monitoring_service.evaluator_client import EvaluatorPort, EvaluatorProcess
from monitoring_service.housekeeping import Housekeeping
from monitoring_service.inbox import Inbox
from monitoring_service.intake import Arrivals, Intake
from monitoring_service.messages import Start
from monitoring_service.metrics import MonitoringMetrics
from monitoring_service.reports import ReportFolder
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.snapshot import Lookout
from monitoring_service.standing import Point, Standing, decode_point, decode_standing
from monitoring_service.windows import Windows

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = structlog.get_logger()

EPISODES_KEPT = 1000
REPORT_WITHIN_S = 180.0
_CHECK_ENDS_WITHIN_S = 1.5


class CheckThread:
    """The thread that makes the checks. It starts the evaluator, so it lives as long as the application does."""

    def __init__(self, checks: Checks, housekeeping: Housekeeping, evaluator: EvaluatorPort) -> None:
        self._evaluator = evaluator
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=checks.run, args=(self._stopping, housekeeping.step), name="checks", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the check in hand end and be kept; whatever else is due is made after the next start."""
        self._stopping.set()
        self._thread.join(_CHECK_ENDS_WITHIN_S)
        self._evaluator.close()
        self._thread.join(_CHECK_ENDS_WITHIN_S)


class MonitoringApplication:
    """The WSGI application, the check thread beside it and the inbox below both."""

    def __init__(
        self, wsgi: Callable[..., Iterable[bytes]], thread: CheckThread, inbox: Inbox, metrics: MonitoringMetrics
    ) -> None:
        self._wsgi = wsgi
        self._metrics = metrics
        self._thread = thread
        self._inbox = inbox

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._wsgi(environ, start_response)

    def count_unauthorized(self) -> None:
        self._metrics.unauthorized.inc()

    def close(self) -> None:
        self._thread.stop()
        self._inbox.close()


@dataclass(frozen=True)
class Restored:
    """Everything that is kept in the inbox, as it was when the last process ended."""

    inbox: Inbox
    windows: Windows
    board: PublishedBoard
    arrivals: Arrivals


def restore(case: Case, settings: MonitoringServiceSettings) -> Restored:
    inbox = Inbox(
        settings.monitoring_dir / "inbox.sqlite",
        case,
        durability=settings.monitoring_durability,
        points_kept=settings.monitoring_history_checks,
    )
    standing = restored_standing(inbox)
    windows = restored_windows(case, inbox, standing)
    board = PublishedBoard(
        standing,
        restored_points(inbox),
        inbox.episodes(limit=EPISODES_KEPT),
        points_kept=settings.monitoring_history_checks,
        episodes_kept=EPISODES_KEPT,
    )
    arrivals = Arrivals(inbox.arrivals_by_second(since=time.time() - ARRIVALS_SHOWN_S), kept_s=ARRIVALS_SHOWN_S)
    log.info("restored", rows=inbox.totals.predictions, checked_row=standing.checked_row, backlog=windows.backlog_rows)
    return Restored(inbox, windows, board, arrivals)


def restored_windows(case: Case, inbox: Inbox, standing: Standing) -> Windows:
    """The windows as they were: everything in them comes from the inbox."""
    windows = Windows(case, rows_counted=inbox.totals.predictions, checked_row=standing.checked_row)
    first = windows.first_row_needed
    windows.add(inbox.rows_from(first), inbox.rejected_from(first), inbox.totals.predictions)
    return windows


def restored_standing(inbox: Inbox) -> Standing:
    """Where the case stood; a standing of another version of this program is not understood and starts afresh."""
    kept = inbox.standing()
    if kept is None:
        return Standing()
    try:
        return decode_standing(kept)
    except msgspec.DecodeError as error:
        log.warning("standing_not_understood", reason=str(error))
        return Standing(checked_row=inbox.totals.predictions)


def restored_points(inbox: Inbox) -> list[Point]:
    """The history as far as this version of the program understands it."""
    points = []
    for kept in inbox.points():
        with contextlib.suppress(msgspec.DecodeError):
            points.append(decode_point(kept))
    return points


def evaluator_process(case: Case, settings: MonitoringServiceSettings) -> EvaluatorProcess:
    start = Start(
        parent_pid=os.getpid(),
        case=case.model_dump_json().encode(),
        bundles_dir=str(settings.bundles_dir.resolve()),
        reports_dir=str(reports_dir(settings).resolve()),
        reports_kept=settings.monitoring_reports_kept,
        report_within_s=REPORT_WITHIN_S,
    )
    return EvaluatorProcess(start, within_s=settings.monitoring_evaluation_timeout_s)


def reports_dir(settings: MonitoringServiceSettings) -> Path:
    return settings.monitoring_dir / "reports"


def build_application(
    settings: MonitoringServiceSettings,
    draining: Draining,
    evaluator: EvaluatorPort | None = None,
    keys: KeyCheck | None = None,
) -> MonitoringApplication:
    """Open the inbox, restore everything from it and start the check thread; ``keys`` open forms."""
    # Totals go on after a restart: a series that says when its counter began would be wrong.
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    case = settings.load_case()
    metrics = MonitoringMetrics(case, CollectorRegistry())
    restored = restore(case, settings)
    thread = _check_thread(case, settings, restored, evaluator or evaluator_process(case, settings), metrics)
    parts = replace(_parts(case, settings, restored, metrics, lambda: _readiness_faults(draining, thread)), keys=keys)
    thread.start()
    return MonitoringApplication(build_api(parts), thread, restored.inbox, metrics)


def _check_thread(
    case: Case,
    settings: MonitoringServiceSettings,
    restored: Restored,
    evaluator: EvaluatorPort,
    metrics: MonitoringMetrics,
) -> CheckThread:
    inbox, windows, board = restored.inbox, restored.windows, restored.board
    timer = ReportTimer(every_rows=settings.monitoring_report_every_rows, every_s=settings.monitoring_report_every_s)
    housekeeping = Housekeeping(
        inbox,
        windows,
        retention_s=settings.monitoring_retention_s,
        unmatched_after_s=settings.monitoring_unmatched_after_s,
    )
    return CheckThread(Checks(case, windows, inbox, evaluator, board, metrics, timer), housekeeping, evaluator)


def _parts(
    case: Case,
    settings: MonitoringServiceSettings,
    restored: Restored,
    metrics: MonitoringMetrics,
    faults: Callable[[], list[str]],
) -> Parts:
    inbox, windows, arrivals = restored.inbox, restored.windows, restored.arrivals
    reports = ReportFolder(reports_dir(settings), kept=settings.monitoring_reports_kept)
    return Parts(
        case=case,
        intake=Intake(case, inbox, windows, arrivals, metrics, max_backlog_rows=settings.monitoring_max_backlog_rows),
        lookout=Lookout(
            inbox, windows, restored.board, arrivals, reports, stale_after_s=settings.monitoring_stale_after_s
        ),
        metrics=metrics,
        reports=reports,
        faults=faults,
        max_body_bytes=settings.monitoring_max_body_bytes,
    )


def _readiness_faults(draining: Draining, thread: CheckThread) -> list[str]:
    faults = {"draining": draining.is_set(), "checks_stopped": not thread.is_alive()}
    return [name for name, holds in faults.items() if holds]
