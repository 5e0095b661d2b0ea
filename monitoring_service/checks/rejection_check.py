"""A check of rejections by themselves, where rejected records come without rows and so without checks."""

from __future__ import annotations

import threading

from event_backbone.case.schema import Case
from event_backbone.events.schema import utc_now
from monitoring_service.checks.state_keeper import StateKeeper
from monitoring_service.drift.verdict import CheckTime
from monitoring_service.state.condition_rules import conditions_after_rejections
from monitoring_service.state.monitor_state import StateChange
from monitoring_service.state.rejection_runs import RejectionWatch


class RejectionCheck:
    """A task of the check thread."""

    def __init__(self, case: Case, watch: RejectionWatch, keeper: StateKeeper) -> None:
        self._case = case
        self._watch = watch
        self._keeper = keeper

    def step(self, stopping: threading.Event) -> float:  # one try
        rejections = self._watch.due()
        if rejections is not None:
            before = self._keeper.state
            check_time = CheckTime(before.checked_row, utc_now())
            conditions = conditions_after_rejections(self._case, before.conditions, rejections, check_time)
            self._keeper.keep(StateChange(before, ()), conditions)
        return 0.0
