"""The worker's metrics."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from event_backbone.case.schema import Case
from event_backbone.errors import LOSSES
from event_backbone.kafka.lag import StandstillClock
from prediction_service.inference.metrics import LATENCY_BUCKETS, PredictingMetrics

#: Why the worker makes a dead letter; ``sink`` stands for what a sink refused for good.
DEAD_LETTER_REASONS = (
    *("record", "label", "json", "key", "schema_version", "case", "type"),
    *("sink", "too_large"),
    *LOSSES,
)


class WorkerMetrics(PredictingMetrics):
    """Metrics of the Kafka worker, beside those of predicting."""

    def __init__(self, registry: CollectorRegistry, case: Case) -> None:
        super().__init__(registry, case)
        self.consumed = Counter(
            "prediction_worker_messages_total", "Messages taken from Kafka.", ["topic"], registry=registry
        )
        self.dead_letters = Counter(
            "prediction_worker_dead_letters_total", "Messages that became dead letters.", ["reason"], registry=registry
        )
        self.lag_records = Gauge(
            "prediction_worker_lag_records", "Messages of our partitions not taken yet.", ["topic"], registry=registry
        )
        self.lag_seconds = Gauge(
            "prediction_worker_lag_seconds", "Age of the oldest message not taken yet.", ["topic"], registry=registry
        )
        self.standstill = Gauge(
            "prediction_worker_standstill_seconds",
            "How long one of our partitions has not moved on though messages wait, or nobody could look.",
            ["topic"],
            registry=registry,
        )
        self.partitions = Gauge("prediction_worker_partitions", "Partitions that are ours.", registry=registry)
        self.rebalances = Counter(
            "prediction_worker_rebalances_total", "Changes of what is ours.", ["kind"], registry=registry
        )
        self.step_seconds = Histogram(
            "prediction_worker_step_duration_seconds", "Time a batch spends in a step.", ["step"],
            buckets=LATENCY_BUCKETS, registry=registry,
        )  # fmt: skip
        self.retries = Counter(
            "prediction_worker_retries_total", "Steps tried again because the other side was away.", ["step"],
            registry=registry,
        )  # fmt: skip
        for reason in DEAD_LETTER_REASONS:
            self.dead_letters.labels(reason)
        for kind in ("assigned", "revoked", "lost"):
            self.rebalances.labels(kind)

    def expect(self, topics: Iterable[str], steps: Iterable[str], standstill: StandstillClock) -> None:
        """Set the counters of these topics and steps to 0: nothing read is a zero and no gap.

        Standstills are asked for when somebody looks: they grow while the loop does nothing.
        """
        for topic in topics:
            self.consumed.labels(topic)
            self.standstill.labels(topic).set_function(partial(_seconds_of, standstill, topic))
        for step in steps:
            self.step_seconds.labels(step)
            self.retries.labels(step)


def _seconds_of(standstill: StandstillClock, topic: str) -> float:
    return standstill.by_topic()[topic]
