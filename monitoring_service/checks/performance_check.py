"""Judges the performance of the model version in use again when labels came, with or without new rows."""

from __future__ import annotations

import threading

from event_backbone.case.schema import Case
from event_backbone.events.schema import utc_now
from monitoring_service.checks.performance_watch import PerformanceWatch
from monitoring_service.checks.state_keeper import StateKeeper
from monitoring_service.drift.verdict import CheckTime
from monitoring_service.inbox.store import Inbox
from monitoring_service.state.condition_rules import conditions_after_delays, conditions_after_performance
from monitoring_service.state.monitor_state import StateChange, with_performance


class PerformanceCheck:
    """A task of the check thread: a slow stream, or one that ended, is still judged by all of its labels."""

    def __init__(self, case: Case, inbox: Inbox, watch: PerformanceWatch, keeper: StateKeeper) -> None:
        self._case = case
        self._inbox = inbox
        self._watch = watch
        self._keeper = keeper

    def step(self, stopping: threading.Event) -> float:  # one try
        check_result = self._keeper.state.check_result
        performance = self._watch.measure_if_due(check_result) if check_result is not None else None
        if check_result is not None and performance is not None:
            before = self._keeper.state
            check_time = CheckTime(check_result.row, utc_now())
            delays = before.delays.since(self._inbox.label_delays)
            conditions = conditions_after_performance(self._case, before.conditions, performance, check_time)
            conditions = conditions_after_delays(self._case, conditions, delays, check_time)
            self._keeper.keep(StateChange(with_performance(before, performance), ()), conditions)
        return 0.0
