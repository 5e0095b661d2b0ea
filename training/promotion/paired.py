"""Paired comparison of two models on the same rows, with confidence limits.

Both models score the same rows, so a resample keeps each row's pair of scores together; what makes a row hard for both
cancels out, and a difference is known far better than either value (Efron and Tibshirani 1993, chapter 13).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from event_backbone.model.calibration import calibration_error
from training.data.rows import Floats

RESAMPLES = 2000
#: Resamples that are measured at once; more would only take memory.
_AT_ONCE = 100

#: A measure of ``scores`` against ``targets``, both of shape (..., rows); the result has shape (...).
Measure = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class PairedDifference:
    """A measure of the challenger minus that of the champion, and the one-sided lower confidence limit of it."""

    value: float
    lower: float


def bootstrap_difference(
    measure: Measure, targets: Floats, challenger: Floats, champion: Floats, *, confidence: float, seed: int
) -> PairedDifference:
    """Percentile bootstrap over rows of the difference; all arrays of shape (rows,).

    ``lower`` is what the difference is above with probability ``confidence``.
    """
    from scipy.stats import bootstrap

    def difference(targets: Any, challenger: Any, champion: Any, axis: int = -1) -> Any:
        # SciPy passes resamples with the rows last.
        return measure(targets, challenger) - measure(targets, champion)

    sample = (targets, challenger, champion)
    interval = bootstrap(
        sample,
        difference,
        n_resamples=RESAMPLES,
        batch=_AT_ONCE,
        vectorized=True,
        paired=True,
        confidence_level=confidence,
        alternative="greater",
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return PairedDifference(float(difference(*sample)), float(interval.low))


def mean_growth(challenger_errors: Floats, champion_errors: Floats) -> tuple[float, float]:
    """How much larger the challenger's mean error is, and the one-sided p of it not being larger at all.

    The paired t-test of Student (1908); both arrays of shape (rows,), at least two rows. Where every pair has the same
    difference nothing is left to chance: p is 0 or 1.
    """
    from scipy.stats import ttest_rel

    growth = challenger_errors - champion_errors
    if np.ptp(growth) == 0.0:
        return float(growth[0]), float(growth[0] <= 0)
    return float(growth.mean()), float(ttest_rel(challenger_errors, champion_errors, alternative="greater").pvalue)


def auc(targets: Any, scores: Any) -> Any:
    """Area under the ROC curve by ranks (Mann and Whitney 1947; Hanley and McNeil 1982), ties counted half.

    Where a resample has one class only nothing can be ranked: 0.5.
    """
    from scipy.stats import rankdata

    positives = targets.sum(axis=-1)
    negatives = targets.shape[-1] - positives
    above = (rankdata(scores, axis=-1) * targets).sum(axis=-1) - positives * (positives + 1) / 2
    pairs = positives * negatives
    return np.where(pairs > 0, above / np.maximum(pairs, 1), 0.5)


def r2(targets: Any, scores: Any) -> Any:
    """Coefficient of determination: 1 less the squared errors' share of the targets' own spread."""
    spread = ((targets - targets.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    return 1 - ((targets - scores) ** 2).sum(axis=-1) / np.maximum(spread, np.finfo(np.float64).tiny)


def miscalibration(targets: Any, scores: Any) -> Any:
    """The calibration error of each resample: see :func:`~event_backbone.model.calibration.calibration_error`.

    Of values instead of probabilities it is the same mean over bins of |mean target - mean score|, in their unit.
    """
    flat_targets, flat_scores = (np.reshape(array, (-1, array.shape[-1])) for array in (targets, scores))
    errors = [calibration_error(score, target) for score, target in zip(flat_scores, flat_targets, strict=True)]
    return np.reshape(errors, np.shape(targets)[:-1])
