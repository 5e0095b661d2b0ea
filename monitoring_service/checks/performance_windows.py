"""Realised performance of each window of rows, restated when late labels change it.

Rows 1 to n are the first window, the next n the second, and so on; rows of two model versions in one window are stated
apart. What changed is noted with the events themselves (:class:`.BatchTotals`), so whatever order they come in, and
however often the service is restarted, a window's last statement is the one that all of them lead to.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from event_backbone.events.schema import ModelRef
from monitoring_service.evaluation.measuring import MeasurerPort
from monitoring_service.inbox.store import Inbox
from monitoring_service.messages import Labelled, MetricValue

#: At most so many windows are stated anew at once, so often, and for this share of the time: what labels cost is
#: bounded, however many windows they belong to and however large those are.
WINDOWS_A_STEP = 2
STATED_EVERY_S = 1.0
STATING_SHARE = 0.02
#: Older ones are forgotten.
WINDOWS_KEPT = 2000

_OLDEST_FIRST = "SELECT first_row, changes FROM unstated_windows ORDER BY since, first_row LIMIT ?"
_WHOLE = "SELECT 1 FROM predictions WHERE number <= ? LIMIT 1"
_ROWS = """
SELECT m.name, m.version, p.label IS NOT NULL, p.score, p.prediction, p.label, p.segments
FROM predictions p JOIN models m ON m.id = p.model
WHERE p.number BETWEEN ? AND ? AND p.content_hash IS NOT NULL ORDER BY p.number
"""
_FORGET = """
DELETE FROM quality_windows WHERE first_row <= (
    SELECT first_row FROM (SELECT DISTINCT first_row FROM quality_windows) ORDER BY first_row DESC LIMIT 1 OFFSET ?
)
"""
_NEWEST = """
SELECT first_row, last_row, name, version, rows, labelled_rows, figures FROM quality_windows
ORDER BY first_row DESC, name DESC, version DESC LIMIT ?
"""

_encode_metric_values = msgspec.json.Encoder().encode
_decode_metric_values = msgspec.json.Decoder(dict[str, MetricValue]).decode


class PerformanceWindow(Struct, frozen=True):
    """One version's rows between two row numbers, erased ones left out, and the metrics of those with a label."""

    first_row: int
    last_row: int
    name: str
    version: str
    rows: int
    labelled_rows: int
    metric_values: dict[str, MetricValue] = msgspec.field(name="figures")


class Unstated(Struct, frozen=True):
    """A window to be measured: its rows by version, at this number of changes.

    One that is not whole has lost its first rows to age: it stays as it was last stated.
    """

    first_row: int
    changes: int
    is_whole: bool
    versions: dict[ModelRef, tuple[int, Labelled]]


class PerformanceWindows:
    """Measures windows, the one that waits longest first. :meth:`step` is for one thread, :meth:`newest` for any."""

    def __init__(
        self,
        inbox: Inbox,
        measurer: MeasurerPort,
        window_rows: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox = inbox
        self._measurer = measurer
        self._window_rows = window_rows
        self._clock = clock
        self._due_at = clock()

    def step(self) -> None:
        """Measure a few windows if any waits and it is time; call it as often as you like.

        Raises :class:`.NotMeasuredError` and :class:`.InboxUnavailableError`; the windows go on waiting.
        """
        started = self._clock()
        if started < self._due_at:
            return
        self._due_at = started + STATED_EVERY_S
        self.state(limit=WINDOWS_A_STEP)
        self._due_at = max(self._due_at, started + (self._clock() - started) / STATING_SHARE)

    def state(self, *, limit: int) -> int:
        """Measure at most this many windows now; returns how many waited among them."""
        waiting = self._waiting(limit)
        asked = [labelled for one in waiting for _, labelled in one.versions.values()]
        metric_values = iter(self._measurer.metric_values(asked))
        for one in waiting:
            self._keep(one, [self._stated(one, model, next(metric_values)) for model in one.versions])
        return len(waiting)

    def _stated(self, unstated: Unstated, model: ModelRef, metric_values: dict[str, MetricValue]) -> PerformanceWindow:
        rows, labelled = unstated.versions[model]
        last_row = unstated.first_row + self._window_rows - 1
        labelled_rows = len(labelled.labels)
        return PerformanceWindow(
            unstated.first_row, last_row, model.name, model.version, rows, labelled_rows, metric_values
        )

    def _waiting(self, limit: int) -> list[Unstated]:
        with self._inbox.exclusive() as db:
            return [self._unstated(db, *found) for found in db.execute(_OLDEST_FIRST, (limit,)).fetchall()]

    def _unstated(self, db: sqlite3.Connection, first_row: int, changes: int) -> Unstated:
        is_whole = db.execute(_WHOLE, (first_row,)).fetchone() is not None
        rows = db.execute(_ROWS, (first_row, first_row + self._window_rows - 1)).fetchall() if is_whole else []
        return Unstated(first_row, changes, is_whole, self._by_version(rows))

    def _by_version(self, rows: list[tuple[Any, ...]]) -> dict[ModelRef, tuple[int, Labelled]]:
        by_version: dict[ModelRef, list[tuple[Any, ...]]] = {}
        for row in rows:
            by_version.setdefault(ModelRef(row[0], row[1]), []).append(row)
        return {
            model: (len(found), self._inbox.as_labelled([row[3:] for row in found if row[2]]))
            for model, found in by_version.items()
        }

    def _keep(self, unstated: Unstated, windows: list[PerformanceWindow]) -> None:
        """One that changed while it was measured goes on waiting."""
        first_row = unstated.first_row
        with self._inbox.writing() as db:
            if unstated.is_whole:
                db.execute("DELETE FROM quality_windows WHERE first_row = ?", (first_row,))
                db.executemany("INSERT INTO quality_windows VALUES (?, ?, ?, ?, ?, ?, ?)", map(_as_row, windows))
                db.execute(_FORGET, (WINDOWS_KEPT,))
            db.execute(
                "DELETE FROM unstated_windows WHERE first_row = ? AND changes = ?", (first_row, unstated.changes)
            )

    def newest(self, limit: int) -> list[PerformanceWindow]:
        """The newest windows, oldest of them first."""
        with self._inbox.exclusive() as db:
            found = db.execute(_NEWEST, (limit,)).fetchall()
        return [PerformanceWindow(*(*row[:-1], _decode_metric_values(row[-1]))) for row in reversed(found)]


def _as_row(window: PerformanceWindow) -> tuple[Any, ...]:
    return (*msgspec.structs.astuple(window)[:-1], _encode_metric_values(window.metric_values))
