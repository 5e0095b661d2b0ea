"""The sliding window over arriving predictions, and when it is due for a check.

Checks stand at exact multiples of the row counter, so what they find does not depend on how fast rows come, how fast
the evaluator is, or whether the service was restarted in between.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from event_backbone.case import Case
from event_backbone.case import MonitoringSettings as Schedule
from event_backbone.events import FaultCount, ModelRef
from monitoring_service import messages


class Absent(Enum):
    """The value of a column that a record did not even name, unlike one that is null."""

    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Row:
    """One counted prediction: ``number`` is its place in the order of arrival, ``values`` follow the case's columns."""

    number: int
    record_id: str
    values: tuple[Any, ...]
    score: float
    prediction: str | float
    model: ModelRef
    bundle_sha256: str
    predicted_at: str
    received_at: float


@dataclass(frozen=True, slots=True)
class RejectedRecords:
    """Records that were refused after row ``at_row`` arrived and before the next."""

    at_row: int
    records: int
    faults: Sequence[FaultCount]


@dataclass(frozen=True, slots=True)
class WindowView:
    """The rows of one window in order of arrival, and the row counter at its end."""

    row: int
    rows: Sequence[Row]

    @property
    def newest(self) -> Row | None:
        return self.rows[-1] if self.rows else None

    def as_message(self, column_names: Sequence[str]) -> messages.Window:
        """What the evaluator gets: inputs of all rows, scores and predictions of the newest row's model version."""
        newest = self.rows[-1]
        same_model = [row for row in self.rows if row.model == newest.model]
        columns = zip(column_names, zip(*(row.values for row in self.rows), strict=True), strict=True)
        return messages.Window(
            row=self.row,
            rows=len(self.rows),
            bundle_sha256=newest.bundle_sha256,
            columns={name: list(values) for name, values in columns if Absent.ABSENT not in values},
            scores=[row.score for row in same_model],
            predictions=[row.prediction for row in same_model],
        )


@dataclass(frozen=True)
class Rejections:
    """Refused records since the window's oldest row, beside the rows that were accepted since."""

    accepted: int = 0
    records: int = 0
    by_column: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float | None:
        return self._of_all(self.records)

    def share_of(self, column: str) -> float | None:
        """Share of all records that were refused for a fault in this column."""
        return self._of_all(self.by_column[column])

    def _of_all(self, records: int) -> float | None:
        seen = self.accepted + self.records
        return records / seen if seen else None


def next_check(after_row: int, schedule: Schedule) -> int:
    """The first row after ``after_row`` at which a check stands."""
    step = schedule.check_every_rows
    first = -(-schedule.minimum_rows // step) * step
    return max(first, (after_row // step + 1) * step)


class Windows:
    """Rows from the next check's window to the newest; thread-safe.

    Rows are put in as they are committed to the inbox; one thread takes the windows that are due, one after the other.
    """

    def __init__(
        self, case: Case, *, rows_counted: int, checked_row: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._schedule = case.monitoring
        self._clock = clock
        self._changed = threading.Condition()
        self._rows: dict[int, Row] = {}
        self._rejected: deque[RejectedRecords] = deque()
        self._counted = rows_counted
        self._checked = checked_row
        self._waiting_since: float | None = None

    def add(self, rows: Iterable[Row], rejected: Iterable[RejectedRecords], rows_counted: int) -> None:
        """Rows and refusals in order of arrival; ``rows_counted`` also counts rows that are not there (erased)."""
        with self._changed:
            self._rows.update((row.number, row) for row in rows)
            self._rejected.extend(rejected)
            self._counted = rows_counted
            self._forget_before_window()
            self._note_waiting()
            self._changed.notify_all()

    def remove(self, numbers: Iterable[int]) -> None:
        with self._changed:
            for number in numbers:
                self._rows.pop(number, None)

    def wait_for_due(self, timeout_s: float) -> WindowView | None:
        """The oldest window that is due, or ``None`` after ``timeout_s``."""
        with self._changed:
            due = self._changed.wait_for(lambda: self._next() <= self._counted, timeout_s)
            return self._view(self._next()) if due else None

    def mark_checked(self, row: int) -> None:
        with self._changed:
            self._checked = row
            self._waiting_since = None
            self._forget_before_window()
            self._note_waiting()

    def newest(self) -> WindowView:
        """The window that ends at the newest row, due or not."""
        with self._changed:
            return self._view(self._counted)

    def rejections(self) -> Rejections:
        with self._changed:
            oldest = self._counted - self._schedule.window_rows + 1
            # Before the window has filled for the first time, every refusal belongs to it.
            recent = [rejected for rejected in self._rejected if rejected.at_row >= oldest or oldest <= 1]
        by_column = Counter[str]()
        for rejected in recent:
            for fault in rejected.faults:
                by_column[fault.column] += fault.count
        accepted = min(self._counted, self._schedule.window_rows)
        return Rejections(accepted, sum(rejected.records for rejected in recent), by_column)

    @property
    def backlog_rows(self) -> int:
        """Rows that are due for a check and have had none."""
        with self._changed:
            return max(0, self._counted - self._next() + 1)

    @property
    def next_check_row(self) -> int:
        with self._changed:
            return self._next()

    @property
    def last_due_row(self) -> int:
        """The newest check that is due, or the last one made when none is."""
        with self._changed:
            step = self._schedule.check_every_rows
            return max(self._checked, self._counted // step * step) if self._next() <= self._counted else self._checked

    def due_until(self, row: int) -> int:
        """How many checks are due up to and including the one at ``row``."""
        with self._changed:
            return max(0, (row - self._next()) // self._schedule.check_every_rows + 1)

    @property
    def waiting_s(self) -> float:
        """For how long the check that is due next has been due; 0 when none is."""
        with self._changed:
            return 0.0 if self._waiting_since is None else self._clock() - self._waiting_since

    @property
    def first_row_needed(self) -> int:
        """No check to come, and nothing that is shown, looks at a row before this one."""
        with self._changed:
            return self._first_needed()

    def _first_needed(self) -> int:
        return min(self._next(), self._counted) - self._schedule.window_rows + 1

    def _next(self) -> int:
        return next_check(self._checked, self._schedule)

    def _view(self, end: int) -> WindowView:
        start = max(1, end - self._schedule.window_rows + 1)
        return WindowView(end, [row for number in range(start, end + 1) if (row := self._rows.get(number)) is not None])

    def _note_waiting(self) -> None:
        if self._waiting_since is None and self._next() <= self._counted:
            self._waiting_since = self._clock()

    def _forget_before_window(self) -> None:
        needed = self._first_needed()
        while self._rows and (oldest := next(iter(self._rows))) < needed:
            del self._rows[oldest]
        while self._rejected and self._rejected[0].at_row < needed:
            self._rejected.popleft()
