"""Metrics of columns and predictions: measures and verdicts of the newest check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from event_backbone.case.schema import Case
from monitoring_service.messages import ColumnMeasure, PredictionMix
from monitoring_service.views.series import SeriesMaker, show_only

if TYPE_CHECKING:
    from monitoring_service.drift.verdict import ColumnVerdict
    from monitoring_service.state.monitor_state import CheckResult

COLUMN_STATES = ("ok", "insufficient", "invalid")

#: What a gauge of one column shows.
ColumnValue = Callable[["ColumnVerdict"], float | None]


def _measured(name: str) -> ColumnValue:
    """A field of :class:`ColumnMeasure` that may be unknown."""
    return lambda column_verdict: getattr(column_verdict.measure, name)


class ColumnMetrics:
    """Gauges by column, and those of the predictions' drift by version."""

    def __init__(self, case: Case, make: SeriesMaker) -> None:
        self._case = case
        shown: dict[str, tuple[str, ColumnValue]] = {
            "drift_score": ("Evidently's drift score.", _measured("score")),
            "drift_effect_ratio": ("Share of rows that moved.", _measured("effect")),
            "drift_p_value_ratio": (
                "Two-sample p-value, family-wise adjusted.",
                lambda column_verdict: column_verdict.adjusted_p,
            ),
            "missing_ratio": ("Share of window rows without a value.", _measured("missing_share")),
            "unseen_ratio": ("Share with a category nobody expects.", _measured("unseen_share")),
            "out_of_range_ratio": ("Share outside the expected range.", _measured("out_of_range_share")),
            "reference_missing_ratio": (
                "Share of reference rows without a value.",
                _measured("reference_missing_share"),
            ),
        }
        self._values = [(make.gauge(f"column_{name}", text, "column"), of) for name, (text, of) in shown.items()]
        self._state = make.gauge("column_state", "1 for the state its last measurement has.", "column", "state")
        minimum_effect = make.gauge("column_minimum_effect_ratio", "Effect from which on it is drift.", "column")
        for column in case.columns:
            minimum_effect.labels(column.name).set(case.minimum_effect(column))
        self._drifted = make.late_gauge("drifted_columns_ratio", "Share of the columns that have a drift verdict.")
        self._prediction_score = make.gauge(
            "prediction_drift_score", "Evidently's drift score of the predictions.", "version"
        )
        self._prediction_effect = make.gauge(
            "prediction_drift_effect_ratio", "Share of predictions that moved.", "version"
        )
        self._prediction_p_value = make.gauge(
            "prediction_drift_p_value_ratio", "Their two-sample p-value, adjusted.", "version"
        )
        shares = make.gauge("prediction_mix_ratio", "Share of predictions of a class.", "class", "of")
        values = make.gauge("prediction_value", "Mean and quartiles of what is predicted.", "statistic", "of")
        self._mix = shares if case.is_binary else values

    def show(self, check_result: CheckResult | None) -> None:
        """The newest check, or nothing before the first."""
        self._show_columns(check_result.columns if check_result else [])
        if check_result is not None:
            self._show_predictions(check_result.model.version, check_result.prediction)
            self._show_mix(check_result.mix)

    def _show_columns(self, columns: Sequence[ColumnVerdict]) -> None:
        names = {column_verdict.measure.name: column_verdict for column_verdict in columns}
        for gauge, value_of in self._values:
            show_only(gauge, {(name,): value_of(column_verdict) for name, column_verdict in names.items()})
        states = {
            (name, state): float(column_verdict.measure.state == state)
            for name, column_verdict in names.items()
            for state in COLUMN_STATES
        }
        show_only(self._state, states)
        drifted = [column_verdict.verdict_state.drifted for column_verdict in columns]
        self._drifted.value = sum(drifted) / len(drifted) if drifted else None

    def _show_predictions(self, version: str, column_verdict: ColumnVerdict) -> None:
        """Values of one model version; those of the version before go away."""
        measure: ColumnMeasure = column_verdict.measure
        show_only(self._prediction_score, {(version,): measure.score})
        show_only(self._prediction_effect, {(version,): measure.effect})
        show_only(self._prediction_p_value, {(version,): column_verdict.adjusted_p})

    def _show_mix(self, mix: PredictionMix) -> None:
        window = {(name, "window"): value for name, value in mix.window.items()}
        reference = {(name, "reference"): value for name, value in mix.reference.items()}
        show_only(self._mix, {**window, **reference})
