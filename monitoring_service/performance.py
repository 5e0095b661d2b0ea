"""How good the predictions were, once their labels are there: plain formulas over joined rows.

A figure that is not defined (one class only, no spread) is left out: it is never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from event_backbone.case import Case


def performance(
    case: Case, scores: Sequence[float], predictions: Sequence[str | float], labels: Sequence[str | float]
) -> dict[str, float]:
    """The case's figures over rows that have a label; the three sequences have one length. Empty when there is none."""
    if not labels:
        return {}
    if not case.is_binary:
        return _of_regression(np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64))
    actual = np.array([label == case.target.positive for label in labels])
    predicted = np.array([prediction == case.target.positive for prediction in predictions])
    return _of_classes(np.asarray(scores, dtype=np.float64), predicted, actual)


def _of_classes(
    scores: NDArray[np.float64], predicted: NDArray[np.bool_], actual: NDArray[np.bool_]
) -> dict[str, float]:
    hits = int((predicted & actual).sum())
    claims_and_positives = int(predicted.sum() + actual.sum())
    figures = {"accuracy": float((predicted == actual).mean())}
    if claims_and_positives:
        figures["f1"] = 2 * hits / claims_and_positives
    if 0 < actual.sum() < actual.size:
        figures["auc"] = _auc(scores, actual)
    return figures


def _auc(scores: NDArray[np.float64], actual: NDArray[np.bool_]) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic over ranks, ties counted half (Hanley, McNeil 1982)."""
    positives = int(actual.sum())
    rank_sum = float(rankdata(scores)[actual].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * (actual.size - positives))


def _of_regression(predicted: NDArray[np.float64], actual: NDArray[np.float64]) -> dict[str, float]:
    """Errors in the target's unit; R² is against the mean of these labels."""
    errors = predicted - actual
    figures = {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}
    spread = float(((actual - actual.mean()) ** 2).sum())
    if spread > 0:
        figures["r2"] = 1 - float((errors**2).sum()) / spread
    return figures
