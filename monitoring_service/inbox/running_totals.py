"""Totals of the events of one transaction, beside the rows they write."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

import msgspec

from event_backbone.events.schema import Prediction, Shadow
from monitoring_service.windows.row_buffer import WindowRow
from monitoring_service.windows.segments import SegmentReader

_encode = msgspec.json.Encoder().encode

_INSERT_MODEL = "INSERT INTO models (name, version, bundle_sha256) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_FIND_MODEL = "SELECT id FROM models WHERE name = ? AND version = ? AND bundle_sha256 = ?"


class BatchTotals:
    """Totals and outcomes, the rows that came, and the performance windows that must be measured anew."""

    def __init__(self, db: sqlite3.Connection, received_at: float, segments: SegmentReader, window_rows: int) -> None:
        self.db = db
        self.received_at = received_at
        self.segments = segments
        self.totals = Counter(dict(db.execute("SELECT name, value FROM totals")))
        self._known_totals = dict(self.totals)
        self.outcomes = Counter[str]()
        self.rows: dict[int, WindowRow] = {}
        self._window_rows = window_rows
        self._model_ids: dict[tuple[str, str, str], int] = {}
        self._changed_windows: set[int] = set()
        # Erasures are rare: most batches need not ask for them.
        self.may_be_erased = db.execute("SELECT 1 FROM erasures LIMIT 1").fetchone() is not None

    def erased_among(self, record_ids: Iterable[str]) -> set[str]:
        if not self.may_be_erased:
            return set()
        query = "SELECT record_id FROM erasures WHERE record_id IN (SELECT value FROM json_each(?))"
        return {record_id for (record_id,) in self.db.execute(query, (as_json(record_ids),))}

    def model_id(self, event: Prediction | Shadow) -> int:
        """The number that stands for the model version of an event."""
        key = (event.model.name, event.model.version, event.bundle_sha256)
        found = self._model_ids.get(key)
        if found is None:
            self.db.execute(_INSERT_MODEL, key)
            (found,) = self.db.execute(_FIND_MODEL, key).fetchone()
            self._model_ids[key] = found
        return found

    def note_changed(self, number: int) -> None:
        """Mark the performance window of this row as changed since it was measured."""
        self._changed_windows.add((number - 1) // self._window_rows * self._window_rows + 1)

    def write(self) -> None:
        self.db.executemany(
            "INSERT OR REPLACE INTO totals VALUES (?, ?)", self.totals.items() - self._known_totals.items()
        )
        self.db.executemany(
            "INSERT INTO unstated_windows VALUES (?, 1, ?) ON CONFLICT (first_row) DO UPDATE SET changes = changes + 1",
            [(first_row, self.received_at) for first_row in sorted(self._changed_windows)],
        )


def as_json(values: Iterable[str]) -> str:
    """For ``json_each``: any number of values in one statement that is always the same."""
    return _encode(list(values)).decode()
