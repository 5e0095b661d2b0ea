"""Estimated performance, from scores before any label is there, and the gap to what labels then show.

Confidence-based performance estimation (CBPE, as NannyML calls it): the calibrated score of a row is the chance that it
is positive, so every metric has an expected value. It follows inputs that moved (covariate shift) and is blind to a
changed meaning of the same inputs (concept drift): the gap to realised metrics is what shows that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from event_backbone.case.schema import Case
from event_backbone.model.calibration import expected_at, expected_squares_at
from event_backbone.model.reference_profile import Calibration, Profile
from monitoring_service.messages import MetricValue
from monitoring_service.performance.realised import FEWEST_ROWS, SMALLEST_PROBABILITY, Z_95, Answers, Flags, Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Estimate:
    """An expected metric value, and how much it changes with each row's label, shape (rows,)."""

    value: float
    slope: Floats


def estimated_performance(case: Case, profile: Profile, scores: Floats, predicted: Floats) -> dict[str, MetricValue]:
    """Expected metrics of rows whose labels are not known; ``predicted`` is as in :class:`.Answers`.

    The interval is where the realised metric of these rows will be in 95 of 100 cases, while the calibration holds.
    Empty below :data:`.FEWEST_ROWS` and without an expectation.
    """
    expectation = profile.expectation
    if expectation is None or scores.size < FEWEST_ROWS:
        return {}
    expected, widening = expected_at(expectation, scores), _widening(profile, expectation, scores.size)
    if not case.is_binary:
        return _of_regression(expected, expected_squares_at(expectation, scores), widening)
    # A sum of independent Bernoulli variables, linearised.
    doubt = expected * (1 - expected) * widening
    estimates = _of_classes(scores, predicted > 0.5, expected)
    limits = {name: (0.0, math.inf if name == "log_loss" else 1.0) for name in estimates}
    return {
        name: _metric_value(one.value, (one.slope**2 * doubt).sum(), *limits[name]) for name, one in estimates.items()
    }


def _widening(profile: Profile, expectation: Calibration, rows: int) -> float:
    """What the expectation was fitted to is a sample too: its share of the variance, beside that of these rows."""
    return 1 + rows / (expectation.rows or profile.scores.rows)


def _metric_value(value: float, variance: float, lowest: float, highest: float) -> MetricValue:
    half = Z_95 * math.sqrt(variance)
    return MetricValue(value, max(lowest, value - half), min(highest, value + half))


def _of_regression(absolute: Floats, squares: Floats, widening: float) -> dict[str, MetricValue]:
    """R² is left out: it needs the spread of labels that are not known."""
    variance = float(np.maximum(squares - absolute**2, 0.0).sum()) * widening / absolute.size**2
    return {
        "mae": _metric_value(float(absolute.mean()), variance, 0.0, math.inf),
        "rmse": MetricValue(math.sqrt(float(squares.mean()))),
    }


def _of_classes(scores: Floats, claimed: Flags, expected: Floats) -> dict[str, _Estimate]:
    rows, claims, claim = expected.size, int(claimed.sum()), claimed.astype(np.float64)
    hits, positives = float(expected[claimed].sum()), float(expected.sum())
    right = np.where(claimed, expected, 1 - expected)
    found = {"accuracy": _Estimate(float(right.mean()), np.where(claimed, 1.0, -1.0) / rows)}
    if claims:
        found["precision"] = _Estimate(hits / claims, claim / claims)
    if positives:
        recall, f1 = hits / positives, 2 * hits / (claims + positives)
        found["recall"] = _Estimate(recall, (claim - recall) / positives)
        found["f1"] = _Estimate(f1, (2 * claim - f1) / (claims + positives))
    if 0 < positives < rows:
        found["auc"] = _auc(scores, expected)
    found["log_loss"] = _log_loss(scores, expected)
    return found


def _auc(scores: Floats, expected: Floats) -> _Estimate:
    """Expected pairs of a positive and another row in the right order, ties counted half, among all such pairs."""
    _, place = np.unique(scores, return_inverse=True)
    positive, negative = np.bincount(place, weights=expected), np.bincount(place, weights=1 - expected)
    negative_below = (np.cumsum(negative) - negative / 2)[place]
    positive_above = (positive.sum() - np.cumsum(positive) + positive / 2)[place]
    # A row is no pair with itself.
    itself = float((expected * (1 - expected)).sum())
    ordered = float((expected * negative_below).sum()) - itself / 2
    pairs = float(positive.sum() * negative.sum()) - itself
    area = ordered / pairs
    slope = (negative_below - positive_above - area * (negative.sum() - positive.sum())) / pairs
    return _Estimate(area, slope)


def _log_loss(scores: Floats, expected: Floats) -> _Estimate:
    scores = np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    if_positive, if_negative = -np.log(scores), -np.log(1 - scores)
    loss = expected * if_positive + (1 - expected) * if_negative
    return _Estimate(float(loss.mean()), (if_positive - if_negative) / scores.size)


def performance_gap(case: Case, profile: Profile, answers: Answers) -> dict[str, MetricValue]:
    """By how much the primary metric of labelled rows is worse than what was estimated for the same rows.

    ``accuracy``: expected minus realised. ``mae``: realised over expected, minus 1. The interval leaves out the case's
    ``significance`` on either side, since a condition rests on it. Empty below ``minimum_labelled_rows`` and without an
    expectation.
    """
    expectation, rows = profile.expectation, answers.actual.size
    if expectation is None or rows < case.monitoring.quality.minimum_labelled_rows:
        return {}
    expected = expected_at(expectation, answers.scores)
    if case.is_binary:
        name, value = "accuracy", _missed_answers(expected, answers)
        variance = float((expected * (1 - expected)).sum())
    else:
        name, value = "mae", _excess_error(expected, answers)
        squares = expected_squares_at(expectation, answers.scores)
        variance = float(np.maximum(squares - expected**2, 0.0).sum()) / float(expected.mean()) ** 2
    deviation = math.sqrt(variance * _widening(profile, expectation, rows)) / rows
    half = -float(ndtri(case.monitoring.significance)) * deviation
    return {name: MetricValue(value, value - half, value + half)}


def _missed_answers(expected: Floats, answers: Answers) -> float:
    """The expected share of right answers minus the realised one."""
    right = answers.predicted == answers.actual
    return float((np.where(answers.predicted > 0.5, expected, 1 - expected) - right).mean())


def _excess_error(expected: Floats, answers: Answers) -> float:
    return float(np.abs(answers.predicted - answers.actual).mean() / expected.mean()) - 1
