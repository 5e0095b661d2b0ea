"""Rules that say at each check which columns drifted: ours as it is shipped, and the ones it is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from scipy.stats import wasserstein_distance

from benchmarks.drift.frames import Drawing, Floats, Frame
from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from monitoring_service.drift.detectors import SCORE, StreamDetectors
from monitoring_service.drift.univariate import DriftReference, measure_columns, measure_scores
from monitoring_service.drift.verdict import Cause, CheckTime, ColumnVerdict, Rule, judge
from monitoring_service.messages import ColumnMeasure
from monitoring_service.windows.columns import CategoryValues, ColumnValues, NumberValues

#: Evidently's own threshold for the two scores that it chooses when the reference has more than 1,000 rows.
EVIDENTLY_THRESHOLD = 0.1
PSI_THRESHOLDS = (0.1, 0.2)
UNCORRECTED = 0.05

Flags = dict[str, set[str]]
#: Of the columns, and of the score.
Measured = tuple[list[ColumnMeasure], ColumnMeasure]


class Verdicts:
    """The shipped verdict at each check of one stream, and what its window test's p-values would say uncorrected."""

    def __init__(self, case: Case, drawing: Drawing) -> None:
        monitoring = case.monitoring
        self._case = case
        self._rule = Rule(monitoring.significance, monitoring.consecutive_checks, monitoring.window_rows)
        self._effects = {column.name: case.minimum_effect(column) for column in case.columns}
        self._reference = DriftReference(case, drawing.profile)
        self._detectors = StreamDetectors(case, drawing.profile)
        self._verdicts: list[ColumnVerdict] = []

    def check(self, row: int, rows: Frame, scores: Floats) -> set[str]:
        """Names of columns, and ``score``, with a verdict at the check at ``row``, the last of ``rows`` so far."""
        return set(self.decide(row, rows, scores, self.measure(row, rows, scores)))

    def measure(self, row: int, rows: Frame, scores: Floats) -> Measured:
        """What the window's tests say; no limit of the verdict is asked."""
        window = slice(max(0, row - self._case.monitoring.window_rows), row)
        columns = measure_columns(self._case, self._reference, rows.take(window).columns)
        return columns, measure_scores(self._case, self._reference, scores[window])

    def decide(self, row: int, rows: Frame, scores: Floats, measured: Measured) -> dict[str, Cause]:
        """The verdicts by name, each with what made it."""
        monitoring = self._case.monitoring
        new = slice(row - monitoring.check_every_rows, row)
        alarms = self._detectors.advance(row, rows.take(new).columns, scores[new])
        if row < monitoring.minimum_rows:
            return {}
        columns, score = measured
        states = {verdict.measure.name: verdict.verdict_state for verdict in self._verdicts}
        check_time = CheckTime(row, "")
        self._verdicts = [
            *judge(columns, self._effects, states, check_time, self._rule, alarms, [score]),
            *judge([score], {SCORE: monitoring.minimum_effect}, states, check_time, self._rule, alarms, columns),
        ]
        drifted = {one.measure.name: one.verdict_state for one in self._verdicts if one.verdict_state.drifted}
        return {name: state.cause for name, state in drifted.items() if state.cause is not None}

    @property
    def significant(self) -> set[str]:
        """Columns whose p-value of the newest check is below 0.05, each for itself."""
        p_values = {column_verdict.measure.name: column_verdict.measure.p_value for column_verdict in self._verdicts}
        return {name for name, p_value in p_values.items() if p_value is not None and p_value < UNCORRECTED}


class Rival(Protocol):
    """A rule that looks at one column of one window."""

    def flags(self, reference: NumberProfile | CategoryProfile, values: ColumnValues) -> bool: ...


class EvidentlyDefault:
    """Wasserstein distance in the reference's standard deviations, or Jensen-Shannon distance; 0.1 or more is drift.

    The same numbers as Evidently's (a test holds this) in a fortieth of the time.
    """

    def flags(self, reference: NumberProfile | CategoryProfile, values: ColumnValues) -> bool:
        return evidently_score(reference, values) >= EVIDENTLY_THRESHOLD


class PopulationStability:
    """The population stability index over the reference's tenths, or its categories."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    def flags(self, reference: NumberProfile | CategoryProfile, values: ColumnValues) -> bool:
        return population_stability(reference, values) >= self._threshold


def rivals() -> Mapping[str, Rival]:
    index = {f"PSI ≥ {threshold}": PopulationStability(threshold) for threshold in PSI_THRESHOLDS}
    return {"Evidently's default": EvidentlyDefault(), **index}


def evidently_score(reference: NumberProfile | CategoryProfile, values: ColumnValues) -> float:
    if isinstance(reference, NumberProfile):
        assert isinstance(values, NumberValues)
        sorted_values, window = np.array(reference.sorted_values), values.values[np.isfinite(values.values)]
        return float(wasserstein_distance(sorted_values, window) / max(np.std(sorted_values), 0.001))
    before, after = _shares(reference, values, missing=False)
    middle = (before + after) / 2
    divergence = (_relative_entropy(before, middle) + _relative_entropy(after, middle)) / 2
    return float(np.sqrt(divergence))


def population_stability(reference: NumberProfile | CategoryProfile, values: ColumnValues) -> float:
    before, after = (np.maximum(shares, 1e-4) for shares in _shares(reference, values, missing=True))
    return float(((after - before) * np.log(after / before)).sum())


def _relative_entropy(shares: Floats, expected: Floats) -> float:
    there = shares > 0
    return float((shares[there] * np.log(shares[there] / expected[there])).sum())


def _shares(
    reference: NumberProfile | CategoryProfile, values: ColumnValues, *, missing: bool
) -> tuple[Floats, Floats]:
    if isinstance(reference, CategoryProfile):
        assert isinstance(values, CategoryValues)
        counts = [*(reference.counts.get(name, 0) for name in values.names), reference.missing]
        codes = np.where(values.codes < 0, len(values.names), values.codes)
        before, after = np.array(counts, dtype=np.float64), np.bincount(codes, minlength=len(counts)).astype(float)
        if not missing:
            before, after = before[:-1], after[:-1]
    else:
        assert isinstance(values, NumberValues)
        sorted_values = np.array(reference.sorted_values)
        edges = np.unique(np.quantile(sorted_values, np.arange(1, 10) / 10))
        before = np.bincount(np.searchsorted(edges, sorted_values), minlength=edges.size + 1).astype(float)
        window = values.values[np.isfinite(values.values)]
        after = np.bincount(np.searchsorted(edges, window), minlength=edges.size + 1).astype(float)
    return before / before.sum(), after / after.sum()
