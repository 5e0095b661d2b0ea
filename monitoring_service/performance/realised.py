"""Realised performance: metrics over rows with their labels, each with a 95 % interval.

A metric that is not defined (one class only, no spread) is left out: it is never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

from event_backbone.case.schema import Case
from event_backbone.model.calibration import CALIBRATION_BINS, calibration_bins, calibration_error
from monitoring_service.messages import MetricValue

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Below this many rows a metric says next to nothing: the interval of an accuracy is wider than 0.2.
FEWEST_ROWS = 30
#: The 97.5 % quantile of the standard normal distribution.
Z_95 = 1.959963984540054
#: Scores are kept this far from 0 and 1 in logarithms, as scikit-learn does.
SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Rows whose label is known, in three arrays of shape (rows,).

    ``predicted`` and ``actual`` are 1 for the positive class and 0 for the other, or the values of a regression.
    """

    scores: Floats
    predicted: Floats
    actual: Floats

    def where(self, chosen: Flags | slice) -> Answers:
        return Answers(self.scores[chosen], self.predicted[chosen], self.actual[chosen])


def answers_of(
    case: Case, scores: Sequence[float], predictions: Sequence[str | float], labels: Sequence[str | float]
) -> Answers:
    """The three sequences have one length."""
    return Answers(np.array(scores, dtype=np.float64), as_numbers(case, predictions), as_numbers(case, labels))


def as_numbers(case: Case, values: Sequence[str | float]) -> Floats:
    """Classes as 1 (positive) and 0, numbers as they are."""
    if case.is_binary:
        return np.array([value == case.target.positive for value in values], dtype=np.float64)
    return np.array(values, dtype=np.float64)


def realised_performance(case: Case, answers: Answers) -> dict[str, MetricValue]:
    """The case's realised metrics; empty below :data:`FEWEST_ROWS`."""
    if answers.actual.size < FEWEST_ROWS:
        return {}
    return _of_classes(answers) if case.is_binary else _of_regression(answers)


def _of_classes(answers: Answers) -> dict[str, MetricValue]:
    predicted, actual = answers.predicted > 0.5, answers.actual > 0.5
    rows, positives, claims = actual.size, int(actual.sum()), int(predicted.sum())
    hits, either = int((predicted & actual).sum()), int((predicted | actual).sum())
    metric_values = {"accuracy": wilson(int((predicted == actual).sum()), rows)}
    if claims:
        metric_values["precision"] = wilson(hits, claims)
    if positives:
        metric_values["recall"] = wilson(hits, positives)
    if either:
        metric_values["f1"] = _f1(hits, either)
    if 0 < positives < rows:
        metric_values["auc"] = _auc(answers.scores, actual)
    metric_values["log_loss"] = _log_loss(answers.scores, actual)
    metric_values["calibration_error"] = _calibration_error(answers.scores, actual)
    return metric_values


def wilson(hits: int, rows: int) -> MetricValue:
    """A share of independent rows and its score interval (Wilson 1927), which holds for few rows and near 0 and 1."""
    share, spread = hits / rows, Z_95**2 / rows
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / rows + spread / (4 * rows))
    # At 0 and 1 the bound is the share itself, but for rounding.
    return MetricValue(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def _f1(hits: int, either: int) -> MetricValue:
    """F1 rises with the share of hits among rows that are positive or called so: that share's interval, transformed.

    This is the indirect Wilson interval of Lam, Gopal and Qian (2023, arXiv:2309.14621).
    """
    share = wilson(hits, either)
    return MetricValue(*(2 * bound / (1 + bound) for bound in (share.value, share.low or 0.0, share.high or 0.0)))


def _auc(scores: Floats, actual: Flags) -> MetricValue:
    """Area under the ROC curve, ties counted half, with the interval of DeLong et al. (1988) on the logit scale.

    The variance comes from ranks, as in Sun and Xu (2014); the scale keeps the bounds between 0 and 1 (Pepe 2003).
    """
    positives, negatives = scores[actual], scores[~actual]
    ranks = rankdata(scores)
    # For each row the share of rows of the other class that it is on the right side of.
    above = (ranks[actual] - rankdata(positives)) / negatives.size
    below = 1 - (ranks[~actual] - rankdata(negatives)) / positives.size
    area = float(above.mean())
    if min(positives.size, negatives.size) < 2 or not 0 < area < 1:
        return MetricValue(area)
    variance = above.var(ddof=1) / positives.size + below.var(ddof=1) / negatives.size
    half = Z_95 * math.sqrt(variance) / (area * (1 - area))
    return MetricValue(area, float(expit(logit(area) - half)), float(expit(logit(area) + half)))


def _log_loss(scores: Floats, actual: Flags) -> MetricValue:
    """Mean negative log-likelihood, in nats; the interval is that of a mean."""
    scores = np.clip(scores, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return _mean(-np.log(np.where(actual, scores, 1 - scores)))


def _calibration_error(scores: Floats, actual: Flags) -> MetricValue:
    """See :func:`~event_backbone.model.calibration.calibration_error`; the interval is by the delta method.

    Each bin's share of positives is binomial, and the side on which it misses the mean score is taken as given.
    """
    place = calibration_bins(scores)
    rows = np.bincount(place, minlength=CALIBRATION_BINS)
    positives = np.bincount(place, weights=actual, minlength=CALIBRATION_BINS)
    variance = float((positives * (1 - positives / np.maximum(rows, 1))).sum()) / scores.size**2
    value, half = calibration_error(scores, actual), Z_95 * math.sqrt(variance)
    return MetricValue(value, max(0.0, value - half), min(1.0, value + half))


def _of_regression(answers: Answers) -> dict[str, MetricValue]:
    """Errors in the target's unit; R² is against the mean of these labels."""
    errors = answers.predicted - answers.actual
    squares = errors**2
    metric_values = {"mae": _mean(np.abs(errors)), "rmse": _root(_mean(squares))}
    spread = (answers.actual - answers.actual.mean()) ** 2
    if spread.sum() > 0:
        metric_values["r2"] = _one_minus_ratio(squares, spread)
    return metric_values


def _mean(values: Floats) -> MetricValue:
    """The mean of values that are never negative, by the central limit theorem."""
    mean, half = float(values.mean()), Z_95 * float(values.std(ddof=1)) / math.sqrt(values.size)
    return MetricValue(mean, max(0.0, mean - half), mean + half)


def _root(metric_value: MetricValue) -> MetricValue:
    return MetricValue(
        math.sqrt(metric_value.value), math.sqrt(metric_value.low or 0.0), math.sqrt(metric_value.high or 0.0)
    )


def _one_minus_ratio(above: Floats, below: Floats) -> MetricValue:
    """One minus the ratio of two means over the same rows, its variance linearised (Cochran 1977, ch. 2.11)."""
    ratio = float(above.sum() / below.sum())
    half = Z_95 * float((above - ratio * below).std(ddof=1)) / (float(below.mean()) * math.sqrt(below.size))
    return MetricValue(1 - ratio, 1 - ratio - half, min(1.0, 1 - ratio + half))
