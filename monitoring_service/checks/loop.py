"""The check thread: takes each window that is due to the evaluator, judges the answer and keeps what follows.

No check is left out because the evaluator is slow: rows wait, and :mod:`.intake` refuses more when too many do. Only an
evaluator that does not answer at all costs checks; they are counted, shown, and judge nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from msgspec.structs import replace

from event_backbone.case.schema import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import utc_now
from event_backbone.process.backoff import Backoff
from monitoring_service.checks.detector_alarms import DetectorRunner, DetectorWatch, ReferenceKey
from monitoring_service.checks.performance_watch import PerformanceWatch
from monitoring_service.checks.report_schedule import ReportScheduler
from monitoring_service.checks.version_in_use import version_in_use
from monitoring_service.drift.verdict import CheckTime
from monitoring_service.evaluation.client import EvaluatorFailedError, EvaluatorPort, window_message
from monitoring_service.inbox.store import Inbox, KeptCheck
from monitoring_service.messages import Evaluate, WindowMeasures
from monitoring_service.references.accepted import AcceptedReferences
from monitoring_service.state.condition_rules import (
    conditions_after_check,
    conditions_after_delays,
    conditions_after_quality,
    conditions_after_rejections,
    conditions_unjudged,
)
from monitoring_service.state.conditions import Condition
from monitoring_service.state.history import Point, encode_point, point_of
from monitoring_service.state.monitor_state import (
    StateChange,
    WindowInfo,
    after_evaluation,
    after_failure,
    encode_state,
    with_performance,
)
from monitoring_service.state.published import LatestResults
from monitoring_service.state.rejection_runs import RejectionWatch
from monitoring_service.views.metrics import MonitoringMetrics
from monitoring_service.windows.row_buffer import PredictionSource
from monitoring_service.windows.sliding_window import NewestRow, Windows, WindowView

log = structlog.get_logger()

#: A lost evaluator is replaced and asked again; a window that ends three of them is given up.
ATTEMPTS = 3
#: Seconds of pause after a check that the evaluator failed, doubled up to the second number.
BACKOFF_S = (2.0, 15.0)
_IDLE_WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class CheckParts:
    """What a check is made with."""

    windows: Windows
    inbox: Inbox
    evaluator: EvaluatorPort
    results: LatestResults
    metrics: MonitoringMetrics
    reports: ReportScheduler
    accepted: AcceptedReferences
    alarms: DetectorRunner


class Checks:
    """Runs checks one after the other; everything here happens in one thread, :meth:`run`."""

    def __init__(
        self, case: Case, parts: CheckParts, *, scores_every_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._case = case
        self._windows = parts.windows
        self._inbox = parts.inbox
        self._evaluator = parts.evaluator
        self._results = parts.results
        self._metrics = parts.metrics
        self._reports = parts.reports
        self._accepted = parts.accepted
        self._detectors = DetectorWatch(parts.alarms, case.monitoring.check_every_rows)
        self._clock = clock
        self._backoff = Backoff(*BACKOFF_S)
        self._scores_every_s = scores_every_s
        self._scores_due_at = clock()
        self._rejection_watch = RejectionWatch(case, parts.windows, parts.results.state.rejection_run)
        self._performance_watch = PerformanceWatch(
            case, parts.windows, parts.inbox, parts.evaluator, parts.accepted, clock
        )

    def run(self, stopping: threading.Event, between: Sequence[Callable[[], None]]) -> None:
        """Until ``stopping`` is set; ``between`` are called after each check or idle wait and may take their time."""
        self._guarded(self._evaluator.start, stopping)
        while not stopping.is_set():
            self._guarded(lambda: self.step(stopping, _IDLE_WAIT_S), stopping)
            for action in between:
                self._guarded(action, stopping)
        self._evaluator.close()

    def _guarded(self, action: Callable[[], object], stopping: threading.Event) -> None:
        """The thread's border: it must outlive whatever happens in one action."""
        try:
            action()
        except TryAgainLaterError as error:
            log.warning("checks_postponed", reason=str(error))
            stopping.wait(1.0)
        except Exception:
            log.exception("checks_disturbed")
            stopping.wait(1.0)

    def step(self, stopping: threading.Event, wait_s: float) -> None:
        """Make the next check that is due within ``wait_s``, if there is one."""
        view = self._windows.wait_for_due(wait_s)
        if view is not None:
            self._check(view, stopping)
        self._follow_rejections()
        self._follow_performance()
        self._reports.step(busy=self._windows.backlog_rows > 0)

    def _check(self, view: WindowView, stopping: threading.Event) -> None:
        newest = view.newest
        if newest is None:
            self._fail("empty_window", view.row)
            return
        started = self._clock()
        used = self._version_in_use(view)
        in_force = self._accepted.in_force(used.bundle_sha256)
        accepted_sha256 = in_force.sha256
        compared = ReferenceKey(used.model, used.bundle_sha256, accepted_sha256, in_force.since_row)
        alarms = self._detectors.at(view.row, compared)
        request = Evaluate(window_message(view, used, accepted_sha256), with_scores=self._scores_are_due(view.row))
        try:
            window_measures = self._ask(request, stopping)
        except EvaluatorFailedError as error:
            self._give_up(str(error), stopping)
            return
        duration_s = self._clock() - started
        self._metrics.checks.evaluation_seconds.observe(duration_s)
        self._judge(view, newest, used, window_measures, duration_s, alarms)
        self._reports.answered(request.window)

    def _version_in_use(self, view: WindowView) -> PredictionSource:
        check_result = self._results.state.check_result
        last = PredictionSource(check_result.model, check_result.bundle_sha256) if check_result else None
        return version_in_use(view.rows, view.row - self._case.monitoring.check_every_rows, last)

    def _scores_are_due(self, row: int) -> bool:
        """Only for the newest window that is due, and only every so often."""
        now = self._clock()
        if now < self._scores_due_at or row != self._windows.last_due_row:
            return False
        self._scores_due_at = now + self._scores_every_s
        return True

    def _follow_rejections(self) -> None:
        rejections = self._rejection_watch.look()
        if rejections is not None:
            before = self._results.state
            check_time = CheckTime(before.checked_row, utc_now())
            conditions = conditions_after_rejections(self._case, before.conditions, rejections, check_time)
            self._keep(StateChange(before, ()), None, conditions)

    def _follow_performance(self) -> None:
        """Labels come without rows too: a slow stream, or one that ended, is still judged by all of them."""
        check_result = self._results.state.check_result
        performance = self._performance_watch.look(check_result) if check_result is not None else None
        if check_result is None or performance is None:
            return
        before = self._results.state
        check_time = CheckTime(check_result.row, utc_now())
        delays = before.delays.since(self._inbox.label_delays)
        conditions = conditions_after_quality(self._case, before.conditions, performance, check_time)
        conditions = conditions_after_delays(self._case, conditions, delays, check_time)
        self._keep(StateChange(with_performance(before, performance), ()), None, conditions)

    def _ask(self, request: Evaluate, stopping: threading.Event) -> WindowMeasures:
        """Ask again while that makes sense; once the evaluator is known to be broken, one attempt a check is enough."""
        attempts = ATTEMPTS if self._backoff.failures == 0 else 1
        while True:
            try:
                window_measures = self._evaluator.evaluate(request)
            except EvaluatorFailedError as error:
                attempts -= 1
                self._metrics.checks.evaluator_failures.inc()
                log.warning("evaluator_failed", row=request.window.row, reason=str(error), attempts_left=attempts)
                if attempts == 0 or stopping.is_set():
                    raise
            else:
                self._backoff.reset()
                return window_measures

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
        check_time = CheckTime(view.row, utc_now())
        checked = after_evaluation(self._case, self._results.state, window_info, window_measures, check_time, alarms)
        for episode in checked.episodes:
            name = "drift_ended" if episode.ended_at_row is not None else "drift_confirmed"
            log.info(name, family=episode.family, name=episode.name, row=view.row)
        check_result = checked.state.check_result
        if check_result is not None:
            self._metrics.checks.count_check(check_result, checked.episodes)
            conditions = conditions_after_check(self._case, self._results.state, check_result, check_time)
            rejections = self._windows.rejections(view)
            conditions = conditions_after_rejections(self._case, conditions, rejections, check_time)
            self._keep(checked, point_of(check_result, newest.received_at), conditions)

    def _keep(self, checked: StateChange, point: Point | None, conditions: list[Condition]) -> None:
        delays = self._results.state.delays.moved(self._inbox.label_delays, self._case.monitoring.window_rows)
        state = replace(checked.state, conditions=conditions, delays=delays, rejection_run=self._rejection_watch.run)
        encoded = encode_point(point) if point is not None else None
        kept = KeptCheck(state.checked_row, encoded, encode_state(state), checked.episodes)
        self._inbox.keep_check(kept)
        self._results.publish(state, point, checked.episodes)
        self._windows.mark_checked(state.checked_row)

    def _give_up(self, reason: str, stopping: threading.Event) -> None:
        """Every check that is due by now fails with this one: a broken evaluator must not stop the stream."""
        if stopping.is_set():
            return
        self._fail(reason, self._windows.last_due_row)
        stopping.wait(self._backoff.failed())

    def _fail(self, reason: str, row: int) -> None:
        check_time = CheckTime(row, utc_now())
        self._results.count_failed(self._windows.due_until(row))
        before = self._results.state
        self._keep(after_failure(self._case, before, reason, check_time), None, conditions_unjudged(before.conditions))
