"""Metrics of the predictions' quality: realised, estimated, and what the labels say about the target."""

from __future__ import annotations

from collections.abc import Mapping

from event_backbone.case.schema import Case
from monitoring_service.messages import MetricValue, Quality, SegmentQuality
from monitoring_service.performance.degradation import primary_metric
from monitoring_service.views.series import SeriesMaker, show_only

Labels = tuple[str, ...]


class QualityMetrics:
    """Gauges by model version; those of the version before go away."""

    def __init__(self, case: Case, make: SeriesMaker) -> None:
        self._headline = primary_metric(case)
        by_figure, by_segment = ("figure", "version"), ("segment", "value", "version")
        self._realised = make.gauge("performance", "Quality over the newest labelled rows.", *by_figure)
        self._low = make.gauge("performance_low", "Lower end of its 95 % interval.", *by_figure)
        self._high = make.gauge("performance_high", "Upper end of its 95 % interval.", *by_figure)
        self._estimated = make.gauge("estimated_performance", "Quality estimated without labels.", *by_figure)
        self._reference = make.gauge("reference_performance", "Quality on the reference's rows.", *by_figure)
        self._gap = make.gauge(
            "performance_gap", "Realised quality worse than estimated for the same rows.", *by_figure
        )
        self._segments = make.gauge(
            "segment_performance", "Headline figure of the rows with one value.", "figure", *by_segment
        )
        self._segment_rows = make.gauge("segment_labelled_rows", "Labelled rows with that value.", *by_segment)
        self._labelled_rows = make.gauge("labelled_rows", "Rows the quality figures are computed from.", "version")
        self._labelled = make.gauge("labelled_ratio", "Share of window rows whose label is known.", "version")
        self._target_effect = make.gauge("target_drift_effect_ratio", "Share of labels that moved.", "version")
        self._target_p_value = make.gauge("target_drift_p_value_ratio", "Their two-sample p-value.", "version")

    def show(self, version: str, quality: Quality) -> None:
        self._show_figures(version, quality)
        self._show_segments(version, quality.segments)
        target = quality.target
        show_only(self._labelled_rows, {(version,): quality.labelled_rows})
        show_only(self._labelled, {(version,): quality.labelled_share})
        show_only(self._target_effect, {(version,): target.effect if target else None})
        show_only(self._target_p_value, {(version,): target.p_value if target else None})

    def _show_figures(self, version: str, quality: Quality) -> None:
        figures = quality.figures
        show_only(self._realised, _values(figures, version))
        show_only(self._low, {(name, version): figure.low for name, figure in figures.items()})
        show_only(self._high, {(name, version): figure.high for name, figure in figures.items()})
        show_only(self._estimated, _values(quality.estimated, version))
        show_only(self._reference, {(name, version): value for name, value in quality.reference.items()})
        show_only(self._gap, _values(quality.gap, version))

    def _show_segments(self, version: str, segments: list[SegmentQuality]) -> None:
        primary_metric = self._headline
        show_only(
            self._segments,
            {
                (primary_metric, one.column, one.value, version): one.figures[primary_metric].value
                for one in segments
                if primary_metric in one.figures
            },
        )
        show_only(self._segment_rows, {(one.column, one.value, version): one.labelled_rows for one in segments})


def _values(figures: Mapping[str, MetricValue], version: str) -> Mapping[Labels, float | None]:
    return {(name, version): figure.value for name, figure in figures.items()}
