"""The sliding window over arriving predictions, and when it is due for a check.

Checks stand at exact multiples of the row counter, so what they find does not depend on how fast rows come, how fast
the machine is, or whether the service was restarted in between.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from event_backbone.case.schema import Case
from event_backbone.case.schema import MonitoringSettings as Schedule
from event_backbone.events.schema import FaultCount, ModelRef
from monitoring_service.windows.row_buffer import RowBuffer, Rows, WindowRow


@dataclass(frozen=True, slots=True)
class RejectedRecords:
    """Records that were refused after row ``at_row`` arrived and before the next."""

    at_row: int
    records: int
    faults: Sequence[FaultCount]


@dataclass(frozen=True, slots=True)
class NewestRow:
    """The last row of a window; ``received_at`` is in seconds since 1970."""

    model: ModelRef
    bundle_sha256: str
    predicted_at: str
    received_at: float


@dataclass(frozen=True, slots=True, eq=False)
class WindowView:
    """The rows of one window in order of arrival, and the row counter at its end."""

    row: int
    rows: Rows

    @property
    def newest(self) -> NewestRow | None:
        if not len(self.rows):
            return None
        source = self.rows.sources[self.rows.source_codes[-1]]
        last_at = float(self.rows.received_at[-1])
        return NewestRow(source.model, source.bundle_sha256, self.rows.predicted_at[-1], last_at)

    @property
    def oldest_at(self) -> str | None:
        """When the first row was predicted."""
        return self.rows.predicted_at[0] if len(self.rows) else None


@dataclass(frozen=True)
class WindowRejections:
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
        self._rows = RowBuffer(case)
        self._rejected: deque[RejectedRecords] = deque()
        self._counted = rows_counted
        self._checked = checked_row
        self._waiting_since: float | None = None

    def add(self, rows: Sequence[WindowRow], rejected: Iterable[RejectedRecords], rows_counted: int) -> None:
        """Rows and refusals in order of arrival; ``rows_counted`` also counts rows that are not there (erased)."""
        with self._changed:
            self._rows.add(rows)
            self._rejected.extend(rejected)
            self._counted = rows_counted
            self._forget_before_window()
            self._note_waiting()
            self._changed.notify_all()

    def remove(self, numbers: Sequence[int]) -> None:
        with self._changed:
            self._rows.remove(numbers)

    def wait_until_due(self, timeout_s: float) -> bool:
        """Whether a window is due before ``timeout_s`` are over."""
        with self._changed:
            return self._changed.wait_for(lambda: self._next() <= self._counted, timeout_s)

    def wait_for_due(self, timeout_s: float) -> WindowView | None:
        """The oldest window that is due, or ``None`` after ``timeout_s``."""
        with self._changed:
            return self._view(self._next()) if self.wait_until_due(timeout_s) else None

    def mark_checked(self, row: int) -> None:
        with self._changed:
            if row == self._checked:
                return  # what waits goes on waiting
            self._checked = row
            self._waiting_since = None
            self._forget_before_window()
            self._note_waiting()

    def newest(self) -> WindowView:
        """The window that ends at the newest row, due or not."""
        with self._changed:
            return self._view(self._counted)

    def next_or_newest(self) -> WindowView:
        """The window of the check that is due next, or the newest when none is."""
        with self._changed:
            return self._view(min(self._next(), self._counted))

    def rows(self, first: int, last: int) -> Rows:
        """The rows with these numbers and those between, as far as a check to come may look at them."""
        with self._changed:
            return self._rows.between(first, last)

    def rejections(self, view: WindowView | None = None) -> WindowRejections:
        """Refusals up to now; those of ``view`` end before its last row, so they are the same whenever one asks."""
        with self._changed:
            window = view or self._view(self._counted)
            oldest = self._oldest(window)
            # Before the window has filled for the first time, every refusal belongs to it.
            recent = [rejected for rejected in self._rejected if rejected.at_row >= oldest or oldest <= 1]
        if view is not None:
            recent = [rejected for rejected in recent if rejected.at_row < view.row]
        by_column = Counter[str]()
        for rejected in recent:
            for fault in rejected.faults:
                by_column[fault.column] += fault.count
        accepted = window.row - max(oldest, 1) + 1
        return WindowRejections(accepted, sum(rejected.records for rejected in recent), by_column)

    @property
    def backlog_rows(self) -> int:
        """Rows that are due for a check and have had none."""
        with self._changed:
            return max(0, self._counted - self._next() + 1)

    @property
    def next_check_row(self) -> int:
        with self._changed:
            return self._next()

    def refused_in_a_row(self) -> tuple[int, int]:
        """The newest row, and how many records were refused since it came."""
        with self._changed:
            since = takewhile(lambda rejected: rejected.at_row >= self._counted, reversed(self._rejected))
            return self._counted, sum(rejected.records for rejected in since)

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
        schedule = self._schedule
        return WindowView(end, self._rows.between(end - schedule.window_rows + 1, end, within_s=schedule.window_s))

    def _oldest(self, view: WindowView) -> int:
        """The number of the window's first place: what it would be without erased rows, unless a time limit is set."""
        if self._schedule.window_s is not None and len(view.rows):
            return int(view.rows.numbers[0])
        return view.row - self._schedule.window_rows + 1

    def _note_waiting(self) -> None:
        if self._waiting_since is None and self._next() <= self._counted:
            self._waiting_since = self._clock()

    def _forget_before_window(self) -> None:
        needed = self._first_needed()
        self._rows.forget_before(needed)
        while self._rejected and self._rejected[0].at_row < needed:
            self._rejected.popleft()
