"""The journal's reader, for sidecar and status; never writes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from event_backbone.events.schema import Event, decode_event
from event_backbone.prediction_log import journal_layout as layout
from event_backbone.prediction_log.sqlite import SqliteLog


@dataclass(frozen=True, slots=True)
class JournalRow:
    """A row as readers see it."""

    seq: int
    event: Event


def last_seq(db: sqlite3.Connection) -> int:
    return int(db.execute(layout.SELECT_LAST_SEQ).fetchone()[0])


class JournalReader(SqliteLog):
    """Reader of a journal file as a relay needs it, in any process; never writes. One caller at a time."""

    @property
    def journal_id(self) -> str:
        return str(self._db.execute(layout.SELECT_JOURNAL_ID).fetchone()[0])

    def last_seq(self) -> int:
        """The highest ``seq`` ever given, also when its row is trimmed."""
        return last_seq(self._db)

    def after(self, seq: int, *, limit: int) -> list[JournalRow]:
        """Rows in order, from the first above ``seq``."""
        rows = self._db.execute(layout.SELECT_AFTER, (seq, limit))
        return [JournalRow(row_seq, decode_event(body)) for row_seq, body in rows]

    def oldest_after(self, seq: int) -> str | None:
        """When the first row above ``seq`` was appended (RFC 3339 in UTC)."""
        row = self._db.execute(layout.SELECT_NEXT_TIME, (seq,)).fetchone()
        return row[0] if row else None
