"""The check of a window: measure it, judge the measures, and store the new state.

No check is left out because the machine is slow: rows wait, and the intake refuses more when too many do. Only a window
that can't be measured costs its check; that is counted, shown, and judges nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from event_backbone.case.schema import Case
from event_backbone.events.schema import utc_now
from monitoring_service.checks.detector_alarms import DetectorRunner, DetectorWatch, ReferenceKey
from monitoring_service.checks.state_keeper import StateKeeper
from monitoring_service.checks.version_in_use import version_in_use
from monitoring_service.drift.verdict import CheckTime
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.evaluation.measuring import MeasurerPort, NotMeasuredError
from monitoring_service.messages import WindowMeasures
from monitoring_service.references.accepted import AcceptedReferences
from monitoring_service.state.condition_rules import (
    conditions_after_check,
    conditions_after_rejections,
    conditions_unjudged,
)
from monitoring_service.state.history import point_of
from monitoring_service.state.monitor_state import WindowInfo, after_evaluation, after_failure
from monitoring_service.views.check_metrics import CheckMetrics
from monitoring_service.windows.row_buffer import PredictionSource
from monitoring_service.windows.sliding_window import NewestRow, Windows, WindowView

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CheckParts:
    """Collaborators of a check; ``judged`` is called for each window that was."""

    windows: Windows
    measurer: MeasurerPort
    keeper: StateKeeper
    metrics: CheckMetrics
    accepted: AcceptedReferences
    alarms: DetectorRunner
    count_failed: Callable[[int], None]
    judged: Callable[[JudgedWindow, WindowMeasures], None]


class WindowCheck:
    """A task of the check thread: the check that is due next."""

    def __init__(self, case: Case, parts: CheckParts, clock: Callable[[], float] = time.monotonic) -> None:
        self._case = case
        self._windows = parts.windows
        self._measurer = parts.measurer
        self._keeper = parts.keeper
        self._metrics = parts.metrics
        self._accepted = parts.accepted
        self._count_failed = parts.count_failed
        self._judged = parts.judged
        self._detectors = DetectorWatch(parts.alarms, case.monitoring.check_every_rows)
        self._clock = clock

    def step(self, stopping: threading.Event) -> float:  # one try
        view = self._windows.wait_for_due(0)
        if view is not None:
            self._check(view)
        return 0.0

    def _check(self, view: WindowView) -> None:
        newest = view.newest
        if newest is None:
            self._fail("empty_window", view.row)
            return
        started = self._clock()
        used = self._version_in_use(view)
        in_force = self._accepted.in_force(used.bundle_sha256)
        compared = ReferenceKey(used.model, used.bundle_sha256, in_force.sha256, in_force.since_row)
        alarms = self._detectors.at(view.row, compared)
        window = JudgedWindow(view, used, in_force.sha256)
        try:
            window_measures = self._measurer.measure(window)
        except NotMeasuredError as error:
            self._fail(str(error), view.row)
            return
        duration_s = self._clock() - started
        self._metrics.evaluation_seconds.observe(duration_s)
        self._judge(view, newest, used, window_measures, duration_s, alarms)
        self._judged(window, window_measures)

    def _version_in_use(self, view: WindowView) -> PredictionSource:
        check_result = self._keeper.state.check_result
        last = PredictionSource(check_result.model, check_result.bundle_sha256) if check_result else None
        return version_in_use(view.rows, view.row - self._case.monitoring.check_every_rows, last)

    def _judge(
        self,
        view: WindowView,
        newest: NewestRow,
        used: PredictionSource,
        window_measures: WindowMeasures,
        duration_s: float,
        alarms: frozenset[str] | None,
    ) -> None:
        window_info = WindowInfo(
            rows=len(view.rows),
            oldest_at=view.oldest_at or newest.predicted_at,
            newest_at=newest.predicted_at,
            model=used.model,
            bundle_sha256=used.bundle_sha256,
            duration_s=round(duration_s, 6),
        )
        before, check_time = self._keeper.state, CheckTime(view.row, utc_now())
        checked = after_evaluation(self._case, before, window_info, window_measures, check_time, alarms)
        for episode in checked.episodes:
            name = "drift_ended" if episode.ended_at_row is not None else "drift_confirmed"
            log.info(name, family=episode.family, name=episode.name, row=view.row)
        check_result = checked.state.check_result
        if check_result is not None:
            self._metrics.count_check(check_result, checked.episodes)
            conditions = conditions_after_check(self._case, before, check_result, check_time)
            rejections = self._windows.rejections(view)
            conditions = conditions_after_rejections(self._case, conditions, rejections, check_time)
            self._keeper.keep(checked, conditions, point_of(check_result, newest.received_at))

    def _fail(self, reason: str, row: int) -> None:
        before, check_time = self._keeper.state, CheckTime(row, utc_now())
        self._count_failed(self._windows.due_until(row))
        self._keeper.keep(after_failure(self._case, before, reason, check_time), conditions_unjudged(before.conditions))
