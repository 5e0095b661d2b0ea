"""Storing of predictions in the inbox: each ``record_id`` is counted once, and joined to the labels before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from event_backbone.events.schema import Prediction
from monitoring_service.inbox.running_totals import BatchTotals, as_json
from monitoring_service.windows.label_delay import count_delay
from monitoring_service.windows.row_buffer import WindowRow

_encode = msgspec.json.Encoder().encode

_KNOWN = "SELECT record_id, content_hash FROM predictions WHERE record_id IN (SELECT value FROM json_each(?))"
_LABELS = """
SELECT record_id, label, labelled_at FROM labels
WHERE record_id IN (SELECT value FROM json_each(?)) AND label IS NOT NULL ORDER BY labelled_at, label
"""
_INSERT = "INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class NewPredictions:
    """Stores consecutive predictions of a batch."""

    def __init__(self, batch_totals: BatchTotals) -> None:
        self._batch_totals = batch_totals

    def store(self, events: Sequence[Prediction]) -> None:
        """In this order; what is known is counted as a duplicate or kept as a conflict."""
        batch_totals, db = self._batch_totals, self._batch_totals.db
        asked = as_json([event.record_id for event in events])
        known: dict[str, str | None] = dict(db.execute(_KNOWN, (asked,)))
        labels: dict[str, list[tuple[Any, str]]] = {}
        for record_id, label, labelled_at in db.execute(_LABELS, (asked,)):
            labels.setdefault(record_id, []).append((label, labelled_at))
        erased = batch_totals.erased_among(event.record_id for event in events)
        rows, records = [], []
        for event in events:
            if event.record_id in known:
                self._count_known(event, known[event.record_id])
                continue
            batch_totals.totals["predictions"] += 1
            batch_totals.outcomes["accepted"] += 1
            number = batch_totals.totals["predictions"]
            batch_totals.note_changed(number)
            if event.record_id in erased:
                known[event.record_id] = None
                rows.append(self._erased_row(number, event))
                continue
            known[event.record_id] = event.content_hash
            rows.append(self._row(number, event, labels.get(event.record_id, ())))
            records.append((number, _encode(event.record)))
            self._note_row(number, event)
        db.executemany(_INSERT, rows)
        db.executemany("INSERT INTO records VALUES (?, ?)", records)
        db.executemany("UPDATE labels SET waiting = 0 WHERE record_id = ?", [(record_id,) for record_id in labels])

    def _count_known(self, event: Prediction, content_hash: str | None) -> None:
        """The first one stands. Another content is a conflict the first time, a repetition afterwards."""
        batch_totals = self._batch_totals
        outcome = "duplicate"
        if content_hash not in (None, event.content_hash):
            conflict = (event.record_id, event.content_hash, batch_totals.received_at)
            if batch_totals.db.execute(
                "INSERT INTO conflicts VALUES (?, ?, ?) ON CONFLICT DO NOTHING", conflict
            ).rowcount:
                outcome = "conflict"
        batch_totals.outcomes[outcome] += 1

    def _row(self, number: int, event: Prediction, labels: Sequence[tuple[Any, str]]) -> tuple[Any, ...]:
        """``labels`` are those that came before, the latest last."""
        for _, each_at in labels:
            count_delay(self._batch_totals.totals, event.predicted_at, each_at)
        label, labelled_at = labels[-1] if labels else (None, None)
        return (
            number,
            event.record_id,
            event.content_hash,
            self._batch_totals.model_id(event),
            event.score,
            event.prediction,
            event.predicted_at,
            self._batch_totals.received_at,
            label,
            labelled_at,
            self._batch_totals.segments.text_of(event.record),
        )

    def _erased_row(self, number: int, event: Prediction) -> tuple[Any, ...]:
        batch_totals, content = self._batch_totals, (None,) * 3
        return (
            number,
            event.record_id,
            None,
            batch_totals.model_id(event),
            *content,
            batch_totals.received_at,
            *content,
        )

    def _note_row(self, number: int, event: Prediction) -> None:
        self._batch_totals.rows[number] = WindowRow(
            number,
            event.record,
            event.score,
            event.prediction,
            event.model,
            event.bundle_sha256,
            event.predicted_at,
            self._batch_totals.received_at,
        )
