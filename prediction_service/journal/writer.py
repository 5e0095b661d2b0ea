"""The journal: a local SQLite file in which everything answered is kept before it is answered.

There is one writer, :class:`Journal`; the sidecar reads the same file with a connection of its own. A ``seq`` is never
given twice, so a cursor never skips a new row: whatever deletes rows writes down the highest number given so far
(``docs/adr/0003-seq-without-autoincrement.md``).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import structlog
import uuid_utils
from msgspec import Struct

from event_backbone.errors import StopError, TryAgainLaterError
from event_backbone.events.schema import Erasure, utc_now
from event_backbone.prediction_log import journal_layout as layout
from event_backbone.prediction_log.journal_layout import Entry, entry_of
from event_backbone.process.files import make_folder
from event_backbone.process.sqlite import transaction
from prediction_service.journal.reader import last_seq

log = structlog.get_logger()

#: More than ever meet in one group, and far below SQLite's limit on variables.
_ROWS_IN_ONE_INSERT = 64
#: Under constant load; three or four pages each, so that the log stays near its limit below.
_COMMITS_BETWEEN_CHECKPOINTS = 4096
#: Length of the write-ahead log from which it is made to start anew: 64 MiB in pages of 4 KiB.
_LOG_RESTART_PAGES = 16 * 1024
#: What a row costs beyond its body: its other columns and its entry in the index.
_ROW_OVERHEAD_BYTES = 250


#: What an append survives: a dead process, or a power cut as well.
Durability = Literal["process", "power"]


class JournalUnavailableError(TryAgainLaterError):
    """The journal is full, or the disk refuses: nothing was written, so nothing may be answered."""


class HeldEntry(Struct, frozen=True):
    """The entry that the journal holds under an ``event_id``: the new one, or an earlier one.

    A prediction whose ``content_hash`` is empty is an erasure's entry: the id can't be used again.
    """

    new: bool
    content_hash: str
    body: bytes


class Journal:
    """Writer of one journal file.

    Durability: when :meth:`append` returns, its entries survive the death of the process; with
    ``durability="power"`` also a power cut. All entries of one call are kept, or none.
    Thread-safety: any thread may call anything.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, durability: Durability = "process", delivered_seq: int = 0
    ) -> None:
        """``delivered_seq`` is the highest number a sink has.

        A power cut may take rows that were delivered already; their numbers must not be given to others, which would
        lie below the cursor.
        """
        self.path = path
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        # An erased record stands in the log until that is emptied; a killed predecessor may have left one there.
        self._log_must_be_emptied = True
        self._commits = self._commits_moved = self._commits_seen = 0
        make_folder(path.parent)  # SQLite syncs this folder for its own files, but none above it
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._set_up(durability)
            self.last_seq = max(last_seq(self._db), delivered_seq)
        except sqlite3.Error as error:
            raise StopError(f"{path} can't be used as a journal: {error}") from error

    def _set_up(self, durability: Durability) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        # Checkpoints move to `maintain`, off the request path; erased rows are overwritten, not only unlinked.
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.executescript(layout.SCHEMA)
        self.journal_id = self._identity()
        self._rows = Counter(dict(self._db.execute(layout.COUNT_ROWS_BY_KIND)))
        self._bytes = self._measure()

    def _identity(self) -> str:
        row = self._db.execute(layout.SELECT_JOURNAL_ID).fetchone()
        if row is None:
            row = (str(uuid_utils.uuid7()),)
            self._db.execute(layout.INSERT_IDENTITY, row)
        return str(row[0])

    # Writing ------------------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> list[HeldEntry]:
        """Keep entries; for each, in order, what is held under its ``event_id`` now.

        Raises:
            JournalUnavailableError: nothing was kept.
        """
        with self._lock, self._reported():
            if self.is_full:
                raise JournalUnavailableError(f"the journal is at its bound of {self.max_bytes} bytes")
            first_seq = self.last_seq + 1
            self.last_seq += len(entries)  # a number whose row does not come about is a gap, which readers expect
            numbered = list(enumerate(entries, first_seq))
            all_new = self._insert(numbered) == len(entries)
            return [self._new(entry) if all_new else self._held(seq, entry) for seq, entry in numbered]

    def _insert(self, numbered: Sequence[tuple[int, Entry]]) -> int:
        """How many rows were new; all are committed when this returns."""
        if len(numbered) <= _ROWS_IN_ONE_INSERT:
            return self._insert_at_once(numbered)  # one statement commits by itself
        with self._transaction():
            starts = range(0, len(numbered), _ROWS_IN_ONE_INSERT)
            return sum(self._insert_at_once(numbered[start : start + _ROWS_IN_ONE_INSERT]) for start in starts)

    def _insert_at_once(self, numbered: Sequence[tuple[int, Entry]]) -> int:
        # One statement for all rows: each call into SQLite lets go of the interpreter lock, and under load many threads
        # stand in line for it.
        self._commits += 1
        return self._db.execute(layout.insert_statement(len(numbered)), layout.insert_values(numbered)).rowcount

    def _held(self, seq: int, entry: Entry) -> HeldEntry:
        """What is kept under the entry's identity: itself, if it has the number that was meant for it."""
        held_seq, digest, body = self._db.execute(layout.SELECT_HELD, (entry.event_id,)).fetchone()
        return self._new(entry) if held_seq == seq else HeldEntry(False, digest, body)

    def _new(self, entry: Entry) -> HeldEntry:
        self._rows[entry.kind] += 1
        self._bytes += len(entry.body) + _ROW_OVERHEAD_BYTES
        return HeldEntry(True, entry.content_hash, entry.body)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._commits += 1
        with transaction(self._db):
            yield

    def erase(self, record_id: str, case: str) -> int:
        """Remove what is kept about a record, and keep one entry that tells the sinks to do the same.

        The entry is made whether anything is kept here or not, because a sink may have what this journal no longer has.
        While it stands, the id can't be used again.

        Returns:
            How many predictions and labels were removed.
        """
        keys = layout.record_keys(record_id)
        erasure = entry_of(Erasure(record_id=record_id, case=case, erased_at=utc_now()))
        with self._lock, self._reported():
            with self._transaction():
                doomed = self._db.execute(layout.SELECT_RECORD, keys).fetchall()
                self._db.execute(layout.DELETE_RECORD, keys)
                self.last_seq += 1
                self._insert_at_once([(self.last_seq, erasure)])
                self._note_given_seq()
            self._log_must_be_emptied = True
            self._forget(doomed)
            self._new(erasure)
        return sum(kind != "erasure" for kind, _ in doomed)

    def _forget(self, doomed: Sequence[tuple[str, int]]) -> None:
        """Rows are gone: their kinds and the lengths of their bodies."""
        self._rows -= Counter(kind for kind, _ in doomed)
        self._bytes -= sum(length + _ROW_OVERHEAD_BYTES for _, length in doomed)

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            log.error("journal_refuses", error=str(error))
            raise JournalUnavailableError(f"the journal can't be written: {error}") from error

    # Keeping it small ---------------------------------------------------------------------------------------------

    def trim(self, *, delivered_seq: int, older_than: str, above_bytes: int, at_most: int = 500) -> int:
        """Delete the oldest rows that every sink has (``seq <= delivered_seq``) and that are older than a moment, or
        any of them while the journal is larger than ``above_bytes``.

        Returns:
            How many rows went, at most ``at_most``: callers repeat, so that appends never wait long.
        """
        with self._lock, self._reported():
            with self._transaction():
                too_large = self._bytes > above_bytes
                oldest = self._db.execute(layout.SELECT_OLDEST, (delivered_seq, at_most))
                doomed = [row for row in oldest if too_large or row[2] < older_than]
                if doomed:
                    self._db.executemany(layout.DELETE_ROW, [(row[0],) for row in doomed])
                    self._note_given_seq()
            self._forget([(row[1], row[3]) for row in doomed])
        return len(doomed)

    def _note_given_seq(self) -> None:
        self._db.execute(layout.NOTE_GIVEN_SEQ, (self.last_seq,))

    def maintain(self) -> None:
        """Checkpoint the write-ahead log if it is time, and measure the file; called by a thread each second."""
        if self._checkpoint_is_due():
            self._checkpoint()
        with self._lock:
            self._bytes = self._measure()

    def _checkpoint_is_due(self) -> bool:
        """After many commits, or in a pause: while a checkpoint waits for the disk, appends are slower."""
        waiting, paused = self._commits - self._commits_moved, self._commits == self._commits_seen
        self._commits_seen = self._commits
        return self._log_must_be_emptied or waiting >= _COMMITS_BETWEEN_CHECKPOINTS or (paused and waiting > 0)

    def _checkpoint(self) -> None:
        self._commits_moved = self._commits
        # On a connection of its own: a checkpoint on the writer's would hold every append for the length of its fsyncs.
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=0.1)) as beside:
            _, log_pages, _ = beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with self._lock:
                if self._log_must_be_emptied:
                    # Not possible while somebody reads; then the next time.
                    busy, _, _ = beside.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                    self._log_must_be_emptied = bool(busy)
                elif log_pages > _LOG_RESTART_PAGES:
                    # Under load there is always something new in the log, so it never starts anew by itself. With
                    # appends held back, the little that came meanwhile is moved, and the next append starts it anew.
                    beside.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _measure(self) -> int:
        """Bytes in use: pages without the free ones, and the write-ahead log not counted twice."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * size)

    # Reading ------------------------------------------------------------------------------------------------------

    @property
    def bytes_used(self) -> int:
        return self._bytes

    @property
    def is_full(self) -> bool:
        return self._bytes >= self.max_bytes

    def row_counts(self) -> dict[str, int]:
        """Rows held now, by kind."""
        return dict(self._rows)

    def close(self) -> None:
        """Move everything from the write-ahead log into the file and close it."""
        with self._lock:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()
