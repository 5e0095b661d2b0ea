"""Metrics of performance: realised, estimated, and drift of the target."""

from __future__ import annotations

from collections.abc import Mapping

from event_backbone.case.schema import Case
from monitoring_service.messages import MetricValue, Performance, SegmentPerformance
from monitoring_service.performance.degradation import primary_metric
from monitoring_service.views.series import SeriesMaker, show_only

Labels = tuple[str, ...]


class PerformanceMetrics:
    """Gauges by model version; those of the version before go away."""

    def __init__(self, case: Case, make: SeriesMaker) -> None:
        self._primary_metric = primary_metric(case)
        by_metric, by_segment = ("figure", "version"), ("segment", "value", "version")
        self._realised = make.gauge("performance", "Performance over the newest labelled rows.", *by_metric)
        self._low = make.gauge("performance_low", "Lower end of its 95 % interval.", *by_metric)
        self._high = make.gauge("performance_high", "Upper end of its 95 % interval.", *by_metric)
        self._estimated = make.gauge("estimated_performance", "Performance estimated without labels.", *by_metric)
        self._reference = make.gauge("reference_performance", "Performance on the reference's rows.", *by_metric)
        self._gap = make.gauge(
            "performance_gap", "Realised performance worse than estimated for the same rows.", *by_metric
        )
        self._segments = make.gauge(
            "segment_performance", "Primary metric of the rows with one value.", "figure", *by_segment
        )
        self._segment_rows = make.gauge("segment_labelled_rows", "Labelled rows with that value.", *by_segment)
        self._labelled_rows = make.gauge("labelled_rows", "Rows the realised metrics are computed from.", "version")
        self._labelled = make.gauge("labelled_ratio", "Share of window rows whose label is known.", "version")
        self._target_effect = make.gauge("target_drift_effect_ratio", "Share of labels that moved.", "version")
        self._target_p_value = make.gauge("target_drift_p_value_ratio", "Their two-sample p-value.", "version")

    def show(self, version: str, performance: Performance) -> None:
        self._show_metrics(version, performance)
        self._show_segments(version, performance.segments)
        target = performance.target
        show_only(self._labelled_rows, {(version,): performance.labelled_rows})
        show_only(self._labelled, {(version,): performance.labelled_share})
        show_only(self._target_effect, {(version,): target.effect if target else None})
        show_only(self._target_p_value, {(version,): target.p_value if target else None})

    def _show_metrics(self, version: str, performance: Performance) -> None:
        metric_values = performance.metric_values
        show_only(self._realised, _values(metric_values, version))
        show_only(self._low, {(name, version): metric_value.low for name, metric_value in metric_values.items()})
        show_only(self._high, {(name, version): metric_value.high for name, metric_value in metric_values.items()})
        show_only(self._estimated, _values(performance.estimated, version))
        show_only(self._reference, {(name, version): value for name, value in performance.reference.items()})
        show_only(self._gap, _values(performance.gap, version))

    def _show_segments(self, version: str, segments: list[SegmentPerformance]) -> None:
        primary_metric = self._primary_metric
        show_only(
            self._segments,
            {
                (primary_metric, one.column, one.value, version): one.metric_values[primary_metric].value
                for one in segments
                if primary_metric in one.metric_values
            },
        )
        show_only(self._segment_rows, {(one.column, one.value, version): one.labelled_rows for one in segments})


def _values(metric_values: Mapping[str, MetricValue], version: str) -> Mapping[Labels, float | None]:
    return {(name, version): metric_value.value for name, metric_value in metric_values.items()}
