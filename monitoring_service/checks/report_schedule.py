"""The schedule of Evidently's reports: on demand, on an alert and periodically, made one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from event_backbone.errors import ConflictError, TryAgainLaterError
from monitoring_service.evaluation.client import EvaluatorPort, EvaluatorRefusedError
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.inbox.store import Inbox
from monitoring_service.messages import MakeReport, ReportKind
from monitoring_service.state.conditions import BROKEN_DATA, PERFORMANCE_CONDITIONS
from monitoring_service.state.published import LatestResults

log = structlog.get_logger()

#: A report takes seconds of a core: nobody gets two in less than this, whoever asks.
PAUSE_S = 10.0
#: When one of these begins to hold, a report shows what the window looked like.
ALERTING = frozenset({"drift", "prediction_drift", *BROKEN_DATA, *PERFORMANCE_CONDITIONS})


class TooSoonError(TryAgainLaterError):
    """A report was requested just now."""


class ReportTimer:
    """When a periodic report is due: by the last one's age, and the number of new rows."""

    def __init__(self, *, every_rows: int, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_rows = every_rows
        self._every_s = every_s
        self._clock = clock
        self._row = 0
        self._at: float | None = None

    def is_due(self, row: int) -> bool:
        is_old = self._at is None or self._clock() - self._at >= self._every_s
        return is_old and (self._at is None or row - self._row >= self._every_rows)

    def restart(self, row: int) -> None:
        self._row, self._at = row, self._clock()

    @property
    def age_s(self) -> float:
        """Seconds since the last report was begun."""
        return float("inf") if self._at is None else self._clock() - self._at


class ReportScheduler:
    """Takes requests from any thread; the evaluator's, which alone may call it, has reports made.

    ``labelled_rows`` is how many labelled rows a report looks at, at most.
    """

    def __init__(
        self,
        inbox: Inbox,
        evaluator: EvaluatorPort,
        results: LatestResults,
        timer: ReportTimer,
        *,
        labelled_rows: int,
    ) -> None:
        self._inbox = inbox
        self._evaluator = evaluator
        self._results = results
        self._timer = timer
        self._labelled_rows = labelled_rows
        self._lock = threading.Lock()
        self._window: JudgedWindow | None = None
        self._demanded = self._alerted = False
        self._holding = _alerting(results)

    def demand(self) -> int:
        """Request a report about the newest window that was checked; return its row. It is made within moments.

        Raises:
            ConflictError: one is being made, or there is no window to report on.
            TooSoonError: the last one was begun less than :data:`PAUSE_S` ago.
        """
        with self._lock:
            if self._demanded or self._results.reports.running:
                raise ConflictError("A report is being made; the list of reports shows when it is there.")
            if self._window is None:
                raise ConflictError("No window was checked yet since the service started or a record was erased.")
            if (left := PAUSE_S - self._timer.age_s) > 0:
                raise TooSoonError("The last report was begun just now", retry_after_s=left)
            self._demanded = True
            return self._window.row

    @property
    def waiting(self) -> bool:
        """Whether a requested report has not been begun."""
        return self._demanded

    def judged(self, window: JudgedWindow) -> None:
        """A window was judged: reports are about it from now on."""
        with self._lock:
            self._window = window

    # What the evaluator's thread calls ----------------------------------------------------------------------------

    @property
    def has_window(self) -> bool:
        """Whether there is a window that a report could be about."""
        return self._window is not None

    def forget_erased(self) -> None:
        """Let a window go that may hold what was erased since, and what was requested about it."""
        with self._lock:
            if self._window is not None and self._window.row <= self._inbox.reports_void_until:
                self._window = None
                self._demanded = False

    def step(self, *, busy: bool) -> bool:
        """Begin a report if one is due, and say whether one was; follow the one being made.

        Checks first: while windows wait for them, ``busy``, a report does not even start. Raises
        :class:`.EvaluatorFailedError`.
        """
        self._note_alerts()
        has_begun = not busy and not self._results.reports.running and self._begin_if_due()
        if self._results.reports.running:
            self._results.publish_reports(self._evaluator.reports())
        return has_begun

    def _note_alerts(self) -> None:
        holding = _alerting(self._results)
        self._alerted = self._alerted or bool(holding - self._holding)
        self._holding = holding

    def _begin_if_due(self) -> bool:
        with self._lock:
            window = self._window
            kind = None if window is None else self._due(window.row)
            self._demanded = self._demanded and kind != "demand"
        return window is not None and kind is not None and self._begin(window, kind)

    def _due(self, row: int) -> ReportKind | None:
        if self._demanded:
            return "demand"
        if self._alerted and self._timer.age_s >= PAUSE_S:
            return "alert"
        return "schedule" if self._timer.is_due(row) else None

    def _begin(self, window: JudgedWindow, kind: ReportKind) -> bool:
        self._alerted = self._alerted and kind != "alert"
        self._timer.restart(window.row)
        labelled = self._inbox.labelled_rows(window.source.model, until_row=window.row, limit=self._labelled_rows)
        try:
            self._results.publish_reports(self._evaluator.make_report(MakeReport(window.message(), labelled, kind)))
        except EvaluatorRefusedError as error:
            log.warning("report_not_made", row=window.row, kind=kind, reason=str(error))
            return False
        return True


def _alerting(results: LatestResults) -> frozenset[tuple[str, str | None]]:
    return frozenset(one.key for one in results.state.conditions if one.active and one.name in ALERTING)
