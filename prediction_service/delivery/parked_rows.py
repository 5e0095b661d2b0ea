"""Parked rows, which a sink refused for good: read from every journal's relay.sqlite, published, tried again.

Beside what :class:`~prediction_service.delivery.cursors.RelayState` keeps there stands which of them were published to
``.dead-letters``. Whoever else writes the file is waited for, for a few seconds.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from event_backbone.events.schema import decode_event
from event_backbone.kafka.dead_letters import DeadLetter, dead_letter_of_row, row_id, without_value
from event_backbone.ports import MessageProducer
from prediction_service.journal.slots import JOURNAL_FILE, RELAY_FILE, slots_with_a_journal

_PUBLISHED = """
CREATE TABLE IF NOT EXISTS published (sink TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (sink, seq))
"""
_ROWS = "SELECT sink, seq, reason, body, parked_at FROM parked"
_NOT_PUBLISHED = f"""
{_ROWS} WHERE NOT EXISTS (SELECT 1 FROM published WHERE published.sink = parked.sink AND published.seq = parked.seq)
ORDER BY parked_at LIMIT ?
"""  # noqa: S608  # nothing in it comes from outside


class ParkedRows:
    """The parked rows of one journal. One caller at a time; other processes may write meanwhile."""

    def __init__(self, slot: Path) -> None:
        """Raises :class:`sqlite3.OperationalError` where no sidecar has made the file yet."""
        self.source = _journal_id(slot / JOURNAL_FILE)
        self._db = sqlite3.connect(f"file:{slot / RELAY_FILE}?mode=rw", uri=True, isolation_level=None, timeout=5)
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute(_PUBLISHED)

    def letters(self) -> Iterator[DeadLetter]:
        for row in self._db.execute(f"{_ROWS} ORDER BY parked_at, seq"):
            yield self._letter(*row)

    def _letter(self, sink: str, seq: int, reason: str, body: bytes, parked_at: str) -> DeadLetter:
        return DeadLetter(
            id=row_id(sink, self.source, seq),
            reason=reason,
            faults=[],
            first_seen=parked_at,
            service="sidecar",
            key=_record_id(body),
            value=body,
            sink=sink,
            source=self.source,
            seq=seq,
        )

    def publish(self, publisher: MessageProducer, topic: str, *, at_most: int) -> int:
        """Publish the next rows and mark them; return how many. Those that are too large go without their content.

        Raises:
            TryAgainLaterError: Kafka is away; what was not noted is published again.
        """
        rows = self._db.execute(_NOT_PUBLISHED, (at_most,)).fetchall()
        letters = [self._letter(*row) for row in rows]
        messages = [
            dead_letter_of_row(
                sink=letter.sink or "",
                source=self.source,
                seq=letter.seq or 0,
                record_id=(letter.key or b"").decode(),
                body=letter.value or b"",
                reason=letter.reason,
                first_seen=letter.first_seen,
                topic=topic,
            )
            for letter in letters
        ]
        refused = publisher.publish(messages)
        publisher.publish([without_value(messages[index]) for index, _ in refused])
        self._db.executemany(
            "INSERT OR IGNORE INTO published VALUES (?, ?)", [(letter.sink, letter.seq) for letter in letters]
        )
        return len(rows)

    def forget(self, letters: Sequence[DeadLetter]) -> None:
        """Delete rows that are with their sink now."""
        places = [(letter.sink, letter.seq) for letter in letters]
        self._db.executemany("DELETE FROM parked WHERE sink = ? AND seq = ?", places)

    def close(self) -> None:
        self._db.close()


def parked_rows(journals_dir: Path) -> Iterator[ParkedRows]:
    """Those of every journal on this machine, each open while it is iterated over."""
    for slot in slots_with_a_journal(journals_dir):
        if (slot / RELAY_FILE).is_file():
            with contextlib.closing(ParkedRows(slot)) as rows:
                yield rows


def _journal_id(path: Path) -> str:
    from prediction_service.journal.reader import JournalReader

    with contextlib.closing(JournalReader(path)) as journal:
        return journal.journal_id


def _record_id(body: bytes) -> bytes | None:
    try:
        event = decode_event(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    record_id = getattr(event, "record_id", None)
    return record_id.encode() if record_id is not None else None
