"""One transaction's worth of events on their way into the inbox: what is new is kept, what is known is only counted."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from event_backbone.events import Envelope, Erasure, Label, Prediction, Rejections, format_utc, parse_utc
from monitoring_service.row_buffer import Row
from monitoring_service.windows import RejectedRecords

_encode = msgspec.json.Encoder().encode

_INSERT_PREDICTION = """
INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (record_id) DO NOTHING
"""
_LATEST_LABEL = """
SELECT label, labelled_at FROM labels WHERE record_id = ? AND label IS NOT NULL
ORDER BY labelled_at DESC, id DESC LIMIT 1
"""
_ERASE_PREDICTION = """
UPDATE predictions SET content_hash = NULL, score = NULL, prediction = NULL, predicted_at = NULL, label = NULL,
labelled_at = NULL WHERE record_id = ? RETURNING number
"""


#: Totals with this prefix count messages that could not be read, by reason.
UNREADABLE = "unreadable:"
#: Beside the totals: reports about windows that end at this row or before it must be gone.
REPORTS_VOID_UNTIL = "reports_void_until"
#: Beside the totals: 1 while free space in the file may hold old copies of what was erased.
SCRUB_DUE = "scrub_due"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a reader has come beside the events it brings: places without an event, and what it could not read.

    ``positions`` are the highest ``seq`` by source, ``unreadable`` counts messages by reason.
    """

    positions: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)


NO_PROGRESS = Progress()


@dataclass(frozen=True, slots=True)
class Stored:
    """What a batch brought; accepted + duplicates + conflicts is the number of events given.

    ``rows``, ``rejected``, ``erased`` (row numbers) and ``rows_counted`` (predictions since the inbox began) are what
    the windows must learn.
    """

    accepted: int
    duplicates: int
    conflicts: int
    rows: Sequence[Row]
    rejected: Sequence[RejectedRecords]
    erased: Sequence[int]
    rows_counted: int
    totals: Mapping[str, int]


class Batch:
    """Collects the events of one transaction; :meth:`finish` writes the sums. Used inside that transaction only.

    Events are known by what :func:`event_backbone.events.event_id` is made of: a prediction by its ``record_id``, a
    label by ``record_id``, time and value, rejections by their id. A record is erased once, whenever that is said.
    """

    def __init__(self, db: sqlite3.Connection, received_at: float) -> None:
        self._db = db
        self._received_at = received_at
        self._totals = Counter(dict(db.execute("SELECT name, value FROM totals")))
        self._outcomes = Counter[str]()
        self._rows: dict[int, Row] = {}
        self._rejected: list[RejectedRecords] = []
        self._erased: list[int] = []
        self._positions: dict[str, int] = {}
        self._model_ids: dict[tuple[str, str, str], int] = {}
        # Erasures are rare: most batches need not ask for them record by record.
        self._may_be_erased = db.execute("SELECT 1 FROM erasures LIMIT 1").fetchone() is not None

    def take(self, envelope: Envelope) -> None:
        match envelope.event:
            case Prediction():
                outcome = self._take_prediction(envelope.event)
            case Label():
                outcome = self._take_label(envelope.event)
            case Rejections():
                outcome = self._take_rejections(envelope.event)
            case Erasure():
                outcome = self._take_erasure(envelope.event)
        self._outcomes[outcome] += 1
        self._move(envelope.source, envelope.seq)

    def note(self, progress: Progress) -> None:
        """Positions and counts that belong into the same transaction."""
        for source, seq in progress.positions.items():
            self._move(source, seq)
        for reason, messages in progress.unreadable.items():
            self._totals[UNREADABLE + reason] += messages

    def _move(self, source: str, seq: int) -> None:
        self._positions[source] = max(seq, self._positions.get(source, seq))

    def finish(self) -> Stored:
        if self._erased:
            # Whatever was written about windows until now may hold what was erased.
            self._totals[REPORTS_VOID_UNTIL] = self._totals["predictions"]
            self._totals[SCRUB_DUE] = 1
        self._totals["duplicates"] += self._outcomes["duplicate"]
        self._totals["conflicts"] += self._outcomes["conflict"]
        self._db.executemany("INSERT OR REPLACE INTO totals VALUES (?, ?)", self._totals.items())
        self._db.executemany(
            "INSERT INTO positions VALUES (?, ?, ?) "
            "ON CONFLICT (source) DO UPDATE SET seq = max(seq, excluded.seq), at = excluded.at",
            [(source, seq, self._received_at) for source, seq in self._positions.items()],
        )
        return Stored(
            accepted=self._outcomes["accepted"],
            duplicates=self._outcomes["duplicate"],
            conflicts=self._outcomes["conflict"],
            rows=list(self._rows.values()),
            rejected=self._rejected,
            erased=self._erased,
            rows_counted=self._totals["predictions"],
            totals=dict(self._totals),
        )

    # Predictions --------------------------------------------------------------------------------------------------

    def _take_prediction(self, event: Prediction) -> str:
        number = self._totals["predictions"] + 1
        erased = self._is_erased(event.record_id)
        if erased:
            values: tuple[Any, ...] = (None, None, None, None)
        else:
            values = (event.content_hash, event.score, event.prediction, event.predicted_at)
        content_hash, score, prediction, predicted_at = values
        label, labelled_at = self._db.execute(_LATEST_LABEL, (event.record_id,)).fetchone() or (None, None)
        row = (number, event.record_id, content_hash, self._model_id(event), score, prediction, predicted_at)
        cursor = self._db.execute(_INSERT_PREDICTION, (*row, self._received_at, label, labelled_at))
        if not cursor.rowcount:
            return self._known_prediction(event)
        self._totals["predictions"] = number
        if label is not None:
            self._db.execute("UPDATE labels SET waiting = 0 WHERE record_id = ?", (event.record_id,))
        if not erased:
            self._keep_record(number, event)
        return "accepted"

    def _known_prediction(self, event: Prediction) -> str:
        """The first one stands. Another content is a conflict the first time, a repetition afterwards."""
        (content_hash,) = self._db.execute(
            "SELECT content_hash FROM predictions WHERE record_id = ?", (event.record_id,)
        ).fetchone()
        if content_hash in (None, event.content_hash):
            return "duplicate"
        conflict = (event.record_id, event.content_hash, self._received_at)
        is_new = self._db.execute("INSERT INTO conflicts VALUES (?, ?, ?) ON CONFLICT DO NOTHING", conflict).rowcount
        return "conflict" if is_new else "duplicate"

    def _keep_record(self, number: int, event: Prediction) -> None:
        self._db.execute("INSERT INTO records VALUES (?, ?)", (number, _encode(event.record)))
        self._rows[number] = Row(
            number,
            event.record,
            event.score,
            event.prediction,
            event.model,
            event.bundle_sha256,
            event.predicted_at,
            self._received_at,
        )

    def _model_id(self, event: Prediction) -> int:
        key = (event.model.name, event.model.version, event.bundle_sha256)
        if key not in self._model_ids:
            self._db.execute(
                "INSERT INTO models (name, version, bundle_sha256) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", key
            )
            (self._model_ids[key],) = self._db.execute(
                "SELECT id FROM models WHERE name = ? AND version = ? AND bundle_sha256 = ?", key
            ).fetchone()
        return self._model_ids[key]

    # Labels -------------------------------------------------------------------------------------------------------

    def _take_label(self, event: Label) -> str:
        labelled_at = format_utc(parse_utc(event.labelled_at))
        erased = self._is_erased(event.record_id)
        known = self._db.execute(
            "SELECT 1 FROM labels WHERE record_id = ? AND labelled_at = ? AND (label = ? OR label IS NULL)",
            (event.record_id, labelled_at, event.label),
        ).fetchone()
        if known:
            return "duplicate"
        matched = self._db.execute(
            "UPDATE predictions SET label = ?, labelled_at = ? "
            "WHERE record_id = ? AND content_hash IS NOT NULL AND (labelled_at IS NULL OR labelled_at <= ?)",
            (event.label, labelled_at, event.record_id, labelled_at),
        ).rowcount
        waiting = not matched and not erased and not self._is_counted(event.record_id)
        self._db.execute(
            "INSERT INTO labels (record_id, labelled_at, label, received_at, waiting) VALUES (?, ?, ?, ?, ?)",
            (event.record_id, labelled_at, None if erased else event.label, self._received_at, waiting),
        )
        self._totals["labels"] += 1
        return "accepted"

    def _is_counted(self, record_id: str) -> bool:
        found = self._db.execute("SELECT 1 FROM predictions WHERE record_id = ?", (record_id,)).fetchone()
        return found is not None

    # Rejections and erasures --------------------------------------------------------------------------------------

    def _take_rejections(self, event: Rejections) -> str:
        at_row = self._totals["predictions"]
        row = (event.rejections_id, at_row, event.records, _encode(event.faults), self._received_at)
        cursor = self._db.execute(
            "INSERT INTO rejections (rejections_id, at_row, records, faults, received_at) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO NOTHING",
            row,
        )
        if not cursor.rowcount:
            return "duplicate"
        self._totals["rejected_records"] += event.records
        self._rejected.append(RejectedRecords(at_row, event.records, event.faults))
        return "accepted"

    def _take_erasure(self, event: Erasure) -> str:
        if self._is_erased(event.record_id):
            return "duplicate"
        row = (event.record_id, event.erased_at, self._received_at)
        self._db.execute("INSERT INTO erasures VALUES (?, ?, ?)", row)
        self._may_be_erased = True
        self._totals["erasures"] += 1
        self._db.execute("UPDATE labels SET label = NULL, waiting = 0 WHERE record_id = ?", (event.record_id,))
        self._db.execute("DELETE FROM conflicts WHERE record_id = ?", (event.record_id,))
        for (number,) in self._db.execute(_ERASE_PREDICTION, (event.record_id,)).fetchall():
            self._db.execute("DELETE FROM records WHERE number = ?", (number,))
            self._rows.pop(number, None)
            self._erased.append(number)
        return "accepted"

    def _is_erased(self, record_id: str) -> bool:
        if not self._may_be_erased:
            return False
        return self._db.execute("SELECT 1 FROM erasures WHERE record_id = ?", (record_id,)).fetchone() is not None
