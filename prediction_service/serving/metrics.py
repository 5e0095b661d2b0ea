"""The server's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from event_backbone.case.schema import Case

if TYPE_CHECKING:
    from prediction_service.serving.status import ReplicaStatus
from prediction_service.inference.metrics import LATENCY_BUCKETS, PredictingMetrics

#: Path → label value for requests; any other path is ``other``.
ENDPOINTS = {"/predict": "predict", "/predict/batch": "predict_batch", "/labels": "labels"}


OTHER = "other"


class ServingMetrics(PredictingMetrics):
    """Metrics of the HTTP server, beside those of predicting."""

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
