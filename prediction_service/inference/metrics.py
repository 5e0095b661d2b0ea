"""Metrics of predictions and of the model in use, in every process that predicts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef

#: Seconds; a one-row prediction takes well under a millisecond, a queued one must stay visible.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

#: Why a field is refused. ``column`` and ``reason`` come from these and the case file, never from a request.
REASONS = ("missing", "null", "type", "not_finite", "range", "length", "unknown", "target", "format", "json", "invalid")
NO_COLUMN = ("(body)", "(unknown)", "record_id")

#: The sidecar fetches a champion and checks it, who predicts loads it.
RELOAD_STEPS = ("fetch", "check", "load")


class PredictingMetrics:
    """Metrics of every process that makes predictions. Made once per process, on an injected registry."""

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
        """Show the version that answers from now on; a scrape meanwhile sees one, or both."""
        before, self._shown_model = self._shown_model, model
        self.model_info.labels(model.name, model.version).set(1)
        if before is not None and before != model:
            self.model_info.remove(before.name, before.version)
