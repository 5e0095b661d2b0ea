"""Counts of rejections: for the metrics at once, for the journal once a second."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

import uuid_utils

from event_backbone.case.schema import Case
from event_backbone.errors import Fault
from event_backbone.events.schema import FaultCount, Rejections, utc_now
from prediction_service.inference.metrics import NO_COLUMN, REASONS, PredictingMetrics


class FaultLabels:
    """Faults as metric labels, both from closed sets: an unknown field's own name is never one."""

    def __init__(self, case: Case) -> None:
        self._known = {*case.column_names, *NO_COLUMN}

    def of(self, fault: Fault) -> tuple[str, str]:
        """Column and reason."""
        column = fault.place if fault.place in self._known else "(unknown)"
        return column, fault.reason if fault.reason in REASONS else "invalid"


class RejectionLog:
    """Counts faults by column and reason.

    Thread-safe. What was counted since the last :meth:`take` is lost with the process; records are never in it.
    """

    def __init__(self, case: Case, metrics: PredictingMetrics) -> None:
        self._case = case
        self._metrics = metrics
        self._labels = FaultLabels(case)
        self._lock = threading.Lock()
        self._records = 0
        self._faults: Counter[tuple[str, str]] = Counter()
        self._since = utc_now()

    def count(self, faults: Sequence[Fault]) -> None:
        """Count one rejected record and its faults."""
        pairs = [self._labels.of(fault) for fault in faults]
        self._metrics.rejected_records.inc()
        for column, reason in pairs:
            self._metrics.rejected.labels(column, reason).inc()
        with self._lock:
            self._records += 1
            self._faults.update(pairs)

    def take(self) -> Rejections | None:
        """The rejections since the last call as an event, ``None`` when there were none."""
        now = utc_now()
        with self._lock:
            records, faults, since = self._records, self._faults, self._since
            self._records, self._faults, self._since = 0, Counter(), now
        if not records:
            return None
        counts = [FaultCount(column, reason, count) for (column, reason), count in sorted(faults.items())]
        return Rejections(str(uuid_utils.uuid7()), self._case.name, since, now, records, counts)

    def put_back(self, event: Rejections) -> None:
        """Count an event again that could not be appended."""
        with self._lock:
            self._records += event.records
            self._faults.update({(fault.column, fault.reason): fault.count for fault in event.faults})
            self._since = min(self._since, event.since)
