"""Metrics of checks, conditions, alerts, reports and the reference in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from event_backbone.case.schema import Case
from event_backbone.events.schema import parse_utc
from monitoring_service.views.series import KeptTotals, SeriesMaker, show_only

if TYPE_CHECKING:
    from monitoring_service.alerting.views import AlertView
    from monitoring_service.drift.verdict import Episode
    from monitoring_service.references.acceptance import CurrentReference
    from monitoring_service.state.conditions import Condition
    from monitoring_service.state.monitor_state import CheckResult
    from monitoring_service.state.published import CheckResults

REPORT_OUTCOMES = ("made", "failed")
NOTIFICATION_OUTCOMES = ("sent", "failed")
EPISODE_FAMILIES = ("column", "prediction")
ALERT_STATES = ("pending", "firing")
#: The series of detectors that is none of a column.
SCORE = "score"
#: Up to the time limit of one evaluation; most take a few hundredths of a second.
EVALUATION_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class CheckMetrics:
    """Counters of this process, and gauges of the newest check."""

    def __init__(self, case: Case, make: SeriesMaker, kept: KeptTotals) -> None:
        self._kept = kept
        self.evaluation_seconds = make.histogram(
            "evaluation_seconds", "Time from a due window to its measures.", EVALUATION_BUCKETS_S
        )
        self._last_check = make.gauge("last_check_timestamp_seconds", "When a check last ended so.", "outcome")
        self.evaluator_failures = make.counter(
            "evaluator_failures", "Times the evaluator died, refused or took too long."
        )
        self._failed_checks = make.counter("failed_checks", "Checks that got no answer.")
        self._alarms = make.counter("detector_alarms", "Checks in which its stream detector alarmed.", "column")
        self._episodes = make.counter("drift_episodes", "Drift verdicts that began.", "family")
        self._condition = make.gauge("condition", "1 while the condition holds.", "condition")
        self._column_condition = make.gauge(
            "column_condition", "1 while the condition holds for the column.", "condition", "column"
        )
        self._alerts = make.gauge("alerts", "Alerts of this service itself, by state.", "state")
        self.notifications = make.counter("notifications", "Messages to the webhook of this service.", "outcome")
        self._reports = make.counter("reports", "Evidently reports, by outcome.", "outcome")
        self._last_report = make.late_gauge("last_report_timestamp_seconds", "When the newest report was made.")
        self._reference = make.gauge("reference_info", "What windows are compared with.", "bundle", "kind")
        self._initialise(case)

    def _initialise(self, case: Case) -> None:
        """Series whose zero is true from the start."""
        for outcome in REPORT_OUTCOMES:
            self._reports.labels(outcome)
        for outcome in NOTIFICATION_OUTCOMES:
            self.notifications.labels(outcome)
        for family in EPISODE_FAMILIES:
            self._episodes.labels(family)
        for name in (*case.column_names, SCORE):
            self._alarms.labels(name)

    def count_check(self, check_result: CheckResult, episodes: Iterable[Episode]) -> None:
        """One check that was judged."""
        for column_verdict in check_result.columns:
            self._alarms.labels(column_verdict.measure.name).inc(column_verdict.alarm)
        self._alarms.labels(SCORE).inc(check_result.prediction.alarm)
        for episode in episodes:
            if episode.ended_at_row is None:
                self._episodes.labels(episode.family).inc()

    def show(self, results: CheckResults, conditions: Iterable[Condition], report_made_at: float | None) -> None:
        self._kept.raise_to(self._failed_checks, results.checks_failed)
        self._kept.raise_to(self._reports.labels("made"), results.reports.made)
        self._kept.raise_to(self._reports.labels("failed"), results.reports.failed)
        self._last_report.value = report_made_at
        self._show_conditions(conditions)
        failure, check_result = results.state.failure, results.state.check_result
        if failure is not None:
            self._last_check.labels("failed").set(parse_utc(failure.at).timestamp())
        if check_result is not None:
            self._last_check.labels("answered").set(parse_utc(check_result.at).timestamp())

    def _show_conditions(self, conditions: Iterable[Condition]) -> None:
        of_case, of_columns = {}, {}
        for one in conditions:
            if one.column is None:
                of_case[one.name,] = float(one.active)
            else:
                of_columns[one.name, one.column] = float(one.active)
        show_only(self._condition, of_case)
        show_only(self._column_condition, of_columns)

    def show_alerts(self, alerts: Iterable[AlertView]) -> None:
        states: Counter[str] = Counter(alert.state for alert in alerts)
        show_only(self._alerts, {(state,): states[state] for state in ALERT_STATES})

    def show_reference(self, current: CurrentReference | None) -> None:
        show_only(self._reference, {(current.bundle_sha256[:12], current.kind): 1} if current else {})
