"""A snapshot of everything that is shown: JSON and metrics are both made from it, so they can't differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef, time_text
from monitoring_service.alerting.service import AlertService
from monitoring_service.alerting.views import AlertView
from monitoring_service.evaluation.evaluator_status import EvaluatorStatus
from monitoring_service.inbox.store import Inbox
from monitoring_service.inbox.totals import InboxTotals
from monitoring_service.intake.arrivals import Arrivals
from monitoring_service.intake.kafka_status import StreamStatus, StreamView
from monitoring_service.reports.folder import Report, ReportFolder
from monitoring_service.state.conditions import PRESENT_CONDITIONS, Condition, all_conditions, present_condition
from monitoring_service.state.monitor_state import MonitorState
from monitoring_service.state.published import CheckResults, LatestResults
from monitoring_service.views.waiting import waited_for
from monitoring_service.windows.arrival_delay import ArrivalDelay, arrival_delay
from monitoring_service.windows.label_delay import LabelDelays
from monitoring_service.windows.sliding_window import WindowRejections, Windows


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """The window that ends at the newest row: how many rows it has, and when its first and last were predicted."""

    rows: int
    oldest_at: str | None
    newest_at: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is shown; ``conditions`` are all of the case's, :meth:`is_known` says of which anything is known."""

    at: float
    totals: InboxTotals
    unreadable: Mapping[str, int]
    stream: StreamView | None
    waiting_labels: int
    positions: Mapping[str, int]
    window: WindowSpan
    model: ModelRef | None
    rejections: WindowRejections
    backlog_rows: int
    waiting_s: float
    next_check_row: int
    results: CheckResults
    waiting: Mapping[str, str]
    records_per_s: float
    arrival_delay: ArrivalDelay | None
    report: Report | None
    conditions: tuple[Condition, ...]
    alerts: Sequence[AlertView]
    label_delays: LabelDelays

    @property
    def was_checked(self) -> bool:
        """Whether any check was ever answered: before, nobody knows whether anything drifts."""
        return self.results.state.check_result is not None

    def is_known(self, condition: Condition) -> bool:
        return condition.active or self.was_checked or condition.name in PRESENT_CONDITIONS


@dataclass(frozen=True, slots=True)
class SnapshotSources:
    """The sources of a snapshot."""

    inbox: Inbox
    windows: Windows
    results: LatestResults
    arrivals: Arrivals
    reports: ReportFolder
    alerts: AlertService
    evaluator: EvaluatorStatus
    stream: StreamStatus | None = None


class SnapshotReader:
    """Takes snapshots; thread-safe."""

    def __init__(
        self, case: Case, sources: SnapshotSources, *, stale_after_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._case = case
        self._sources = sources
        self._stale_after_s = stale_after_s
        self._clock = clock

    def take(self) -> Snapshot:
        now, sources = self._clock(), self._sources
        view, results, waiting_s = sources.windows.newest(), sources.results.read(), sources.windows.waiting_s
        newest, check_result = view.newest, results.state.check_result
        stream = sources.stream.view() if sources.stream else None
        return Snapshot(
            at=now,
            totals=sources.inbox.totals,
            unreadable=sources.inbox.unreadable,
            stream=stream,
            waiting_labels=sources.inbox.waiting_labels(),
            positions=sources.inbox.positions(),
            window=WindowSpan(len(view.rows), view.oldest_at, newest.predicted_at if newest else None),
            model=newest.model if newest else check_result.model if check_result else None,
            rejections=sources.windows.rejections(),
            backlog_rows=sources.windows.backlog_rows,
            waiting_s=waiting_s,
            next_check_row=sources.windows.next_check_row,
            results=results,
            waiting=self.waiting(),
            records_per_s=self._rate(now),
            arrival_delay=arrival_delay(view.rows),
            report=sources.reports.latest(),
            conditions=self._conditions(results.state, stream, now, waiting_s),
            alerts=sources.alerts.views(),
            label_delays=sources.inbox.label_delays,
        )

    def conditions(self) -> tuple[Condition, ...]:
        """Only the conditions, as they are now."""
        stream = self._sources.stream.view() if self._sources.stream else None
        state, waiting_s = self._sources.results.state, self._sources.windows.waiting_s
        return self._conditions(state, stream, self._clock(), waiting_s)

    def waiting(self) -> dict[str, str]:
        """Only what is waited for, as it is now."""
        sources = self._sources
        return waited_for(
            was_checked=sources.results.state.check_result is not None,
            windows=sources.windows,
            counted=sources.inbox.totals.predictions,
            evaluator=sources.evaluator.view(),
        )

    def arrivals(self, seconds: int) -> dict[int, int]:
        """Records received in each of the last whole seconds; a second without any is not there."""
        now = int(self._clock())
        return {
            second: records
            for second, records in self._sources.arrivals.by_second(since=now - seconds).items()
            if second < now
        }

    def _rate(self, now: float, over_s: int = 5) -> float:
        """Records a second over the last whole seconds."""
        whole = self._sources.arrivals.by_second(since=int(now) - over_s)
        return sum(records for second, records in whole.items() if second < int(now)) / over_s

    def _conditions(
        self, state: MonitorState, stream: StreamView | None, now: float, waiting_s: float
    ) -> tuple[Condition, ...]:
        stale_since = time_text(now - waiting_s) if waiting_s > self._stale_after_s else None
        present = [
            present_condition("reference_missing", state.reference_missing_since),
            present_condition("evaluator_failed", self._evaluator_failed_since(state)),
            present_condition("detectors_failed", state.detectors_failed_since),
            present_condition("stale", stale_since, round(waiting_s, 3), self._stale_after_s),
            present_condition("stream_away", stream.away_since if stream else None),
        ]
        return all_conditions(self._case, [*state.conditions, *present])

    def _evaluator_failed_since(self, state: MonitorState) -> str | None:
        """The evaluator itself, or a check that could not be measured; the earlier of the two."""
        of_checks = state.failure.since if state.failure else None
        known = [since for since in (of_checks, self._sources.evaluator.view().condition_since) if since is not None]
        return min(known, default=None)
