"""Every metric of the service, declared in one place.

Gauges are set from a :class:`~monitoring_service.snapshot.Snapshot` at each scrape. A figure that is not known has no
series: neither a restart nor an unlabelled window shows as a zero.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import asdict
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from event_backbone.case import Case
from event_backbone.errors import UNREADABLE_REASONS
from event_backbone.events import parse_utc
from event_backbone.exposition import exposition
from monitoring_service.messages import ColumnMeasure
from monitoring_service.stream_status import TOPIC_KINDS, StreamView

if TYPE_CHECKING:
    from monitoring_service.snapshot import Snapshot
    from monitoring_service.standing import Evaluation
    from monitoring_service.verdict import Judged

COLUMN_STATES = ("ok", "insufficient", "invalid")
REFUSAL_REASONS = ("malformed", "schema_version", "case", "record_id", "prediction", "label", "rejections")
REPORT_OUTCOMES = ("made", "failed")
#: Up to the time limit of one evaluation; most take a few hundredths of a second.
EVALUATION_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


def active_gauge(registry: CollectorRegistry) -> Gauge:
    """The one series that a process standing by has as well."""
    return Gauge("monitoring_active", "1 in the process that works, 0 in one that stands by.", registry=registry)


class MonitoringMetrics:
    """Prometheus metrics on an injected registry; thread-safe, one scrape at a time."""

    def __init__(self, case: Case, registry: CollectorRegistry) -> None:
        self._case = case
        self._registry = registry
        self._seen: dict[Counter, int] = {}
        self._scraping = threading.Lock()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"monitoring_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"monitoring_{name}", text, labels, registry=registry)

        active_gauge(registry).set(1)
        self.totals = {
            "predictions": counter("predictions", "Predictions counted, each record_id once."),
            "labels": counter("labels", "Labels counted, earlier ones of the same record included."),
            "rejected_records": counter("rejected_records", "Records the prediction service refused."),
            "duplicates": counter("duplicate_events", "Events that were known already."),
            "conflicts": counter("conflicting_predictions", "Predictions for a known record_id with other content."),
            "unmatched_labels": counter("unmatched_labels", "Labels whose prediction did not come in time."),
            "erasures": counter("erasures", "Erasures carried out."),
        }
        self.unauthorized = counter("unauthorized", "Requests refused because they showed no good API key.")
        self.refused_events = counter("refused_events", "Lines that will never be taken, by reason.", "reason")
        self.dead_letters = counter("dead_letters", "Messages that could not be read, by reason.", "reason")
        self.read_messages = counter("read_messages", "Messages read from Kafka, by kind of topic.", "topic")
        self.read_errors = counter("read_errors", "Times that reading from Kafka failed.")
        self.lag_records = gauge("lag_records", "Messages in Kafka that were not read yet.", "topic")
        self.lag_seconds = gauge("lag_seconds", "Age of the oldest of them.", "topic")
        self.waiting_labels = gauge("waiting_labels", "Labels whose prediction may still come.")

        self.window_rows = gauge("window_rows", "Rows in the window that ends at the newest record.")
        self.window_edge = gauge("window_edge_timestamp_seconds", "When its oldest and newest were predicted.", "edge")
        self.backlog_rows = gauge("backlog_rows", "Rows whose check is due and has not been made.")

        self.column_score = gauge("column_drift_score", "Evidently's drift score.", "column")
        self.column_effect = gauge("column_drift_effect_ratio", "Share of rows that moved.", "column")
        self.column_minimum_effect = gauge("column_minimum_effect_ratio", "Effect from which on it is drift.", "column")
        self.column_p_value = gauge("column_drift_p_value_ratio", "Two-sample p-value, family-wise adjusted.", "column")
        self.column_drifted = gauge("column_drifted", "1 while the column has a drift verdict.", "column")
        self.column_state = gauge("column_state", "1 for the state its last measurement has.", "column", "state")
        self.column_missing = gauge("column_missing_ratio", "Share of window rows without a value.", "column")
        self.column_unseen = gauge("column_unseen_ratio", "Share with a category nobody expects.", "column")
        self.column_rejected = gauge("column_rejected_ratio", "Share of records refused for this column.", "column")
        self.drifted_columns = gauge("drifted_columns_ratio", "Share of the columns that have a drift verdict.")

        self.prediction_score = gauge(
            "prediction_drift_score", "Evidently's drift score of the predictions.", "version"
        )
        self.prediction_effect = gauge("prediction_drift_effect_ratio", "Share of predictions that moved.", "version")
        self.prediction_p_value = gauge("prediction_drift_p_value_ratio", "Their two-sample p-value.", "version")
        self.prediction_drifted = gauge("prediction_drifted", "1 while the predictions have a drift verdict.")

        self.performance = gauge("performance", "Quality over the newest labelled rows.", "figure", "version")
        self.labelled_rows = gauge("labelled_rows", "Rows the quality figures are computed from.", "version")
        self.model_info = gauge("model_info", "The model version of the newest predictions.", "name", "version")

        self.evaluation_seconds = Histogram(
            "monitoring_evaluation_seconds",
            "Time from a due window to its measures.",
            buckets=EVALUATION_BUCKETS_S,
            registry=registry,
        )
        self.last_check = gauge("last_check_timestamp_seconds", "When a check last ended so.", "outcome")
        self.evaluator_failures = counter("evaluator_failures", "Times the evaluator died, refused or took too long.")
        self.failed_checks = counter("failed_checks", "Checks that got no answer.")
        self.reports = counter("reports", "Evidently reports, by outcome.", "outcome")
        self.condition = gauge("condition", "1 while the condition holds.", "condition")
        self._initialise()

    def _initialise(self) -> None:
        """Series whose zero is true from the start."""
        for reason in REFUSAL_REASONS:
            self.refused_events.labels(reason)
        for reason in UNREADABLE_REASONS:
            self.dead_letters.labels(reason)
        for outcome in REPORT_OUTCOMES:
            self.reports.labels(outcome)
        for column in self._case.columns:
            self.column_minimum_effect.labels(column.name).set(self._case.minimum_effect(column))

    def count_refused(self, by_reason: Mapping[str, int]) -> None:
        for reason, lines in by_reason.items():
            self.refused_events.labels(reason).inc(lines)

    def exposition(self, snapshot: Snapshot) -> bytes:
        """The text of a scrape."""
        with self._scraping:
            self._show_intake(snapshot)
            if snapshot.stream is not None:
                self._show_stream(snapshot.stream)
            self._show_window(snapshot)
            self._show_checks(snapshot)
            return exposition(self._registry, self._case.name)

    def _show_intake(self, snapshot: Snapshot) -> None:
        for name, total in asdict(snapshot.totals).items():
            self._raise_to(self.totals[name], total)
        for reason, messages in snapshot.unreadable.items():
            self._raise_to(self.dead_letters.labels(reason), messages)
        self.waiting_labels.set(snapshot.waiting_labels)
        self.backlog_rows.set(snapshot.backlog_rows)

    def _show_stream(self, stream: StreamView) -> None:
        self._raise_to(self.read_errors, stream.read_errors)
        for kind in TOPIC_KINDS:
            self._raise_to(self.read_messages.labels(kind), stream.messages.get(kind, 0))
            lag = stream.lags.get(kind)
            _show(self.lag_records, lag.records if lag else None, kind)
            _show(self.lag_seconds, lag.seconds if lag else None, kind)

    def _show_window(self, snapshot: Snapshot) -> None:
        self.window_rows.set(snapshot.window.rows)
        if snapshot.window.oldest_at and snapshot.window.newest_at:
            self.window_edge.labels("oldest").set(parse_utc(snapshot.window.oldest_at).timestamp())
            self.window_edge.labels("newest").set(parse_utc(snapshot.window.newest_at).timestamp())
        for column in self._case.columns:
            _show(self.column_rejected, snapshot.rejections.share_of(column.name), column.name)
        self.model_info.clear()
        if snapshot.model is not None:
            self.model_info.labels(snapshot.model.name, snapshot.model.version).set(1)

    def _show_checks(self, snapshot: Snapshot) -> None:
        board = snapshot.board
        self._raise_to(self.failed_checks, board.checks_failed)
        self._raise_to(self.reports.labels("made"), board.reports.made)
        self._raise_to(self.reports.labels("failed"), board.reports.failed)
        for condition in snapshot.conditions:
            self.condition.labels(condition.name).set(condition.active)
        if board.standing.failure is not None:
            self.last_check.labels("failed").set(parse_utc(board.standing.failure.at).timestamp())
        evaluation = board.standing.evaluation
        drifted = [judged.streak.drifted for judged in evaluation.columns] if evaluation else [False]
        self.drifted_columns.set(sum(drifted) / len(drifted))
        self.prediction_drifted.set(evaluation.prediction.streak.drifted if evaluation else 0)
        for column in self._case.columns:
            self.column_drifted.labels(column.name).set(0)
        if evaluation is not None:
            self._show_evaluation(evaluation)

    def _show_evaluation(self, evaluation: Evaluation) -> None:
        for judged in evaluation.columns:
            self._show_column(judged)
        self.last_check.labels("answered").set(parse_utc(evaluation.at).timestamp())
        self._show_version(evaluation)

    def _show_version(self, evaluation: Evaluation) -> None:
        """Figures of one model version; those of the version before go away."""
        prediction, version = evaluation.prediction, evaluation.model.version
        for gauge, value in (
            (self.prediction_score, prediction.measure.score),
            (self.prediction_effect, prediction.measure.effect),
            (self.prediction_p_value, prediction.adjusted_p),
            (self.labelled_rows, evaluation.quality.labelled_rows),
        ):
            gauge.clear()
            _show(gauge, value, version)
        self.performance.clear()
        for name, figure in evaluation.quality.figures.items():
            self.performance.labels(name, version).set(figure.value)

    def _show_column(self, judged: Judged) -> None:
        measure: ColumnMeasure = judged.measure
        self.column_drifted.labels(measure.name).set(judged.streak.drifted)
        for state in COLUMN_STATES:
            self.column_state.labels(measure.name, state).set(measure.state == state)
        for gauge, value in (
            (self.column_score, measure.score),
            (self.column_effect, measure.effect),
            (self.column_p_value, judged.adjusted_p),
            (self.column_missing, measure.missing_share),
            (self.column_unseen, measure.unseen_share),
        ):
            _show(gauge, value, measure.name)

    def observe_evaluation(self, duration_s: float) -> None:
        self.evaluation_seconds.observe(duration_s)

    def _raise_to(self, counter: Counter, total: int) -> None:
        """Totals come from the inbox: a counter goes on after a restart where it was. Those of a process that was
        replaced begin again, and are added."""
        seen = self._seen.get(counter, 0)
        counter.inc(total - seen if total >= seen else total)
        self._seen[counter] = total


def _show(gauge: Gauge, value: float | None, label: str) -> None:
    """Set the series, or take it away: a gap is not a zero."""
    if value is not None:
        gauge.labels(label).set(value)
    else:
        gauge.remove(label)
