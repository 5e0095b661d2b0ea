"""Cursors: how far each sink is in a journal, and which rows it refused; a SQLite file that only the sidecar writes.

The server reads it to know what may be trimmed. It holds a row for each sink in the settings and no other, so a sink
that is removed from the settings holds nothing back.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from event_backbone.events.schema import encode_json, utc_now
from event_backbone.ports import Refusal
from event_backbone.process.sqlite import transaction

#: Ends the names of cursors that the shadow has: nobody waits for it for good.
SHADOW_SUFFIX = "-shadow"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursors (
    sink TEXT PRIMARY KEY, delivered_seq INTEGER NOT NULL, fault TEXT, conflicts INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS parked (
    sink TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL, parked_at TEXT NOT NULL,
    PRIMARY KEY (sink, seq)
);
"""


@dataclass(frozen=True, slots=True)
class SinkState:
    """``delivered_seq``: every row up to here is with the sink, or parked. ``fault``: why it does not advance.

    ``conflicts``: predictions so far for an id that the sink knew with another content.
    """

    delivered_seq: int
    parked: int
    fault: str | None
    conflicts: int = 0


class RelayState:
    """The writer's side. One caller at a time."""

    def __init__(self, path: Path, sinks: Sequence[str]) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.executescript(_SCHEMA)
        with transaction(self._db):
            if not _counts_conflicts(self._db):
                self._db.execute("ALTER TABLE cursors ADD COLUMN conflicts INTEGER NOT NULL DEFAULT 0")
            there = {name for (name,) in self._db.execute("SELECT sink FROM cursors")}
            self._db.executemany("DELETE FROM cursors WHERE sink = ?", [(name,) for name in there - set(sinks)])
            self._db.executemany("INSERT INTO cursors VALUES (?, 0, NULL, 0)", [(name,) for name in set(sinks) - there])

    def delivered_seq(self, sink: str) -> int:
        row = self._db.execute("SELECT delivered_seq FROM cursors WHERE sink = ?", (sink,)).fetchone()
        return int(row[0])

    def advance(
        self,
        sink: str,
        seq: int,
        refused: Sequence[tuple[Refusal, bytes]] = (),
        erased: Collection[str] = (),
        conflicts: int = 0,
    ) -> None:
        """Move the cursor, park what was refused, forget what is parked about erased ``record_id``s and count what
        conflicted: all of it or, when it raises, nothing."""
        rows = [(sink, refusal.seq, refusal.reason, body, utc_now()) for refusal, body in refused]
        moved = "UPDATE cursors SET delivered_seq = ?, conflicts = conflicts + ?, fault = NULL WHERE sink = ?"
        with transaction(self._db):
            forgotten = sum(self._forget(record_id) for record_id in erased)
            self._db.executemany("INSERT OR IGNORE INTO parked VALUES (?, ?, ?, ?, ?)", rows)
            self._db.execute(moved, (seq, conflicts, sink))
        if forgotten:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # they stand in the log as well

    def _forget(self, record_id: str) -> int:
        fragment = b'"record_id":' + encode_json(record_id)
        return self._db.execute("DELETE FROM parked WHERE instr(body, ?) > 0", (fragment,)).rowcount

    def report_fault(self, sink: str, fault: str) -> None:
        self._db.execute("UPDATE cursors SET fault = ? WHERE sink = ?", (fault, sink))

    def close(self) -> None:
        self._db.close()


def read_relay_state(path: Path) -> dict[str, SinkState] | None:
    """State by sink, read from any process; ``None`` before the sidecar's first start."""
    if not path.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            # A file of an earlier version is read before its sidecar mends it.
            conflicts = "conflicts" if _counts_conflicts(db) else "0"
            parked = "(SELECT count(*) FROM parked WHERE parked.sink = cursors.sink)"
            rows = db.execute(f"SELECT sink, delivered_seq, {parked}, fault, {conflicts} FROM cursors")  # noqa: S608
            return {sink: SinkState(*state) for sink, *state in rows}
    except sqlite3.OperationalError:
        return None  # the sidecar is just making the file


def _counts_conflicts(db: sqlite3.Connection) -> bool:
    return "conflicts" in {name for _, name, *_ in db.execute("PRAGMA table_info(cursors)")}
