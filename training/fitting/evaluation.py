"""Evaluation of scores against labels."""

from __future__ import annotations

from typing import cast

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.model.calibration import calibration_error
from training.data.rows import Floats


def evaluate(case: Case, targets: Floats, scores: Floats, threshold: float | None) -> dict[str, float]:
    """Measures of ``scores`` against ``targets``, both of shape (rows,).

    A binary case has ``auc``, ``average_precision``, ``log_loss``, ``calibration_error`` and ``brier`` of the scores,
    and ``accuracy``, ``f1``, ``precision`` and ``recall`` of the classes at ``threshold``; a regression has ``mae``,
    ``mse``, ``rmse`` and ``r2``.
    """
    measured = _of_classes(targets, scores, cast(float, threshold)) if case.is_binary else _of_values(targets, scores)
    return {name: float(value) for name, value in measured.items()}


def _of_classes(targets: Floats, scores: Floats, threshold: float) -> dict[str, float]:
    from sklearn import metrics

    classes = scores >= threshold
    return {
        "auc": metrics.roc_auc_score(targets, scores),
        "average_precision": metrics.average_precision_score(targets, scores),
        "accuracy": metrics.accuracy_score(targets, classes),
        "f1": metrics.f1_score(targets, classes),
        "precision": metrics.precision_score(targets, classes, zero_division=0.0),
        "recall": metrics.recall_score(targets, classes),
        "log_loss": metrics.log_loss(targets, scores),
        "calibration_error": calibration_error(scores, targets > 0.5),
        "brier": metrics.brier_score_loss(targets, scores),
        "mean_score": scores.mean(),
        "positive_share": targets.mean(),
    }


def _of_values(targets: Floats, scores: Floats) -> dict[str, float]:
    from sklearn import metrics

    mse = metrics.mean_squared_error(targets, scores)
    return {
        "mae": metrics.mean_absolute_error(targets, scores),
        "mse": mse,
        "rmse": np.sqrt(mse),
        "r2": metrics.r2_score(targets, scores),
    }


def best_f1_threshold(targets: Floats, scores: Floats) -> float:
    """The score at and above which calling a row positive gives the highest F1."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(targets, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    # The last point of the curve (recall 0) has no threshold.
    return float(thresholds[np.argmax(f1[:-1])])
