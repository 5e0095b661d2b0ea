"""Restoring a service's state from the inbox at its start."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from event_backbone.case.schema import Case
from monitoring_service.inbox.store import Inbox
from monitoring_service.intake.arrivals import ARRIVALS_SHOWN_S, Arrivals
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.state.history import Point, decode_point
from monitoring_service.state.monitor_state import MonitorState, decode_state
from monitoring_service.state.published import LatestResults
from monitoring_service.windows.sliding_window import Windows

log = structlog.get_logger()

EPISODES_KEPT = 1000


@dataclass(frozen=True)
class Restored:
    """The restored parts."""

    inbox: Inbox
    windows: Windows
    results: LatestResults
    arrivals: Arrivals
    reports: ReportFolder


def restore(case: Case, settings: MonitoringServiceSettings, clock: Callable[[], float] = time.time) -> Restored:
    inbox = Inbox(
        settings.monitoring_dir / "inbox.sqlite",
        case,
        durability=settings.monitoring_durability,
        points_kept=settings.monitoring_history_checks,
        clock=clock,
    )
    state = restored_state(inbox)
    windows = restored_windows(case, inbox, state)
    results = LatestResults(
        state,
        restored_points(inbox),
        inbox.episodes(limit=EPISODES_KEPT),
        points_kept=settings.monitoring_history_checks,
        episodes_kept=EPISODES_KEPT,
    )
    by_second = inbox.arrivals_by_second(since=clock() - ARRIVALS_SHOWN_S)
    arrivals = Arrivals(by_second, kept_s=ARRIVALS_SHOWN_S, clock=clock)
    reports = ReportFolder(
        settings.reports_dir, kept=settings.monitoring_reports_kept, kept_s=settings.monitoring_report_retention_s
    )
    reports.void(inbox.reports_void_until)
    log.info("restored", rows=inbox.totals.predictions, checked_row=state.checked_row, backlog=windows.backlog_rows)
    return Restored(inbox, windows, results, arrivals, reports)


def restored_windows(case: Case, inbox: Inbox, state: MonitorState) -> Windows:
    """The windows, from the inbox's rows."""
    windows = Windows(case, rows_counted=inbox.totals.predictions, checked_row=state.checked_row)
    first = windows.first_row_needed
    windows.add(inbox.rows_from(first), inbox.rejected_from(first), inbox.totals.predictions)
    return windows


def restored_state(inbox: Inbox) -> MonitorState:
    """The monitor state; one of another version of this program is not understood, and begins empty."""
    kept = inbox.state()
    if kept is None:
        return MonitorState()
    try:
        return decode_state(kept)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("standing_not_understood", reason=str(error))
        return MonitorState(checked_row=inbox.totals.predictions)


def restored_points(inbox: Inbox) -> list[Point]:
    """The history, without points that this version of the program does not understand."""
    points = []
    for kept in inbox.points():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            points.append(decode_point(kept))
    return points
