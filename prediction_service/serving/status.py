"""Status of a replica, for ``/readyz``, ``/status`` and the lag metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import asdict

from event_backbone.events.schema import parse_utc
from event_backbone.server.serve import Draining
from prediction_service.delivery.cursors import read_relay_state
from prediction_service.inference.champion import ServingChampion
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import Journal

Result = TypeVar("Result")


class ReplicaStatus:
    """Health and ``/status`` of a replica. Thread-safe."""

    def __init__(self, journal: Journal, relay_path: Path, champion: ServingChampion, draining: Draining) -> None:
        self._journal = journal
        self._reader = JournalReader(journal.path)
        self._reading = threading.Lock()
        self._relay_path = relay_path
        self._champion = champion
        self._draining = draining

    def hangs(self) -> bool:
        """Never: a probe that is answered proves that requests are."""
        return False

    def faults(self) -> dict[str, str]:
        """Why this replica should get no requests, by what is wrong; a sink that is away is no reason."""
        checks = {
            "model": self._champion.fault if self._champion.scorer is None else None,
            "journal": "the journal is at its bound" if self._journal.is_full else None,
            "draining": "the service is stopping" if self._draining.is_set() else None,
        }
        return {name: fault for name, fault in checks.items() if fault}

    def journal(self) -> dict[str, Any]:
        rows = self._journal.row_counts()
        return {
            "id": self._journal.journal_id,
            "predictions": rows.get("prediction", 0),
            "labels": rows.get("label", 0),
            "rejections": rows.get("rejections", 0),
            "erasures": rows.get("erasure", 0),
            "bytes": self._journal.bytes_used,
            "max_bytes": self._journal.max_bytes,
            "last_seq": self.read(JournalReader.last_seq),
        }

    def sinks(self) -> dict[str, dict[str, Any]]:
        last_seq = self.read(JournalReader.last_seq)
        return {
            name: {
                "delivered_seq": sink.delivered_seq,
                "lag": max(0, last_seq - sink.delivered_seq),
                "lag_s": self._lag_s(sink.delivered_seq),
                "parked": sink.parked,
                "conflicts": sink.conflicts,
                "fault": sink.fault,
            }
            for name, sink in (read_relay_state(self._relay_path) or {}).items()
        }

    def _lag_s(self, delivered_seq: int) -> float:
        """Age of the oldest row that a sink does not have; 0 where it has all, and when the clock went back."""
        oldest = self.read(lambda reader: reader.oldest_after(delivered_seq))
        if oldest is None:
            return 0.0
        return max(0.0, round((datetime.now(UTC) - parse_utc(oldest)).total_seconds(), 3))

    def document(self) -> dict[str, Any]:
        """The body of ``/status``, beside what every process says there."""
        scorer = self._champion.scorer
        model = {"name": scorer.model.name, "version": scorer.model.version} if scorer else None
        registry_fault, shadow = self._champion.registry_fault, self._champion.shadow
        return {
            "model": model,
            "model_fault": self._champion.fault,
            "registry": {"fault": registry_fault.text if registry_fault else None},
            "shadow": asdict(shadow) if shadow else None,
            "journal": self.journal(),
            "sinks": self.sinks(),
        }

    def read(self, query: Callable[[JournalReader], Result]) -> Result:
        """Run a query on the one reading connection of this process."""
        with self._reading:
            return query(self._reader)

    def close(self) -> None:
        self._reader.close()
