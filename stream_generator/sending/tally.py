"""Counts of the outcomes of a run's records and labels."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from stream_generator.sending.latency import LatencyHistogram


@dataclass(frozen=True, slots=True)
class RunTotals:
    """Counts at one moment. ``faults`` holds failed records by status or reason, failed labels as ``labels <status>``.

    Latencies are in seconds, from the moment a record was due (or taken, when none was set) to its answer, with all
    retries and the wait for a free connection; ``None`` before the first answer.
    """

    sent: int
    answered: int
    failed: int
    labels_sent: int
    labels_failed: int
    faults: dict[str, int]
    p50_s: float | None
    p99_s: float | None

    @property
    def all_well(self) -> bool:
        return not self.failed and not self.labels_failed

    def as_text(self) -> str:
        p99 = "" if self.p99_s is None else f", p99 {self.p99_s * 1000:.0f} ms"
        return f"{self.answered} answered, {self.failed} failed, {self.labels_sent} labels{p99}"


class Tally:
    """Counts, from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies = LatencyHistogram()
        self._counts: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def answered(self, latency_s: float) -> None:
        with self._lock:
            self._counts["answered"] += 1
            self._latencies.add(latency_s)

    def failed(self, reason: str) -> None:
        with self._lock:
            self._counts["failed"] += 1
            self._faults[reason] += 1

    def labels_sent(self, number: int) -> None:
        with self._lock:
            self._counts["labels_sent"] += number

    def labels_failed(self, number: int, reason: str) -> None:
        with self._lock:
            self._counts["labels_failed"] += number
            self._faults[f"labels {reason}"] += number

    def totals(self) -> RunTotals:
        with self._lock:
            counts = self._counts
            return RunTotals(
                sent=counts["answered"] + counts["failed"],
                answered=counts["answered"],
                failed=counts["failed"],
                labels_sent=counts["labels_sent"],
                labels_failed=counts["labels_failed"],
                faults=dict(self._faults),
                p50_s=self._latencies.quantile(0.50),
                p99_s=self._latencies.quantile(0.99),
            )
