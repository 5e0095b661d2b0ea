"""Maintenance of the journal in the server: checkpoints, trimming, and flushing of rejection counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import format_utc
from event_backbone.prediction_log.journal_layout import entry_of
from prediction_service.delivery.cursors import SHADOW_SUFFIX, read_relay_state
from prediction_service.inference.rejections import RejectionLog
from prediction_service.journal.writer import Journal

log = structlog.get_logger()

#: No ``seq`` is above it: where no sink is named in the settings, nobody waits for a row.
_EVERYTHING = 2**63 - 1


class JournalMaintenance:
    """Checkpoints and trims one journal."""

    def __init__(self, journal: Journal, relay_path: Path, *, retention_s: float, retention_bytes: int) -> None:
        self._journal = journal
        self._relay_path = relay_path
        self._retention = timedelta(seconds=retention_s)
        self._retention_bytes = retention_bytes

    def __call__(self) -> None:
        self._trim()
        self._journal.maintain()

    def _trim(self) -> None:
        """Rows go only when every sink has them; without a relay state nothing goes.

        A shadow that is slow is waited for until the journal is as large as it may stay, and no longer: it must never
        fill it.
        """
        sinks = read_relay_state(self._relay_path)
        if sinks is None:
            return
        is_large = self._journal.bytes_used > self._retention_bytes
        waited_for = [sink for name, sink in sinks.items() if not (is_large and name.endswith(SHADOW_SUFFIX))]
        delivered_seq = min((sink.delivered_seq for sink in waited_for), default=_EVERYTHING)
        older_than = format_utc(datetime.now(UTC) - self._retention)
        while self._journal.trim(delivered_seq=delivered_seq, older_than=older_than, above_bytes=self._retention_bytes):
            continue


def flush_rejections(rejections: RejectionLog, journal: Journal) -> None:
    """Append the rejections since the last call as one entry; while the journal is full they are kept for the next."""
    event = rejections.take()
    if event is None:
        return
    try:
        journal.append([entry_of(event)])
    except TryAgainLaterError:
        rejections.put_back(event)
