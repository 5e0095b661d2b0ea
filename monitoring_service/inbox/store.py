"""The inbox: a local SQLite file that holds every event once, and the results of checks.

A batch of events, the place it brought each source to and the totals are one transaction, committed before the sender
gets its 200. Everything the service knows is rebuilt from here after a restart, so nothing is counted twice or lost.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.events.schema import Envelope, ModelRef
from event_backbone.process.files import make_folder
from event_backbone.process.sqlite import transaction
from monitoring_service.drift.verdict import Episode
from monitoring_service.inbox.retention import forget_old
from monitoring_service.inbox.row_queries import (
    arrivals_by_second,
    count_labelled,
    newest_labelled,
    rejected_records,
    window_rows,
)
from monitoring_service.inbox.schema import prepare
from monitoring_service.inbox.totals import InboxTotals
from monitoring_service.inbox.transaction import (
    NO_PROGRESS,
    REPORTS_VOID_UNTIL,
    SCRUB_DUE,
    UNREADABLE,
    InboxTransaction,
    Progress,
    Stored,
)
from monitoring_service.messages import Labelled
from monitoring_service.windows.label_delay import LabelDelays, delays_in
from monitoring_service.windows.row_buffer import WindowRow
from monitoring_service.windows.segments import SegmentReader
from monitoring_service.windows.sliding_window import RejectedRecords

LARGEST_ROW = 2**63 - 1
_NOTE_UNMATCHED = """
UPDATE labels SET waiting = 0 WHERE id IN (SELECT id FROM labels WHERE waiting AND received_at < ? LIMIT ?)
"""

#: Documents stand apart from what the inbox itself keeps.
_DOCUMENT = "document:"
_FORGET_CHECKS = "DELETE FROM checks WHERE row <= (SELECT row FROM checks ORDER BY row DESC LIMIT 1 OFFSET ?)"


class InboxUnavailableError(TryAgainLaterError):
    """The disk refuses, or another writer holds the file for too long: nothing of this was stored."""


@dataclass(frozen=True, slots=True)
class KeptCheck:
    """A check as it is kept: its point in the history (none for a failed one), where everything stands after it, and
    the episodes that began or ended with it."""

    row: int
    point: bytes | None
    state: bytes
    episodes: Sequence[Episode]


class Inbox:
    """The only writer of the inbox file.

    Durability: what a method wrote survives the death of the process when it returns, and with ``durability="power"``
    a power cut as well. Thread-safety: any thread may call anything; writers wait for each other at most
    ``patience_s``. Errors: :class:`InboxUnavailableError`, and nothing was changed.
    """

    def __init__(
        self,
        path: Path,
        case: Case,
        *,
        durability: Literal["process", "power"] = "process",
        points_kept: int = 2000,
        patience_s: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._segments = SegmentReader(case)
        self._window_rows = case.monitoring.window_rows
        self._clock = clock
        self._points_kept = points_kept
        self._patience_s = patience_s
        self._lock = threading.Lock()
        make_folder(path.parent)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
            prepare(self._db, durability, case)
        except (sqlite3.DatabaseError, ValueError) as error:
            raise SettingsError(str(path), [Fault("(file)", "inbox", f"this inbox can't be used: {error}")]) from None
        self._totals = _read_totals(self._db)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # Events -------------------------------------------------------------------------------------------------------

    def store(self, envelopes: Sequence[Envelope], progress: Progress = NO_PROGRESS) -> Stored:
        """Store what is new among the envelopes and the progress; afterwards all of them are kept, once each."""
        with self.exclusive() as db:
            with transaction(db):
                batch = InboxTransaction(db, self._clock(), self._segments, self._window_rows)
                for envelope in envelopes:
                    batch.take(envelope)
                batch.note(progress)
                stored = batch.finish()
            self._totals = dict(stored.totals)
            if stored.erased:
                # Until then the write-ahead log would still hold what was erased. It is committed either way, and
                # scrubbing does this again.
                with contextlib.suppress(sqlite3.Error):
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return stored

    def note_unmatched(self, *, received_before: float, limit: int) -> None:
        """Count labels that came before this time and whose prediction did not."""
        with self.exclusive() as db:
            with transaction(db):
                unmatched = db.execute(_NOTE_UNMATCHED, (received_before, limit)).rowcount
                db.execute(
                    "INSERT INTO totals VALUES ('unmatched_labels', ?) "
                    "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                    (unmatched,),
                )
            self._totals = _read_totals(db)

    def trim(self, *, first_row_needed: int, received_before: float, limit: int) -> None:
        """Delete records no window needs, and ids older than this time that no window needs; at most ``limit`` each."""
        with self.writing() as db:
            forget_old(db, first_row_needed, received_before, limit)

    @property
    def scrub_due(self) -> bool:
        """Whether something was erased since :meth:`scrub`."""
        return bool(self._totals.get(SCRUB_DUE))

    def scrub(self) -> None:
        """Write the file anew, so that its free space holds no old copy of what was erased.

        SQLite overwrites what is deleted, but not the copies it leaves behind when it moved rows from page to page
        before that. Everybody waits meanwhile: about a second for each 75 MB.
        """
        with self.exclusive() as db:
            db.execute("VACUUM")
            db.execute("DELETE FROM totals WHERE name = ?", (SCRUB_DUE,))
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._totals = _read_totals(db)

    @property
    def totals(self) -> InboxTotals:
        """Counts since the inbox began."""
        return InboxTotals(**{name: self._totals.get(name, 0) for name in InboxTotals.__struct_fields__})

    @property
    def unreadable(self) -> dict[str, int]:
        """Messages that could not be read since the inbox began, by reason."""
        return {
            name.removeprefix(UNREADABLE): total for name, total in self._totals.items() if name.startswith(UNREADABLE)
        }

    @property
    def label_delays(self) -> LabelDelays:
        """How late the labels came that were joined since the inbox began."""
        return delays_in(self._totals)

    @property
    def reports_void_until(self) -> int:
        """Reports about windows that end at this row or before it may hold what was erased since."""
        return self._totals.get(REPORTS_VOID_UNTIL, 0)

    def positions(self) -> dict[str, int]:
        """The highest ``seq`` that came from each source."""
        with self.exclusive() as db:
            return dict(db.execute("SELECT source, seq FROM positions"))

    # What windows are made of -------------------------------------------------------------------------------------

    def rows_from(self, number: int) -> list[WindowRow]:
        """Rows with this number and later ones, in order of arrival; erased ones are not there."""
        return self.rows_between(number, LARGEST_ROW)

    def rows_between(self, first: int, last: int) -> list[WindowRow]:
        """The rows with these numbers and those between."""
        with self.exclusive() as db:
            return window_rows(db, first, last)

    def rejected_from(self, number: int) -> list[RejectedRecords]:
        """Refused records that came with or after this row."""
        with self.exclusive() as db:
            return rejected_records(db, number)

    def labelled_rows(self, model: ModelRef, *, until_row: int, limit: int, from_row: int = 0) -> Labelled:
        """The newest rows of a model version that have a label, newest first, each with its latest label."""
        with self.exclusive() as db:
            newest = newest_labelled(db, model, from_row, until_row, limit)
        return self.as_labelled(newest)

    def as_labelled(self, rows: Sequence[tuple[Any, ...]]) -> Labelled:
        """Rows of score, prediction, label and kept segments, by column."""
        scores, predictions, labels, segments = zip(*rows, strict=True) if rows else ((), (), (), ())
        return Labelled(list(scores), list(predictions), list(labels), self._segments.columns_of(segments))

    def labelled_between(self, model: ModelRef, first_row: int, last_row: int) -> int:
        """How many rows of a model version have a label, of those with these numbers and between."""
        with self.exclusive() as db:
            return count_labelled(db, model, first_row, last_row)

    def waiting_labels(self) -> int:
        """Labels whose prediction may still come."""
        with self.exclusive() as db:
            (waiting,) = db.execute("SELECT count(*) FROM labels WHERE waiting").fetchone()
        return int(waiting)

    def arrivals_by_second(self, *, since: float) -> dict[int, int]:
        """Predictions received in each second since this time, among the newest few hundred thousand."""
        with self.exclusive() as db:
            return arrivals_by_second(db, self._totals.get("predictions", 0), since)

    # Checks -------------------------------------------------------------------------------------------------------

    def keep_check(self, check: KeptCheck) -> None:
        """Record a check, the state that follows from it and the episodes it touched, in one step."""
        with self.writing() as db:
            if check.point is not None:
                db.execute("INSERT OR REPLACE INTO checks VALUES (?, ?)", (check.row, check.point))
                db.execute(_FORGET_CHECKS, (self._points_kept,))
            db.execute("INSERT OR REPLACE INTO kept VALUES ('standing', ?)", (check.state,))
            db.executemany(
                "INSERT OR REPLACE INTO episodes VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [msgspec.structs.astuple(episode) for episode in check.episodes],
            )

    def state(self) -> bytes | None:
        """The state that :meth:`keep_check` stored last."""
        return self._kept("standing")

    def keep_document(self, name: str, body: bytes) -> None:
        """Keep a small document (kilobytes) under this name, in place of the one before."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (_DOCUMENT + name, body))

    def document(self, name: str) -> bytes | None:
        """The document that :meth:`keep_document` stored last under this name."""
        return self._kept(_DOCUMENT + name)

    def _kept(self, name: str) -> bytes | None:
        with self.exclusive() as db:
            found = db.execute("SELECT body FROM kept WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def points(self) -> list[bytes]:
        """The history, oldest first."""
        with self.exclusive() as db:
            return [body for (body,) in db.execute("SELECT point FROM checks ORDER BY row")]

    def episodes(self, *, limit: int) -> list[Episode]:
        """The newest episodes, oldest of them first."""
        query = "SELECT * FROM episodes ORDER BY confirmed_at_row DESC, rowid DESC LIMIT ?"
        with self.exclusive() as db:
            return [Episode(*found) for found in reversed(db.execute(query, (limit,)).fetchall())]

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """The file for as long as nobody else has it, for reading; raises :class:`InboxUnavailableError`."""
        if not self._lock.acquire(timeout=self._patience_s):
            raise InboxUnavailableError("the inbox is busy")
        try:
            yield self._db
        except sqlite3.Error as error:
            raise InboxUnavailableError(f"the inbox can't be used: {error}") from error
        finally:
            self._lock.release()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Like :meth:`exclusive`, and all that is written is kept in one step, or nothing of it."""
        with self.exclusive() as db, transaction(db):
            yield db


def _read_totals(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute("SELECT name, value FROM totals"))
