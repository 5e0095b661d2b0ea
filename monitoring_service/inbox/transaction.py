"""A transaction of the inbox: new events are stored, known ones only counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from event_backbone.events.schema import Envelope, Erasure, Label, Prediction, Rejections, Shadow
from monitoring_service.inbox.labels import store_labels
from monitoring_service.inbox.predictions import NewPredictions
from monitoring_service.inbox.running_totals import BatchTotals
from monitoring_service.inbox.shadows import store_shadows
from monitoring_service.windows.row_buffer import WindowRow
from monitoring_service.windows.segments import SegmentReader
from monitoring_service.windows.sliding_window import RejectedRecords

_encode = msgspec.json.Encoder().encode

_ERASE_PREDICTION = """
UPDATE predictions SET content_hash = NULL, score = NULL, prediction = NULL, predicted_at = NULL, label = NULL,
labelled_at = NULL, segments = NULL WHERE record_id = ? RETURNING number
"""


#: Totals with this prefix count messages that could not be read, by reason.
UNREADABLE = "unreadable:"
#: Beside the totals: reports about windows that end at this row or before it must be gone.
REPORTS_VOID_UNTIL = "reports_void_until"
#: Beside the totals: 1 while free space in the file may hold old copies of what was erased.
SCRUB_DUE = "scrub_due"


@dataclass(frozen=True, slots=True)
class Progress:
    """A reader's progress beside the events: positions without an event, and unreadable messages.

    ``positions`` are the highest ``seq`` by source, ``unreadable`` counts messages by reason.
    """

    positions: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)


NO_PROGRESS = Progress()


@dataclass(frozen=True, slots=True)
class Stored:
    """Outcome of a batch; accepted + duplicates + conflicts is the number of events given.

    ``rows``, ``rejected``, ``erased`` (row numbers) and ``rows_counted`` (predictions since the inbox began) are what
    the windows must learn.
    """

    accepted: int
    duplicates: int
    conflicts: int
    rows: Sequence[WindowRow]
    rejected: Sequence[RejectedRecords]
    erased: Sequence[int]
    rows_counted: int
    totals: Mapping[str, int]


class InboxTransaction:
    """Collects the events of one transaction; :meth:`finish` writes them. Used inside that transaction only.

    Events are known by what :func:`~event_backbone.events.schema.event_id` is made of: a prediction by its
    ``record_id``, a label by ``record_id``, time and value, rejections by their id. A record is erased once, whenever
    that is said.

    Predictions and labels are written in runs, which costs half of what one after the other does: it makes no
    difference which of the two came first. Rejections need the predictions before them, erasures need both.
    """

    def __init__(self, db: sqlite3.Connection, received_at: float, segments: SegmentReader, window_rows: int) -> None:
        self._db = db
        self._batch_totals = BatchTotals(db, received_at, segments, window_rows)
        self._new_predictions = NewPredictions(self._batch_totals)
        self._predictions: list[Prediction] = []
        self._labels: list[Label] = []
        self._shadows: list[Shadow] = []
        self._rejected: list[RejectedRecords] = []
        self._erased: list[int] = []
        self._positions: dict[str, int] = {}

    def take(self, envelope: Envelope) -> None:
        match envelope.event:
            case Prediction():
                self._predictions.append(envelope.event)
            case Label():
                self._labels.append(envelope.event)
            case Rejections():
                self._take_rejections(envelope.event)
            case Shadow():
                self._shadows.append(envelope.event)
            case Erasure():
                self._take_erasure(envelope.event)
        self._move(envelope.source, envelope.seq)

    def note(self, progress: Progress) -> None:
        """Add positions and counts to the same transaction."""
        for source, seq in progress.positions.items():
            self._move(source, seq)
        for reason, messages in progress.unreadable.items():
            self._batch_totals.totals[UNREADABLE + reason] += messages

    def _move(self, source: str, seq: int) -> None:
        if seq >= self._positions.get(source, seq):
            self._positions[source] = seq

    def finish(self) -> Stored:
        self._write_predictions()
        self._write_labels()
        store_shadows(self._batch_totals, self._shadows)
        batch_totals, outcomes = self._batch_totals, self._batch_totals.outcomes
        if self._erased:
            # Whatever was written about windows until now may hold what was erased.
            batch_totals.totals[REPORTS_VOID_UNTIL] = batch_totals.totals["predictions"]
            batch_totals.totals[SCRUB_DUE] = 1
        batch_totals.totals["duplicates"] += outcomes["duplicate"]
        batch_totals.totals["conflicts"] += outcomes["conflict"]
        batch_totals.write()
        self._db.executemany(
            "INSERT INTO positions VALUES (?, ?, ?) "
            "ON CONFLICT (source) DO UPDATE SET seq = max(seq, excluded.seq), at = excluded.at",
            [(source, seq, batch_totals.received_at) for source, seq in self._positions.items()],
        )
        return Stored(
            accepted=outcomes["accepted"],
            duplicates=outcomes["duplicate"],
            conflicts=outcomes["conflict"],
            rows=list(batch_totals.rows.values()),
            rejected=self._rejected,
            erased=self._erased,
            rows_counted=batch_totals.totals["predictions"],
            totals=dict(batch_totals.totals),
        )

    def _write_predictions(self) -> None:
        if self._predictions:
            self._new_predictions.store(self._predictions)
            self._predictions = []

    def _write_labels(self) -> None:
        if self._labels:
            store_labels(self._batch_totals, self._labels)
            self._labels = []

    def _take_rejections(self, event: Rejections) -> None:
        self._write_predictions()
        batch_totals, at_row = self._batch_totals, self._batch_totals.totals["predictions"]
        row = (event.rejections_id, at_row, event.records, _encode(event.faults), batch_totals.received_at)
        cursor = self._db.execute(
            "INSERT INTO rejections (rejections_id, at_row, records, faults, received_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            row,
        )
        if not cursor.rowcount:
            batch_totals.outcomes["duplicate"] += 1
            return
        batch_totals.outcomes["accepted"] += 1
        batch_totals.totals["rejected_records"] += event.records
        self._rejected.append(RejectedRecords(at_row, event.records, event.faults))

    def _take_erasure(self, event: Erasure) -> None:
        self._write_predictions()
        self._write_labels()
        batch_totals, record_id = self._batch_totals, event.record_id
        if batch_totals.erased_among([record_id]):
            batch_totals.outcomes["duplicate"] += 1
            return
        self._db.execute(
            "INSERT INTO erasures VALUES (?, ?, ?)", (record_id, event.erased_at, batch_totals.received_at)
        )
        batch_totals.may_be_erased = True
        batch_totals.outcomes["accepted"] += 1
        batch_totals.totals["erasures"] += 1
        self._db.execute("UPDATE labels SET label = NULL, waiting = 0 WHERE record_id = ?", (record_id,))
        self._db.execute("DELETE FROM conflicts WHERE record_id = ?", (record_id,))
        self._db.execute("DELETE FROM shadows WHERE record_id = ?", (record_id,))
        for (number,) in self._db.execute(_ERASE_PREDICTION, (record_id,)).fetchall():
            self._db.execute("DELETE FROM records WHERE number = ?", (number,))
            batch_totals.rows.pop(number, None)
            batch_totals.note_changed(number)
            self._erased.append(number)
