"""Measuring windows and performance, in the thread that asks: a few milliseconds each, and nothing of Evidently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import structlog

from event_backbone.case.schema import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from monitoring_service.drift.univariate import measure_columns, measure_scores
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.messages import (
    ColumnMeasure,
    Labelled,
    MeasurePerformance,
    MetricValue,
    Performance,
    PredictionMix,
    WindowMeasures,
)
from monitoring_service.performance.measuring import measure_performance, realised
from monitoring_service.references.store import References
from monitoring_service.windows.columns import Floats

log = structlog.get_logger()

Measured = TypeVar("Measured")


class NotMeasuredError(TryAgainLaterError):
    """What was asked for can't be measured; the log says why. Other questions can be answered."""


class MeasurerPort(Protocol):
    """Measures what checks judge. Each method raises :class:`NotMeasuredError`, and asking again is always safe."""

    def measure(self, window: JudgedWindow) -> WindowMeasures:
        """Of a window with at least one row; the same rows and reference give the same measures."""
        ...

    def performance(self, request: MeasurePerformance) -> Performance: ...

    def metric_values(self, windows: Sequence[Labelled]) -> list[dict[str, MetricValue]]:
        """Only the realised metrics, of several windows, in the same order."""
        ...


class Measurer:
    """Measures with the references of this machine's bundles. One caller at a time."""

    def __init__(self, case: Case, references: References) -> None:
        self._case = case
        self._references = references

    def measure(self, window: JudgedWindow) -> WindowMeasures:
        return _guarded("window", lambda: self._measured(window))

    def performance(self, request: MeasurePerformance) -> Performance:
        def measured() -> Performance:
            reference = self._references.find(request.bundle_sha256, request.accepted_sha256).reference
            return measure_performance(self._case, reference.profile if reference else None, request)

        return _guarded("performance", measured)

    def metric_values(self, windows: Sequence[Labelled]) -> list[dict[str, MetricValue]]:
        return _guarded("metrics", lambda: [realised(self._case, labelled) for labelled in windows])

    def _measured(self, window: JudgedWindow) -> WindowMeasures:
        rows = window.view.rows
        lookup = self._references.find(window.source.bundle_sha256, window.accepted_sha256)
        drift, profile = (lookup.reference.drift, lookup.reference.profile) if lookup.reference else (None, None)
        same_model = rows.of_model(window.source.model)
        mix = prediction_mix(self._case, rows.predictions[same_model])
        return WindowMeasures(
            row=window.row,
            reference=lookup.state,
            reference_fault=lookup.fault,
            columns=measure_columns(self._case, drift, rows.columns, guard=guarded_column),
            prediction=measure_scores(self._case, drift, rows.scores[same_model], guard=guarded_column),
            mix=PredictionMix(mix, profile_mix(self._case, profile.predictions) if profile else {}),
            reference_id=lookup.reference.id if lookup.reference else None,
        )


def guarded_column(name: str, measure: Callable[[], ColumnMeasure]) -> ColumnMeasure:
    try:
        return measure()
    except Exception:
        # The border of each column's measurement: whatever a library raises for it must not cost the other columns.
        log.exception("column_not_measured", column=name)
        return ColumnMeasure(name, "invalid", "failed")


def _guarded(what: str, measure: Callable[[], Measured]) -> Measured:
    try:
        return measure()
    except Exception as error:
        # The border of one measurement: values that nobody thought of must not stop those that come after them.
        log.exception("not_measured", what=what)
        raise NotMeasuredError(f"the {what} could not be measured: {type(error).__name__}") from None


def prediction_mix(case: Case, predictions: Floats) -> dict[str, float]:
    """The share of each class, or mean and quartiles of the predicted value; empty when there is no prediction."""
    if not predictions.size:
        return {}
    mean = float(predictions.mean())
    if case.is_binary:
        return {str(case.target.positive): mean, str(case.target.negative): 1 - mean}
    low, middle, high = np.quantile(predictions, [0.25, 0.5, 0.75])
    return {"mean": mean, "p25": float(low), "p50": float(middle), "p75": float(high)}


def profile_mix(case: Case, predictions: NumberProfile | CategoryProfile) -> dict[str, float]:
    """The same of the reference."""
    if isinstance(predictions, NumberProfile):
        return prediction_mix(case, np.array(predictions.sorted_values))
    of_class = [predictions.counts.get(str(name), 0) for name in (case.target.negative, case.target.positive)]
    return prediction_mix(case, np.repeat([0.0, 1.0], of_class))
