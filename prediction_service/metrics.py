"""Every metric of the prediction service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from event_backbone.case import Case
from event_backbone.events import ModelRef

if TYPE_CHECKING:
    from prediction_service.status import ReplicaStatus

#: Seconds; a one-row prediction takes well under a millisecond, a queued one must stay visible.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

#: Path → label value for requests; any other path is ``other``.
ENDPOINTS = {"/predict": "predict", "/predict/batch": "predict_batch", "/labels": "labels"}
OTHER = "other"

#: Why a field is refused. ``column`` and ``reason`` come from these and the case file, never from a request.
REASONS = ("missing", "null", "type", "not_finite", "range", "length", "unknown", "target", "format", "json", "invalid")
NO_COLUMN = ("(body)", "(unknown)", "record_id")


#: The sidecar fetches a champion and checks it, who predicts loads it.
RELOAD_STEPS = ("fetch", "check", "load")


class PredictingMetrics:
    """What every process that makes predictions counts. Made once per process, on an injected registry."""

    def __init__(self, registry: CollectorRegistry, case: Case) -> None:
        self.registry = registry
        self.answered = Counter("prediction_answered_total", "Records answered with a prediction.", registry=registry)
        self.repeated = Counter(
            "prediction_repeated_total", "Records whose id was known with the same content.", registry=registry
        )
        self.conflicts = Counter(
            "prediction_conflicts_total", "Records whose id was known with other content.", registry=registry
        )
        self.labels = Counter("prediction_labels_total", "Labels accepted.", registry=registry)
        self.rejected_records = Counter(
            "prediction_rejected_records_total", "Records refused because of their content.", registry=registry
        )
        self.rejected = Counter(
            "prediction_rejected_faults_total", "Faults found in refused records.", ["column", "reason"],
            registry=registry,
        )  # fmt: skip
        self.model_info = Gauge(
            "prediction_model_info", "The model version that answers.", ["name", "version"], registry=registry
        )
        self.model_load_failures = Counter(
            "prediction_model_load_failures_total", "Bundles that were refused.", registry=registry
        )
        self.reload_failed = Gauge(
            "prediction_model_reload_failed", "1 while the registry's champion can't be had: an older one answers.",
            ["step"], registry=registry,
        )  # fmt: skip
        self.background_failures = Counter(
            "prediction_background_failures_total", "Failures of background work.", ["task"], registry=registry
        )
        self.unauthorized = Counter(
            "prediction_unauthorized_total", "Requests refused because they showed no good API key.", registry=registry
        )
        self._shown_model: ModelRef | None = None
        for step in RELOAD_STEPS:
            self.reload_failed.labels(step)
        for column in case.column_names:
            for reason in ("missing", "type", "range"):
                self.rejected.labels(column, reason)

    def show_model(self, model: ModelRef) -> None:
        """Name the version that answers from now on; whoever asks meanwhile sees one, or both."""
        before, self._shown_model = self._shown_model, model
        self.model_info.labels(model.name, model.version).set(1)
        if before is not None and before != model:
            self.model_info.remove(before.name, before.version)


class ServingMetrics(PredictingMetrics):
    """What the HTTP server counts beside that."""

    def __init__(self, registry: CollectorRegistry, case: Case) -> None:
        super().__init__(registry, case)
        self.requests = Counter(
            "prediction_requests_total", "Requests answered.", ["endpoint", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "prediction_request_duration_seconds",
            "Time from admission to answer.",
            ["endpoint"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.shed = Counter(
            "prediction_requests_shed_total", "Requests refused with 503 because too many were in flight.",
            registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge("prediction_requests_in_flight", "Requests being worked on.", registry=registry)
        for endpoint in (*ENDPOINTS.values(), OTHER):
            self.request_seconds.labels(endpoint)
            for status in ("200", "503"):
                self.requests.labels(endpoint, status)


#: Why the worker makes a dead letter; ``sink`` stands for what a sink refused for good.
DEAD_LETTER_REASONS = ("record", "label", "json", "key", "schema_version", "case", "type", "sink", "too_large")


class WorkerMetrics(PredictingMetrics):
    """What the Kafka worker counts beside that."""

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

    def expect(self, topics: Iterable[str], steps: Iterable[str]) -> None:
        """Nothing was read from these topics and done in these steps yet, which is a zero and no gap."""
        for topic in topics:
            self.consumed.labels(topic)
        for step in steps:
            self.step_seconds.labels(step)
            self.retries.labels(step)


class ReplicaCollector(Collector):
    """Sizes and lags that are read when Prometheus asks, not kept up to date."""

    def __init__(self, status: ReplicaStatus) -> None:
        self._status = status

    def collect(self) -> list[Metric]:
        journal, sinks = self._status.journal(), self._status.sinks()
        size = GaugeMetricFamily("prediction_journal_bytes", "Bytes of the journal in use.", journal["bytes"])
        bound = GaugeMetricFamily("prediction_journal_max_bytes", "Bytes at which 503 begins.", journal["max_bytes"])
        last = CounterMetricFamily("prediction_journal_last_seq", "Last number given in the journal.")
        last.add_metric([], journal["last_seq"])
        lag = GaugeMetricFamily("prediction_sink_lag_rows", "Journal rows a sink does not have yet.", labels=["sink"])
        lag_s = GaugeMetricFamily(
            "prediction_sink_lag_seconds", "Age of the oldest journal row a sink does not have.", labels=["sink"]
        )
        conflicts = CounterMetricFamily(
            "prediction_sink_conflicts", "Predictions for an id that a sink knew with other content.", labels=["sink"]
        )
        parked = GaugeMetricFamily("prediction_sink_parked_rows", "Rows a sink refused for good.", labels=["sink"])
        for name, sink in sinks.items():
            lag.add_metric([name], sink["lag"])
            lag_s.add_metric([name], sink["lag_s"])
            conflicts.add_metric([name], sink["conflicts"])
            parked.add_metric([name], sink["parked"])
        return [size, bound, last, lag, lag_s, conflicts, parked]
