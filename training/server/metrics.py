"""Every metric of the training server."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from training.server.runs import RetrainingRun

OUTCOMES = ("promoted", "refused", "failed")
REASONS = ("running", "episode", "cooldown")


class TrainingMetrics:
    """Made once, on an injected registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.runs = Counter("training_runs_total", "Retrainings that ended, by what came of them.", ["outcome"],
                            registry=registry)  # fmt: skip
        self.refusals = Counter("training_refusals_total", "Retrainings that were asked for and not begun, by reason.",
                                ["reason"], registry=registry)  # fmt: skip
        self.running = Gauge("training_running", "1 while a retraining is at work.", registry=registry)
        self.last_end = Gauge("training_last_end_timestamp_seconds", "When the last retraining ended.", ["outcome"],
                              registry=registry)  # fmt: skip
        self.unauthorized = Counter(
            "training_unauthorized_total", "Requests refused because they showed no good API key.", registry=registry
        )
        self.shed = Counter(
            "training_requests_shed_total", "Requests refused with 503 because too many were in flight.",
            registry=registry,
        )  # fmt: skip
        for outcome in OUTCOMES:
            self.runs.labels(outcome)
        for reason in REASONS:
            self.refusals.labels(reason)

    def show(self, newest: Sequence[RetrainingRun]) -> None:
        """Set the gauges; the time of the last end stays until another run has ended."""
        for run in newest:
            self.running.set(run.state == "running")
            if run.ended_at is not None:
                self.last_end.clear()
                self.last_end.labels(run.state).set(run.ended_at)
