"""One look at everything that is shown: the page's JSON and the metrics are both made from it, so they can't differ."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from event_backbone.events import ModelRef, format_utc
from monitoring_service.board import Board, PublishedBoard
from monitoring_service.inbox import Inbox, Totals
from monitoring_service.intake import Arrivals
from monitoring_service.reports import Report, ReportFolder
from monitoring_service.stream_status import StreamStatus, StreamView
from monitoring_service.windows import Rejections, Windows


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """The window that ends at the newest row: how many rows it has, and when its first and last were predicted."""

    rows: int
    oldest_at: str | None
    newest_at: str | None


@dataclass(frozen=True, slots=True)
class Condition:
    """Something people should know while it lasts; ``since`` is a time, or ``None`` while it does not hold."""

    name: str
    since: str | None

    @property
    def active(self) -> bool:
        return self.since is not None


CONDITIONS = ("column_drift", "prediction_drift", "reference_missing", "evaluator_failed", "stale", "stream_away")


@dataclass(frozen=True, slots=True)
class Snapshot:
    at: float
    totals: Totals
    unreadable: Mapping[str, int]
    stream: StreamView | None
    waiting_labels: int
    positions: Mapping[str, int]
    window: WindowSpan
    model: ModelRef | None
    rejections: Rejections
    backlog_rows: int
    waiting_s: float
    next_check_row: int
    board: Board
    records_per_s: float
    report: Report | None
    conditions: tuple[Condition, ...]


class Lookout:
    """Takes snapshots; thread-safe."""

    def __init__(
        self,
        inbox: Inbox,
        windows: Windows,
        board: PublishedBoard,
        arrivals: Arrivals,
        reports: ReportFolder,
        stream: StreamStatus | None = None,
        *,
        stale_after_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inbox = inbox
        self._windows = windows
        self._board = board
        self._arrivals = arrivals
        self._reports = reports
        self._stream = stream
        self._stale_after_s = stale_after_s
        self._clock = clock

    def look(self) -> Snapshot:
        now = self._clock()
        view, board, waiting_s = self._windows.newest(), self._board.read(), self._windows.waiting_s
        newest = view.newest
        evaluation = board.standing.evaluation
        stream = self._stream.view() if self._stream else None
        return Snapshot(
            at=now,
            totals=self._inbox.totals,
            unreadable=self._inbox.unreadable,
            stream=stream,
            waiting_labels=self._inbox.waiting_labels(),
            positions=self._inbox.positions(),
            window=WindowSpan(len(view.rows), view.oldest_at, newest.predicted_at if newest else None),
            model=newest.model if newest else evaluation.model if evaluation else None,
            rejections=self._windows.rejections(),
            backlog_rows=self._windows.backlog_rows,
            waiting_s=waiting_s,
            next_check_row=self._windows.next_check_row,
            board=board,
            records_per_s=self._rate(now),
            report=self._reports.latest(),
            conditions=self._conditions(board, stream, now, waiting_s),
        )

    def arrivals(self, seconds: int) -> dict[int, int]:
        """Records received in each of the last whole seconds; a second without any is not there."""
        now = int(self._clock())
        return {
            second: records for second, records in self._arrivals.by_second(since=now - seconds).items() if second < now
        }

    def _rate(self, now: float, over_s: int = 5) -> float:
        """Records a second over the last whole seconds."""
        whole = self._arrivals.by_second(since=int(now) - over_s)
        return sum(records for second, records in whole.items() if second < int(now)) / over_s

    def _conditions(
        self, board: Board, stream: StreamView | None, now: float, waiting_s: float
    ) -> tuple[Condition, ...]:
        standing, evaluation = board.standing, board.standing.evaluation
        columns = evaluation.columns if evaluation else []
        drifted = [judged.streak.confirmed_at for judged in columns if judged.streak.confirmed_at is not None]
        since = {
            "column_drift": min(drifted, default=None),
            "prediction_drift": evaluation.prediction.streak.confirmed_at if evaluation else None,
            "reference_missing": standing.reference_missing_since,
            "evaluator_failed": standing.failure.since if standing.failure else None,
            "stale": _text(now - waiting_s) if waiting_s > self._stale_after_s else None,
            "stream_away": stream.away_since if stream else None,
        }
        return tuple(Condition(name, since[name]) for name in CONDITIONS)


def _text(seconds: float) -> str:
    return format_utc(datetime.fromtimestamp(seconds, UTC))
