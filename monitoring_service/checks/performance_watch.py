"""When to measure the performance of the model version in use: after new rows or labels, within a share of the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from event_backbone.case.schema import Case
from monitoring_service.evaluation.measuring import MeasurerPort
from monitoring_service.inbox.store import Inbox
from monitoring_service.messages import MeasurePerformance, Performance
from monitoring_service.references.accepted import AcceptedReferences
from monitoring_service.state.monitor_state import CheckResult
from monitoring_service.windows.sliding_window import Windows, WindowView

#: Performance is measured again at most this often, and for this share of the time: large windows cost more.
PERFORMANCE_EVERY_S = 1.0
MEASURING_SHARE = 0.05


class PerformanceWatch:
    """Not thread-safe. Measures the newest rows, checked or not, so labels count as soon as they come.

    While checks lag behind the stream it is about rows up to the next check: none is shown with what came after it.
    """

    def __init__(
        self,
        case: Case,
        windows: Windows,
        inbox: Inbox,
        measurer: MeasurerPort,
        accepted: AcceptedReferences,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        schedule = case.monitoring
        self._limit = schedule.window_rows
        self._older = schedule.check_every_rows * (schedule.consecutive_checks - 1)
        self._windows = windows
        self._inbox = inbox
        self._measurer = measurer
        self._accepted = accepted
        self._clock = clock
        self._due_at = clock()
        self._measured: object = None

    def measure_if_due(self, check_result: CheckResult) -> Performance | None:
        """Performance of the version that was evaluated last; ``None`` while nothing changed, or it is too early.

        Raises :class:`.NotMeasuredError`, and :class:`.InboxUnavailableError`; the next look tries again.
        """
        started = self._clock()
        if started < self._due_at:
            return None
        totals, view = self._inbox.totals, self._windows.next_or_newest()
        accepted_sha256 = self._accepted.in_force(check_result.bundle_sha256).sha256
        known = check_result.bundle_sha256, accepted_sha256, view.row, totals.labels, totals.erasures
        if known == self._measured:
            return None
        self._due_at = started + PERFORMANCE_EVERY_S
        performance = self._measurer.performance(self._request(check_result, accepted_sha256, view))
        self._due_at = max(self._due_at, started + (self._clock() - started) / MEASURING_SHARE)
        self._measured = known
        return performance

    def _request(self, check_result: CheckResult, accepted_sha256: str | None, view: WindowView) -> MeasurePerformance:
        model = check_result.model
        chosen = view.rows.of_model(model)
        first_row = int(view.rows.numbers[0]) if len(view.rows) else view.row
        labelled = self._inbox.labelled_rows(model, until_row=view.row, limit=self._limit + self._older)
        return MeasurePerformance(
            bundle_sha256=check_result.bundle_sha256,
            labelled=labelled.part(0, self._limit),
            older=labelled.part(self._limit),
            scores=view.rows.scores[chosen].tobytes(),
            predictions=view.rows.predictions[chosen].tobytes(),
            labelled_in_window=self._inbox.labelled_between(model, first_row, view.row),
            accepted_sha256=accepted_sha256,
        )
