"""What a shadow says, on its way into the inbox: once for each record and model version, joined when it is read."""

from __future__ import annotations

from collections.abc import Sequence

from event_backbone.events.schema import Shadow
from monitoring_service.inbox.running_totals import BatchTotals

_INSERT = """
INSERT INTO shadows (record_id, model, content_hash, score, prediction, received_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING
"""


def store_shadows(ledger: BatchTotals, events: Sequence[Shadow]) -> None:
    """What is known is a duplicate, and nothing is kept of what was erased."""
    erased = ledger.erased_among(event.record_id for event in events)
    rows = [
        (event.record_id, ledger.model_id(event), event.content_hash, event.score, event.prediction, ledger.received_at)
        for event in events
        if event.record_id not in erased
    ]
    before = ledger.db.total_changes
    ledger.db.executemany(_INSERT, rows)
    new = ledger.db.total_changes - before
    ledger.totals["shadows"] += new
    ledger.outcomes["accepted"] += new
    ledger.outcomes["duplicate"] += len(events) - new
