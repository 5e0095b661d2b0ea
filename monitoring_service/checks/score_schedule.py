"""The schedule of Evidently's scores: of the newest window that was judged, every so often, whenever they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from event_backbone.events.schema import ModelRef
from monitoring_service.checks.state_keeper import StateKeeper
from monitoring_service.evaluation.client import EvaluatorPort, EvaluatorRefusedError
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.inbox.store import Inbox
from monitoring_service.messages import ScoreWindow, WindowMeasures, WindowScores
from monitoring_service.state.monitor_state import StateChange, with_scores


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """A window that was judged, and what of it can be scored."""

    window: JudgedWindow
    columns: Sequence[str]
    predictions: bool
    reference_id: str | None


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """Scores, and which model and reference they are about."""

    scores: WindowScores
    model: ModelRef
    reference_id: str | None


class ScoreSchedule:
    """Takes windows from the check thread, has them scored in the evaluator's, and gives the scores back to the first.

    Windows that come while another is scored, or too soon after one was, wait; only the newest of them is scored.
    """

    def __init__(
        self,
        inbox: Inbox,
        evaluator: EvaluatorPort,
        *,
        every_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._evaluator = evaluator
        self._every_s = every_s
        self._clock = clock
        self._due_at = clock()
        self._lock = threading.Lock()
        self._wanted: _Wanted | None = None
        self._scored: ScoredWindow | None = None

    # What the check thread calls ----------------------------------------------------------------------------------

    def judged(self, window: JudgedWindow, measures: WindowMeasures) -> None:
        columns = [measure.name for measure in measures.columns if measure.state == "ok"]
        predictions = measures.prediction.state == "ok"
        with self._lock:
            self._wanted = (
                _Wanted(window, columns, predictions, measures.reference_id) if columns or predictions else None
            )

    def take(self) -> ScoredWindow | None:
        """Scores that nobody took yet."""
        with self._lock:
            scored, self._scored = self._scored, None
        return scored

    # What the evaluator's thread calls ----------------------------------------------------------------------------

    @property
    def has_window(self) -> bool:
        """Whether a window waits for its scores."""
        return self._wanted is not None

    def forget_erased(self) -> None:
        """Let a window go that may hold what was erased since."""
        with self._lock:
            if self._wanted is not None and self._wanted.window.row <= self._inbox.reports_void_until:
                self._wanted = None

    def step(self, *, busy: bool) -> bool:
        """Score a window if one waits and it is time, and say whether one was; not while windows wait for checks.

        Raises :class:`.EvaluatorFailedError`; the window goes on waiting unless it was refused.
        """
        wanted, now = self._wanted, self._clock()
        if wanted is None or busy or now < self._due_at:
            return False
        self._due_at = now + self._every_s
        try:
            scores = self._evaluator.score(
                ScoreWindow(wanted.window.message(), list(wanted.columns), wanted.predictions)
            )
        except EvaluatorRefusedError:
            self._finish(wanted, None)
            raise
        self._finish(wanted, ScoredWindow(scores, wanted.window.source.model, wanted.reference_id))
        return True

    def _finish(self, wanted: _Wanted, scored: ScoredWindow | None) -> None:
        with self._lock:
            self._scored = scored or self._scored
            if self._wanted is wanted:
                self._wanted = None


class ScoreTask:
    """A task of the check thread: scores that have come are shown with the newest check."""

    def __init__(self, schedule: ScoreSchedule, keeper: StateKeeper) -> None:
        self._schedule = schedule
        self._keeper = keeper

    def step(self, stopping: threading.Event) -> float:  # one try
        scored = self._schedule.take()
        if scored is not None:
            before = self._keeper.state
            state = with_scores(before, scored.scores, scored.model, scored.reference_id)
            if state != before:
                self._keeper.keep(StateChange(state, ()), before.conditions)
        return 0.0
