"""Backup and restore of journals while they are written; no ``seq`` is given twice.

A journal that came back as it was would give numbers again that its lost rows had. Cursors and sinks have passed them,
so new rows would look delivered. Therefore a copy comes back as *another* journal: with a new identity, in a slot of
its own, and without cursors. Its rows are delivered once more, which changes nothing where they are known already.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uuid_utils

from event_backbone.errors import Fault, SettingsError, StopError, TryAgainLaterError
from event_backbone.prediction_log import journal_layout as layout
from event_backbone.process.file_lock import HeldLock, try_lock
from event_backbone.process.files import make_folder, put_in_place
from prediction_service.journal.slots import JOURNAL_FILE, MAX_SLOTS, RELAY_FILE, slots_with_a_journal


@dataclass(frozen=True, slots=True)
class Copied:
    """A journal's copy, or a journal restored from one."""

    path: Path
    rows: int


def back_up_journals(journals_dir: Path, destination: Path) -> list[Copied]:
    """Copy every journal into a folder that must be empty or missing, as ``NN.sqlite``; servers go on meanwhile.

    A copy is what its journal held at one moment, and is on disk when this returns.

    Raises:
        SettingsError: there is no journal, or the folder holds something.
        TryAgainLaterError: a journal or the folder can't be read or written.
    """
    slots = slots_with_a_journal(journals_dir)
    if not slots:
        raise SettingsError("backup", [Fault(str(journals_dir), "empty", "holds no journal")])
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise SettingsError("backup", [Fault(str(destination), "taken", "must be an empty folder, or not there yet")])
    try:
        make_folder(destination)
        return [_back_up(slot / JOURNAL_FILE, destination / f"{slot.name}.sqlite") for slot in slots]
    except (sqlite3.Error, OSError) as error:
        raise TryAgainLaterError(f"the backup is not complete: {error}") from error


def _back_up(journal: Path, copy: Path) -> Copied:
    unfinished = copy.with_suffix(".unfinished")
    with contextlib.closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True)) as db:
        db.execute("VACUUM INTO ?", (str(unfinished),))
    rows = _checked(unfinished)
    put_in_place(unfinished, copy)
    return Copied(copy, rows)


def restore_journals(copies: Sequence[Path], journals_dir: Path) -> list[Copied]:
    """Make a new journal of each copy; a sidecar delivers it, and the next server that starts may write it on.

    Raises:
        SettingsError: naming every file that is no copy of a journal; nothing was made.
    """
    faults = [fault for copy in copies if (fault := _fault_in(copy)) is not None]
    if faults:
        raise SettingsError("restore", faults)
    return [_restore(copy, journals_dir) for copy in copies]


def _fault_in(copy: Path) -> Fault | None:
    try:
        _checked(copy)
    except (sqlite3.Error, OSError) as error:
        return Fault(str(copy), "file", f"is no copy of a journal: {error}")
    return None


def _restore(copy: Path, journals_dir: Path) -> Copied:
    slot, lock = _empty_slot(journals_dir)
    try:
        unfinished = slot / "restoring.sqlite"
        shutil.copyfile(copy, unfinished)
        with contextlib.closing(sqlite3.connect(unfinished)) as db, db:
            db.execute(layout.RENAME_JOURNAL, (str(uuid_utils.uuid7()),))
        rows = _checked(unfinished)
        put_in_place(unfinished, slot / JOURNAL_FILE)
        return Copied(slot / JOURNAL_FILE, rows)
    finally:
        lock.release()


def _empty_slot(journals_dir: Path) -> tuple[Path, HeldLock]:
    """A slot that has never held a journal: the others' rows are delivered from there."""
    for number in range(MAX_SLOTS):
        slot = journals_dir / f"{number:02d}"
        if (slot / JOURNAL_FILE).exists() or (slot / RELAY_FILE).exists():
            continue
        lock = try_lock(slot / "writer.lock")
        if lock is not None:
            return slot, lock
    raise StopError(f"all {MAX_SLOTS} journal slots below {journals_dir} are taken")


def _checked(copy: Path) -> int:
    """Rows of a journal's copy; raises :class:`sqlite3.Error` when it is damaged or something else."""
    with contextlib.closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)) as db:
        [(verdict,), *_] = db.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        db.execute(layout.SELECT_LAST_SEQ).fetchone()
        db.execute(layout.SELECT_JOURNAL_ID).fetchone()
        return int(db.execute(layout.COUNT_ROWS).fetchone()[0])
