"""Storing of shadow predictions in the inbox: once for each record and model version, joined when they are read."""

from __future__ import annotations

from collections.abc import Sequence

from event_backbone.events.schema import Shadow
from monitoring_service.inbox.running_totals import BatchTotals

_INSERT = """
INSERT INTO shadows (record_id, model, content_hash, score, prediction, received_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""


def store_shadows(batch_totals: BatchTotals, events: Sequence[Shadow]) -> None:
    """What is known is a duplicate, and nothing is kept of what was erased."""
    erased = batch_totals.erased_among(event.record_id for event in events)
    rows = [
        (
            event.record_id,
            batch_totals.model_id(event),
            event.content_hash,
            event.score,
            event.prediction,
            batch_totals.received_at,
        )
        for event in events
        if event.record_id not in erased
    ]
    before = batch_totals.db.total_changes
    batch_totals.db.executemany(_INSERT, rows)
    new = batch_totals.db.total_changes - before
    batch_totals.totals["shadows"] += new
    batch_totals.outcomes["accepted"] += new
    batch_totals.outcomes["duplicate"] += len(events) - new
