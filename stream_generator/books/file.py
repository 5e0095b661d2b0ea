"""The books' file: one JSON object a line, appended before a record is sent and after it is answered."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.errors import Fault, SettingsError, StopError


class BookedRun(Struct, frozen=True, tag_field="entry", tag="run"):
    """The start of a run. ``counted_before``: predictions that monitoring had counted then, where it was asked."""

    run_id: str
    case: str
    target: str
    started_at: str
    counted_before: int | None = None


class BookedRecord(Struct, frozen=True, tag_field="entry", tag="sent"):
    """A record that may have arrived from now on; ``record_hash`` is the digest of its content."""

    record_id: str
    record_hash: str


class BookedAnswer(Struct, frozen=True, tag_field="entry", tag="answered"):
    """An answer that came; ``answer_hash`` is ``None`` where it says only that the record was taken."""

    record_id: str
    answer_hash: str | None = None


BookEntry = BookedRun | BookedRecord | BookedAnswer
_decode_entry: Callable[[bytes], BookEntry] = bounded_decoder(BookEntry)
_encode = msgspec.json.Encoder().encode


class BooksWriter:
    """Appends entries; thread-safe.

    What :meth:`write` has written outlives the death of this process, though not a power cut.
    """

    def __init__(self, path: Path) -> None:
        """Raises :class:`SettingsError` when the file can't be written."""
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, "unwritable", error) from None
        self._end_torn_line()

    def write(self, entries: Iterable[BookEntry]) -> None:
        """Raises :class:`StopError` when the disk refuses: what is not in the books must not be sent."""
        lines = b"".join(_encode(entry) + b"\n" for entry in entries)
        with self._lock:
            self._append(lines)

    def close(self) -> None:
        os.close(self._descriptor)

    def _end_torn_line(self) -> None:
        """A run that was killed, or met a full disk, may have left a part of a line."""
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            self._append(b"\n")

    def _append(self, lines: bytes) -> None:
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
        except OSError as error:
            raise StopError(f"{self._path}: {(error.strerror or 'can not be written').lower()}") from None


@dataclass(slots=True)
class RecordInBooks:
    """One record: the digests of its content, and of every answer to it."""

    record_hash: str
    answers: set[str | None] = field(default_factory=set)

    @property
    def is_answered(self) -> bool:
        return bool(self.answers)


@dataclass(slots=True)
class Books:
    """A file's entries by record. ``torn_lines`` were begun by a run that died while it wrote them."""

    runs: list[BookedRun]
    records: dict[str, RecordInBooks]
    torn_lines: int

    @property
    def answered(self) -> int:
        return sum(record.is_answered for record in self.records.values())

    def add(self, entry: BookEntry) -> None:
        match entry:
            case BookedRun():
                self.runs.append(entry)
            case BookedRecord():
                self.records.setdefault(entry.record_id, RecordInBooks(entry.record_hash))
            case BookedAnswer() if entry.record_id in self.records:
                self.records[entry.record_id].answers.add(entry.answer_hash)


def read_books(path: Path, case: str) -> Books:
    """Raises :class:`SettingsError` when it can't be read, or is no books of ``case``."""
    books = Books([], {}, 0)
    try:
        for line in _lines(path):
            try:
                books.add(_decode_entry(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                books.torn_lines += 1
    except OSError as error:
        raise _unusable(path, "unreadable", error) from None
    others = {run.case for run in books.runs} - {case}
    if others or not books.runs:
        message = f"are of case {min(others)}, not of {case}" if others else "hold no run: are these books?"
        raise SettingsError(str(path), [Fault("BOOKS", "books", message)])
    return books


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _unusable(path: Path, reason: str, error: OSError) -> SettingsError:
    return SettingsError(str(path), [Fault("BOOKS", reason, (error.strerror or "can not be used").lower())])
