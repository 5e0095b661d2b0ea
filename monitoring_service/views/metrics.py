"""Every metric of the service, on one registry.

Gauges are set from a :class:`~monitoring_service.views.snapshot.Snapshot` at each scrape. A value that is not known
has no series: neither a restart nor an unlabelled window shows as a zero.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from msgspec.structs import asdict
from prometheus_client import CollectorRegistry, Gauge

from event_backbone.case.schema import Case
from event_backbone.errors import UNREADABLE_REASONS
from event_backbone.events.schema import parse_utc
from event_backbone.web.exposition import exposition
from monitoring_service.intake.kafka_status import TOPIC_KINDS, StreamView
from monitoring_service.views.check_metrics import CheckMetrics
from monitoring_service.views.column_metrics import ColumnMetrics
from monitoring_service.views.performance_metrics import PerformanceMetrics
from monitoring_service.views.series import KeptTotals, SeriesMaker, show, show_only

if TYPE_CHECKING:
    from monitoring_service.references.acceptance import CurrentReference
    from monitoring_service.views.snapshot import Snapshot

REFUSAL_REASONS = ("malformed", "schema_version", "case", "record_id", "prediction", "label", "rejections")


def active_gauge(registry: CollectorRegistry) -> Gauge:
    """The one series that a standby process has as well."""
    return SeriesMaker(registry).gauge("active", "1 in the process that works, 0 in one that stands by.")


class MonitoringMetrics:
    """Prometheus metrics on an injected registry; thread-safe, one scrape at a time.

    ``stale_after_s`` is the setting that the condition ``stale`` follows.
    """

    def __init__(self, case: Case, registry: CollectorRegistry, *, stale_after_s: float) -> None:
        self._case = case
        self._registry = registry
        self._kept = KeptTotals()
        self._scraping = threading.Lock()
        active_gauge(registry).set(1)
        make = SeriesMaker(registry)
        make.gauge("build_info", "What runs.", "version").labels(version("streamgauge")).set(1)
        self._make_intake(make)
        self._make_stream(make)
        self._make_window(make)
        self._columns = ColumnMetrics(case, make)
        self._performance = PerformanceMetrics(case, make)
        self._label_delay = make.kept_histogram("label_delay_seconds", "Time from a prediction to its label.")
        self.checks = CheckMetrics(case, make, self._kept)
        self._show_thresholds(make, stale_after_s)
        self._initialise()

    def _make_intake(self, make: SeriesMaker) -> None:
        self.totals = {
            "predictions": make.counter("predictions", "Predictions counted, each record_id once."),
            "labels": make.counter("labels", "Labels counted, earlier ones of the same record included."),
            "rejected_records": make.counter("rejected_records", "Records the prediction service refused."),
            "duplicates": make.counter("duplicate_events", "Events that were known already."),
            "conflicts": make.counter(
                "conflicting_predictions", "Predictions for a known record_id with other content."
            ),
            "unmatched_labels": make.counter("unmatched_labels", "Labels whose prediction did not come in time."),
            "erasures": make.counter("erasures", "Erasures carried out."),
            "shadows": make.counter("shadows", "What a shadow said about records, once by record and version."),
        }
        self.unauthorized = make.counter("unauthorized", "Requests refused because they showed no good API key.")
        self.shed = make.counter("requests_shed", "Requests refused with 503 because too many were in flight.")
        self.refused_events = make.counter("refused_events", "Lines that will never be taken, by reason.", "reason")
        self.waiting_labels = make.gauge("waiting_labels", "Labels whose prediction may still come.")

    def _make_stream(self, make: SeriesMaker) -> None:
        self.dead_letters = make.counter("dead_letters", "Messages that could not be read, by reason.", "reason")
        self.read_messages = make.counter("read_messages", "Messages read from Kafka, by kind of topic.", "topic")
        self.read_errors = make.counter("read_errors", "Times that reading from Kafka failed.")
        self.lag_records = make.gauge("lag_records", "Messages in Kafka that were not read yet.", "topic")
        self.lag_seconds = make.gauge("lag_seconds", "Age of the oldest of them.", "topic")
        self.standstill = make.gauge(
            "standstill_seconds",
            "How long a partition has not moved on though messages wait, or nobody could look.",
            "topic",
        )

    def _make_window(self, make: SeriesMaker) -> None:
        self.window_rows = make.gauge("window_rows", "Rows in the window that ends at the newest record.")
        self.window_edge = make.gauge(
            "window_edge_timestamp_seconds", "When its oldest and newest were predicted.", "edge"
        )
        self.backlog_rows = make.gauge("backlog_rows", "Rows whose check is due and has not been made.")
        self.column_rejected = make.gauge(
            "column_rejected_ratio", "Share of records refused for this column.", "column"
        )
        self.model_info = make.gauge("model_info", "The model version of the newest predictions.", "name", "version")

    def _show_thresholds(self, make: SeriesMaker, stale_after_s: float) -> None:
        """Limits of conditions: from the case file, but for ``stale``."""
        shares = make.gauge("threshold_ratio", "Limit from which on a condition holds.", "threshold")
        times = make.gauge("threshold_seconds", "Time from which on a condition holds.", "threshold")
        watched = self._case.monitoring
        for name in ("significance", "minimum_effect"):
            shares.labels(name).set(getattr(watched, name))
        for name, limit in watched.data.model_dump().items():
            shares.labels(name).set(limit)
        shares.labels("loss").set(watched.quality.loss)
        shares.labels("gap").set(watched.quality.gap)
        times.labels("label_delay").set(watched.quality.label_delay_s)
        times.labels("stale").set(stale_after_s)

    def _initialise(self) -> None:
        """Series whose zero is true from the start."""
        for reason in REFUSAL_REASONS:
            self.refused_events.labels(reason)
        for reason in UNREADABLE_REASONS:
            self.dead_letters.labels(reason)

    def count_refused(self, by_reason: Mapping[str, int]) -> None:
        for reason, lines in by_reason.items():
            self.refused_events.labels(reason).inc(lines)

    def count_notification(self, outcome: str) -> None:
        """``sent`` or ``failed``."""
        self.checks.notifications.labels(outcome).inc()

    def exposition(self, snapshot: Snapshot, reference: CurrentReference | None) -> bytes:
        """The text of a scrape."""
        with self._scraping:
            self._show_intake(snapshot)
            if snapshot.stream is not None:
                self._show_stream(snapshot.stream)
            self._show_window(snapshot)
            self._show_performance(snapshot)
            report = snapshot.report
            known = [condition for condition in snapshot.conditions if snapshot.is_known(condition)]
            self.checks.show(snapshot.results, known, report.made_at if report else None)
            self.checks.show_alerts(snapshot.alerts)
            self.checks.show_reference(reference)
            return exposition(self._registry, self._case.name)

    def _show_intake(self, snapshot: Snapshot) -> None:
        for name, total in asdict(snapshot.totals).items():
            self._kept.raise_to(self.totals[name], total)
        for reason, messages in snapshot.unreadable.items():
            self._kept.raise_to(self.dead_letters.labels(reason), messages)
        self.waiting_labels.set(snapshot.waiting_labels)
        self.backlog_rows.set(snapshot.backlog_rows)

    def _show_stream(self, stream: StreamView) -> None:
        self._kept.raise_to(self.read_errors, stream.read_errors)
        for kind in TOPIC_KINDS:
            self._kept.raise_to(self.read_messages.labels(kind), stream.messages.get(kind, 0))
            lag = stream.lags.get(kind)
            show(self.lag_records, lag.records if lag else None, kind)
            show(self.lag_seconds, lag.seconds if lag else None, kind)
            show(self.standstill, stream.standstill.get(kind), kind)

    def _show_window(self, snapshot: Snapshot) -> None:
        self.window_rows.set(snapshot.window.rows)
        if snapshot.window.oldest_at and snapshot.window.newest_at:
            self.window_edge.labels("oldest").set(parse_utc(snapshot.window.oldest_at).timestamp())
            self.window_edge.labels("newest").set(parse_utc(snapshot.window.newest_at).timestamp())
        for name in self._case.column_names:
            show(self.column_rejected, snapshot.rejections.share_of(name), name)
        model = snapshot.model
        show_only(self.model_info, {(model.name, model.version): 1} if model else {})

    def _show_performance(self, snapshot: Snapshot) -> None:
        check_result = snapshot.results.state.check_result
        self._columns.show(check_result)
        if check_result is not None:
            self._performance.show(check_result.model.version, check_result.performance)
        delays = snapshot.label_delays
        self._label_delay.show(delays.cumulative(), delays.count, delays.sum_s)
