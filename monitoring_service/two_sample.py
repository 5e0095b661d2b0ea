"""Two-sample tests: is the window drawn from what the reference was drawn from, and if not, how many rows moved?

Every function returns a p-value and an effect between 0 and 1 that can be read as a share of rows. Evidently's scores
can't serve here: their meaning changes with the column's kind and the reference's size, and most have no p-value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc
from scipy.stats import fisher_exact, kstwo

#: Cochran's rule: below this expected count the chi-square approximation can't be trusted.
SMALLEST_EXPECTED_COUNT = 5.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``p_value`` of "nothing moved"; ``effect`` from 0 (equal) to 1 (nothing in common)."""

    p_value: float
    effect: float


def compare_numbers(reference_sorted: Floats, window: Floats) -> Comparison:
    """Two-sample Kolmogorov-Smirnov; the effect is its statistic D, the largest gap between the two ECDFs.

    Both one-dimensional, finite and not empty, the reference in rising order. The p-value is scipy's
    ``ks_2samp(method="asymp")``: with ties, as in whole numbers, it is too large rather than too small.
    """
    rising = np.sort(window)
    # Between two values of the window its ECDF is flat and the reference's only rises: the gap is largest at a value of
    # the window or just before one.
    at = np.abs(_ecdf(reference_sorted, rising, "right") - _ecdf(rising, rising, "right"))
    before = np.abs(_ecdf(reference_sorted, rising, "left") - _ecdf(rising, rising, "left"))
    distance = float(max(at.max(), before.max()))
    large, small = max(reference_sorted.size, window.size), min(reference_sorted.size, window.size)
    return Comparison(float(kstwo.sf(distance, np.round(large * small / (large + small)))), distance)


def _ecdf(rising: Floats, places: Floats, side: Literal["left", "right"]) -> Floats:
    """Share of values at or below each place, or strictly below it (``left``)."""
    share: Floats = np.searchsorted(rising, places, side=side) / rising.size
    return share


def compare_counts(reference: Floats, window: Floats) -> Comparison:
    """Chi-square on the table of both samples' category counts; the effect is the total variation distance of shares.

    Both of shape ``(categories,)`` in the same order. Categories too rare for the approximation are pooled for the
    p-value, never for the effect.
    """
    effect = float(np.abs(reference / reference.sum() - window / window.sum()).sum() / 2)
    table = _pool_rare(np.stack([reference, window]))
    return Comparison(_chi_square_p(table), effect)


def compare_shares(reference_hits: int, reference_rows: int, window_hits: int, window_rows: int) -> Comparison:
    """Two proportions: chi-square on the 2x2 table, Fisher's exact test where a count is too small for it.

    The effect is the difference of the two shares.
    """
    table = np.array(
        [[reference_hits, reference_rows - reference_hits], [window_hits, window_rows - window_hits]], dtype=np.float64
    )
    effect = abs(reference_hits / reference_rows - window_hits / window_rows)
    if _expected(table).min() >= SMALLEST_EXPECTED_COUNT:
        return Comparison(_chi_square_p(table), effect)
    return Comparison(float(fisher_exact(table.astype(np.int64)).pvalue), effect)


def either(comparisons: list[Comparison]) -> Comparison:
    """One answer for several tests of one column: the smallest p-value times their number, and that test's effect."""
    strongest = min(comparisons, key=lambda comparison: comparison.p_value)
    return Comparison(min(1.0, strongest.p_value * len(comparisons)), strongest.effect)


def _expected(table: Floats) -> Floats:
    expected: Floats = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return expected


def _pool_rare(table: Floats) -> Floats:
    """Join the columns with too small an expected count, and a pool that is still too small with the next smallest."""
    table = table[:, table.sum(axis=0) > 0]
    table = table[:, np.argsort(table.sum(axis=0), kind="stable")]
    rare = int((_expected(table).min(axis=0) < SMALLEST_EXPECTED_COUNT).sum())
    while 0 < rare < table.shape[1]:
        pool = table[:, :rare].sum(axis=1, keepdims=True)
        pooled = np.concatenate([pool, table[:, rare:]], axis=1)
        if _expected(pooled)[:, 0].min() >= SMALLEST_EXPECTED_COUNT:
            return pooled
        rare += 1
    return table if rare == 0 else table.sum(axis=1, keepdims=True)


def _chi_square_p(table: Floats) -> float:
    """Pearson's test without Yates' correction; 1 when fewer than two categories are left to compare."""
    if table.shape[1] < 2 or (table.sum(axis=0) == 0).any():
        return 1.0
    expected = _expected(table)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(chdtrc(table.shape[1] - 1, statistic))
