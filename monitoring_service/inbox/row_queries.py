"""Queries for the rows of windows, their labels and what was rejected beside them."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from event_backbone.events.schema import FaultCount, ModelRef
from monitoring_service.windows.row_buffer import WindowRow
from monitoring_service.windows.sliding_window import RejectedRecords

_WINDOW_ROWS = """
SELECT p.number, r.body, p.score, p.prediction, m.name, m.version, m.bundle_sha256, p.predicted_at,
       p.received_at
FROM records r JOIN predictions p USING (number) JOIN models m ON m.id = p.model
WHERE r.number BETWEEN ? AND ? ORDER BY r.number
"""
_LABELLED_ROWS = """
SELECT number, score, prediction, label, segments FROM predictions
WHERE model = ? AND label IS NOT NULL AND number BETWEEN ? AND ? ORDER BY number DESC LIMIT ?
"""
_LABELLED_BETWEEN = """
SELECT count(*) FROM models m JOIN predictions p ON p.model = m.id
WHERE m.name = ? AND m.version = ? AND p.label IS NOT NULL AND p.number BETWEEN ? AND ?
"""
_ARRIVALS = """
SELECT CAST(received_at AS INTEGER) AS second, count(*) FROM predictions
WHERE number > ? AND received_at >= ? GROUP BY second ORDER BY second
"""
#: At 500 records a second these are a quarter of an hour.
_MOST_ARRIVALS = 450_000


def window_rows(db: sqlite3.Connection, first: int, last: int) -> list[WindowRow]:
    """The rows with these numbers and those between, in order of arrival."""
    return [_as_row(found) for found in db.execute(_WINDOW_ROWS, (first, last))]


def _as_row(found: tuple[Any, ...]) -> WindowRow:
    number, body, score, prediction, name, version, bundle_sha256, predicted_at, received_at = found
    model, record = ModelRef(name, version), msgspec.json.decode(body)
    return WindowRow(number, record, score, prediction, model, bundle_sha256, predicted_at, received_at)


def rejected_records(db: sqlite3.Connection, since_row: int) -> list[RejectedRecords]:
    """Rejected records that came with or after this row."""
    query = "SELECT at_row, records, faults FROM rejections WHERE at_row >= ? ORDER BY id"
    return [
        RejectedRecords(at_row, records, msgspec.json.decode(faults, type=list[FaultCount]))
        for at_row, records, faults in db.execute(query, (since_row,))
    ]


def newest_labelled(
    db: sqlite3.Connection, model: ModelRef, from_row: int, until_row: int, limit: int
) -> list[tuple[Any, ...]]:
    """Score, prediction, label and kept segments of the newest labelled rows of a model version, newest first."""
    query = "SELECT id FROM models WHERE name = ? AND version = ?"
    found: list[tuple[Any, ...]] = []
    # One query for each id: over several of them SQLite would sort every labelled row of the version.
    for (model_id,) in db.execute(query, (model.name, model.version)).fetchall():
        found += db.execute(_LABELLED_ROWS, (model_id, from_row, until_row, limit))
    return [row[1:] for row in sorted(found, reverse=True)[:limit]]


def count_labelled(db: sqlite3.Connection, model: ModelRef, first_row: int, last_row: int) -> int:
    """How many rows of a model version have a label, of those with these numbers and between."""
    (labelled,) = db.execute(_LABELLED_BETWEEN, (model.name, model.version, first_row, last_row)).fetchone()
    return int(labelled)


def arrivals_by_second(db: sqlite3.Connection, predictions: int, since: float) -> dict[int, int]:
    """Predictions received in each second since this time, among the newest of so many."""
    return dict(db.execute(_ARRIVALS, (predictions - _MOST_ARRIVALS, since)))
