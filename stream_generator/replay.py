"""Recorded streams: a journal, or a JSONL file, read in the order in which it was recorded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from event_backbone.errors import Fault, SettingsError
from event_backbone.events import Label, Prediction, decode_event, format_utc, parse_utc
from stream_generator.pacing import RecordedPace
from stream_generator.planning import Outgoing, request_body
from stream_generator.records import listed, read_lines

_SQLITE_MAGIC = b"SQLite format 3\x00"
_PREDICTIONS = "FROM entries WHERE kind = 'prediction' AND appended_at >= ? AND appended_at < ? ORDER BY seq"
# ';' is the character after ':', so the range holds every label of the record.
_LABELS = "SELECT body FROM entries WHERE event_id > ? AND event_id < ?"


class Recorded(Struct, frozen=True):
    """One recorded request. ``at`` is an RFC 3339 time; without a ``record_id`` it gets a new one."""

    record: dict[str, Any]
    label: str | float | None = None
    record_id: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since``, included, to ``until``, not included; ``None`` is open."""

    since: datetime | None = None
    until: datetime | None = None

    def contains(self, moment: datetime) -> bool:
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def as_text(self) -> tuple[str, str]:
        """Limits that sort as the journal's times do."""
        return (
            "" if self.since is None else format_utc(self.since),
            "~" if self.until is None else format_utc(self.until),
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file holds of a period; ``items`` can be read once."""

    total: int
    items: Iterator[Recorded]


def open_recording(path: Path, period: Period, *, needs_times: bool) -> Recording:
    """Read a journal or a JSONL file; raise :class:`SettingsError` when it is neither.

    ``needs_times`` makes a line without ``at`` a fault.
    """
    try:
        with path.open("rb") as file:
            is_journal = file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError as error:
        message = (error.strerror or "can not be read").lower()
        raise SettingsError(str(path), [Fault("--from", "unreadable", message)]) from None
    return _open_journal(path, period) if is_journal else _open_lines(path, period, needs_times)


def _open_journal(path: Path, period: Period) -> Recording:
    try:
        # Read from whichever thread takes the next item, one at a time.
        journal = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        (total,) = journal.execute(f"SELECT count(*) {_PREDICTIONS}", period.as_text()).fetchone()
    except sqlite3.Error as error:
        raise SettingsError(str(path), [Fault("--from", "journal", f"is no readable journal: {error}")]) from None
    return Recording(total, _journal_items(journal, period))


def _journal_items(journal: sqlite3.Connection, period: Period) -> Iterator[Recorded]:
    with closing(journal):
        for (body,) in journal.execute(f"SELECT body {_PREDICTIONS}", period.as_text()):
            event = decode_event(body)
            if isinstance(event, Prediction):
                label = _latest_label(journal, event.record_id)
                yield Recorded(event.record, label, event.record_id, event.predicted_at)


def _latest_label(journal: sqlite3.Connection, record_id: str) -> str | float | None:
    bodies = journal.execute(_LABELS, (f"label:{record_id}:", f"label:{record_id};"))
    events = (decode_event(body) for (body,) in bodies)
    # An id may hold a colon: the range of "a" has the labels of "a:b" as well.
    labels = [event for event in events if isinstance(event, Label) and event.record_id == record_id]
    return max(labels, key=lambda label: label.labelled_at).label if labels else None


_decode_recorded = msgspec.json.Decoder(Recorded).decode


def _open_lines(path: Path, period: Period, needs_times: bool) -> Recording:
    needs_times = needs_times or period != Period()
    kept, faults = [], []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            recorded = _decode_recorded(line)
            if _is_in(period, recorded, needs_times):
                kept.append(recorded)
        except (ValueError, UnicodeDecodeError) as error:
            faults.append(Fault(f"line {number}", "recorded", str(error)))
    if faults:
        raise SettingsError(str(path), listed(faults))
    return Recording(len(kept), iter(kept))


def _is_in(period: Period, recorded: Recorded, needs_times: bool) -> bool:
    if recorded.at is None:
        if needs_times:
            raise ValueError("has no time `at`; use --speed max without --since and --until")
        return True
    return period.contains(parse_utc(recorded.at))


def replayed(
    items: Iterable[Recorded], *, speed: float | None, run_id: str, new_ids: bool, send_labels: bool
) -> Iterator[Outgoing]:
    """Recorded requests as they will be sent: ``speed`` times as fast as recorded, ``None`` as fast as possible."""
    pace = RecordedPace(speed)
    for index, recorded in enumerate(items):
        own_id = None if new_ids else recorded.record_id
        record_id = own_id or f"{run_id}-{index}"
        due_s = None if recorded.at is None else pace.due_s(parse_utc(recorded.at).timestamp())
        label = recorded.label if send_labels else None
        yield Outgoing(record_id, request_body(record_id, recorded.record), due_s, label)
