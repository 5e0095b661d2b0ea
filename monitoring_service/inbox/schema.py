"""The inbox's file: its tables, and migration of files of an earlier format."""

from __future__ import annotations

import sqlite3

from event_backbone.case.schema import Case
from event_backbone.process.sqlite import transaction

FORMAT = 3

_SCHEMA = """
CREATE TABLE kept (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (source TEXT PRIMARY KEY, seq INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, bundle_sha256 TEXT NOT NULL,
    UNIQUE (name, version, bundle_sha256)
);
-- One row for each prediction ever counted, until its id may be forgotten. An erased one keeps its number and id only.
CREATE TABLE predictions (
    number INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL UNIQUE,
    content_hash TEXT,
    model INTEGER REFERENCES models,
    score REAL,
    prediction,
    predicted_at TEXT,
    received_at REAL NOT NULL,
    label,
    labelled_at TEXT,
    segments TEXT
);
CREATE INDEX labelled_predictions ON predictions (model, number) WHERE label IS NOT NULL;
-- Records are kept for as long as a window may need them.
CREATE TABLE records (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE labels (
    id INTEGER PRIMARY KEY, record_id TEXT NOT NULL, labelled_at TEXT NOT NULL, label, received_at REAL NOT NULL,
    waiting INTEGER NOT NULL
);
CREATE INDEX labels_by_record ON labels (record_id, labelled_at);
CREATE INDEX waiting_labels ON labels (received_at) WHERE waiting;
CREATE TABLE conflicts (
    record_id TEXT NOT NULL, content_hash TEXT NOT NULL, received_at REAL NOT NULL,
    PRIMARY KEY (record_id, content_hash)
);
CREATE TABLE rejections (
    id INTEGER PRIMARY KEY, rejections_id TEXT NOT NULL UNIQUE, at_row INTEGER NOT NULL, records INTEGER NOT NULL,
    faults BLOB NOT NULL, received_at REAL NOT NULL
);
CREATE TABLE erasures (
    record_id TEXT NOT NULL, erased_at TEXT NOT NULL, received_at REAL NOT NULL, PRIMARY KEY (record_id, erased_at)
);
CREATE TABLE checks (row INTEGER PRIMARY KEY, point BLOB NOT NULL);
CREATE TABLE episodes (
    family TEXT NOT NULL, name TEXT NOT NULL, suspected_at_row INTEGER NOT NULL, confirmed_at_row INTEGER NOT NULL,
    confirmed_at TEXT NOT NULL, ended_at_row INTEGER, ended_at TEXT, cause TEXT NOT NULL DEFAULT 'window',
    PRIMARY KEY (family, name, confirmed_at_row)
);
"""
_PERFORMANCE_WINDOWS = """
-- Realised performance of rows first_row to last_row, restated while labels come.
CREATE TABLE quality_windows (
    first_row INTEGER NOT NULL, last_row INTEGER NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    rows INTEGER NOT NULL, labelled_rows INTEGER NOT NULL, figures BLOB NOT NULL, PRIMARY KEY (first_row, name, version)
) WITHOUT ROWID;
-- Windows that something changed in since they were last stated: how often, and since when.
CREATE TABLE unstated_windows (first_row INTEGER PRIMARY KEY, changes INTEGER NOT NULL, since REAL NOT NULL);
CREATE INDEX unstated_windows_by_age ON unstated_windows (since, first_row);
"""
_SHADOWS = """
-- What a shadow says about records, whether their prediction came already or not.
CREATE TABLE shadows (
    id INTEGER PRIMARY KEY, record_id TEXT NOT NULL, model INTEGER NOT NULL REFERENCES models,
    content_hash TEXT NOT NULL, score REAL NOT NULL, prediction NOT NULL, received_at REAL NOT NULL,
    UNIQUE (record_id, model)
);
"""
#: What makes a file of the format before into one of this; by the format that it makes.
_MIGRATIONS = {
    2: "ALTER TABLE predictions ADD COLUMN segments TEXT;"
    "ALTER TABLE episodes ADD COLUMN cause TEXT NOT NULL DEFAULT 'window';" + _PERFORMANCE_WINDOWS,
    3: _SHADOWS,
}
_WINDOW_ROWS = "quality_window_rows"
_NEW_WINDOWS = """
INSERT INTO unstated_windows SELECT (number - 1) / :rows * :rows + 1 AS first_row, 1, 0 FROM predictions
GROUP BY first_row
"""


def prepare(db: sqlite3.Connection, durability: str, case: Case) -> None:
    """Set up a new inbox, or bring this one up to date; raises :class:`ValueError` with what is wrong."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
    # What is erased is overwritten, not only unlinked.
    db.execute("PRAGMA secure_delete = ON")
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found not in range(FORMAT + 1):
        raise ValueError(f"has format {found}, this version reads format {FORMAT}")
    if found == 0:
        with transaction(db):
            _run(db, _SCHEMA + _PERFORMANCE_WINDOWS + _SHADOWS)
            db.execute("INSERT INTO kept VALUES ('case', ?)", (case.name,))
            db.execute(f"PRAGMA user_version = {FORMAT}")
    (kept_case,) = db.execute("SELECT body FROM kept WHERE name = 'case'").fetchone()
    if kept_case != case.name:
        raise ValueError(f"belongs to the case {kept_case!r}, not to {case.name!r}")
    with transaction(db):
        for number in range(found + 1, FORMAT + 1) if found else ():
            _run(db, _MIGRATIONS[number])
            db.execute(f"PRAGMA user_version = {number}")
        _cut_performance_windows(db, case.monitoring.window_rows)


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute(statement)


def _cut_performance_windows(db: sqlite3.Connection, rows: int) -> None:
    """Windows of another length, or of a file that had none, are stated anew."""
    known = db.execute("SELECT body FROM kept WHERE name = ?", (_WINDOW_ROWS,)).fetchone()
    if known == (rows,):
        return
    db.execute("DELETE FROM quality_windows")
    db.execute("DELETE FROM unstated_windows")
    db.execute(_NEW_WINDOWS, {"rows": rows})
    db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (_WINDOW_ROWS, rows))
