"""Storing of labels in the inbox: each is kept, and the latest of a record is joined to its prediction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from event_backbone.events.schema import Label, format_utc, parse_utc
from monitoring_service.inbox.running_totals import BatchTotals, as_json
from monitoring_service.windows.label_delay import count_delay

_KNOWN = """
SELECT record_id, labelled_at, label FROM labels WHERE record_id IN (SELECT value FROM json_each(?))
"""
_PREDICTED = """
SELECT record_id, number, predicted_at, labelled_at, label FROM predictions
WHERE record_id IN (SELECT value FROM json_each(?))
"""
_INSERT = "INSERT INTO labels (record_id, labelled_at, label, received_at, waiting) VALUES (?, ?, ?, ?, ?)"
#: What :func:`.format_utc` writes; most times come like this and need not be read.
_AS_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def store_labels(batch_totals: BatchTotals, events: Sequence[Label]) -> None:
    """One that is known is a duplicate, one for what was erased is kept without its value.

    The latest of a record counts, and of two with one time the larger, so it never matters which came first.
    """
    db, asked = batch_totals.db, as_json({event.record_id for event in events})
    known: dict[tuple[str, str], list[Any]] = {}
    for record_id, labelled_at, label in db.execute(_KNOWN, (asked,)):
        known.setdefault((record_id, labelled_at), []).append(label)
    predicted = {found[0]: found[1:] for found in db.execute(_PREDICTED, (asked,))}
    erased = batch_totals.erased_among(event.record_id for event in events)
    kept, joined = [], {}
    for event in events:
        record_id, labelled_at = event.record_id, _in_utc(event.labelled_at)
        labels = known.setdefault((record_id, labelled_at), [])
        if event.label in labels or None in labels:
            batch_totals.outcomes["duplicate"] += 1
            continue
        label = None if record_id in erased else event.label
        labels.append(label)
        number, predicted_at, *last = predicted.get(record_id, (None, None, None, None))
        is_waiting = number is None and label is not None
        kept.append((record_id, labelled_at, label, batch_totals.received_at, is_waiting))
        # An erased prediction has lost its time.
        if predicted_at is not None:
            count_delay(batch_totals.totals, predicted_at, labelled_at)
            if last == [None, None] or last < [labelled_at, label]:
                predicted[record_id] = (number, predicted_at, labelled_at, label)
                joined[number] = (label, labelled_at, number)
    db.executemany(_INSERT, kept)
    db.executemany("UPDATE predictions SET label = ?, labelled_at = ? WHERE number = ?", joined.values())
    for number in joined:
        batch_totals.note_changed(number)
    batch_totals.totals["labels"] += len(kept)
    batch_totals.outcomes["accepted"] += len(kept)


def _in_utc(text: str) -> str:
    """The time in the one form that is compared as text."""
    return text if _AS_WRITTEN.fullmatch(text) else format_utc(parse_utc(text))
