"""Storing a new monitor state: in the inbox first, then published, then its check is no longer due."""

from __future__ import annotations

from msgspec.structs import replace

from event_backbone.case.schema import Case
from monitoring_service.inbox.store import Inbox, KeptCheck
from monitoring_service.state.conditions import Condition
from monitoring_service.state.history import Point, encode_point
from monitoring_service.state.monitor_state import MonitorState, StateChange, encode_state
from monitoring_service.state.published import LatestResults
from monitoring_service.state.rejection_runs import RejectionWatch
from monitoring_service.windows.sliding_window import Windows


class StateKeeper:
    """For the check thread alone. One state holds the results of all tasks, so each stores it through this."""

    def __init__(
        self, case: Case, windows: Windows, inbox: Inbox, results: LatestResults, rejections: RejectionWatch
    ) -> None:
        self._window_rows = case.monitoring.window_rows
        self._windows = windows
        self._inbox = inbox
        self._results = results
        self._rejections = rejections

    @property
    def state(self) -> MonitorState:
        return self._results.state

    def keep(self, checked: StateChange, conditions: list[Condition], point: Point | None = None) -> None:
        """Raises :class:`.InboxUnavailableError`, and nothing was changed."""
        delays = self.state.delays.moved(self._inbox.label_delays, self._window_rows)
        state = replace(checked.state, conditions=conditions, delays=delays, rejection_run=self._rejections.run)
        encoded = encode_point(point) if point is not None else None
        kept = KeptCheck(state.checked_row, encoded, encode_state(state), checked.episodes)
        self._inbox.keep_check(kept)
        self._results.publish(state, point, checked.episodes)
        self._windows.mark_checked(state.checked_row)
