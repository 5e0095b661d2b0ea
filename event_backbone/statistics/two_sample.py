"""Two-sample tests: is the window drawn from what the reference was drawn from, and if not, how many rows moved?

Every function returns a p-value and an effect between 0 and 1 that can be read as a share of rows. Evidently's scores
can't serve here: their meaning changes with the column's kind and the reference's size, and most have no p-value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc
from scipy.stats import fisher_exact, kstwo

#: Cochran's rule: below this expected count the chi-square approximation can't be trusted.
SMALLEST_EXPECTED_COUNT = 5.0

Floats = NDArray[np.float64]
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class TestResult:
    """``p_value`` of "nothing moved"; ``effect`` from 0 (equal) to 1 (nothing in common)."""

    p_value: float
    effect: float


def compare_numbers(reference_rising: Floats, window_rising: Floats) -> TestResult:
    """Two-sample Kolmogorov-Smirnov; the effect is its statistic D, the largest gap between the two ECDFs.

    Both one-dimensional, finite, not empty and in rising order. The p-value is scipy's ``ks_2samp(method="asymp")``:
    with ties, as in whole numbers, it is too large rather than too small.
    """
    # Between two values of the window its ECDF is flat and the reference's only rises: the gap is largest at a value of
    # the window or just before one. Counted in whole rows, so that equal gaps are equal numbers.
    sizes = reference_rising.size, window_rising.size
    gap = 0
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    for side in sides:
        below_reference = np.searchsorted(reference_rising, window_rising, side=side)
        below_window = np.searchsorted(window_rising, window_rising, side=side)
        gap = max(gap, int(np.abs(below_reference * sizes[1] - below_window * sizes[0]).max()))
    return TestResult(_kolmogorov_smirnov_p(gap, *sizes), gap / (sizes[0] * sizes[1]))


@lru_cache(maxsize=65_536)
def _kolmogorov_smirnov_p(gap: int, reference_rows: int, window_rows: int) -> float:
    """The exact distribution takes up to half a millisecond, and window after window has one of the same few gaps."""
    rows = reference_rows * window_rows
    return float(kstwo.sf(gap / rows, np.round(rows / (reference_rows + window_rows))))


def compare_counts(reference: Floats, window: Floats) -> TestResult:
    """Chi-square on the table of both samples' category counts; the effect is the total variation distance of shares.

    Both of shape ``(categories,)`` in the same order. Categories too rare for the approximation are pooled for the
    p-value, never for the effect.
    """
    effect = float(np.abs(reference / reference.sum() - window / window.sum()).sum() / 2)
    table = _pool_rare(np.stack([reference, window]))
    return TestResult(_chi_square_p(table), effect)


def compare_shares(reference_hits: int, reference_rows: int, window_hits: int, window_rows: int) -> TestResult:
    """Two proportions: chi-square on the 2x2 table, Fisher's exact test where a count is too small for it.

    The effect is the difference of the two shares.
    """
    table = np.array(
        [[reference_hits, reference_rows - reference_hits], [window_hits, window_rows - window_hits]], dtype=np.float64
    )
    effect = abs(reference_hits / reference_rows - window_hits / window_rows)
    if _expected(table).min() >= SMALLEST_EXPECTED_COUNT:
        return TestResult(_chi_square_p(table), effect)
    return TestResult(_fisher_p(reference_hits, reference_rows, window_hits, window_rows), effect)


@lru_cache(maxsize=65_536)
def _fisher_p(reference_hits: int, reference_rows: int, window_hits: int, window_rows: int) -> float:
    table = [[reference_hits, reference_rows - reference_hits], [window_hits, window_rows - window_hits]]
    return float(fisher_exact(table).pvalue)


def strongest_of(comparisons: Mapping[Name, TestResult]) -> tuple[Name, TestResult]:
    """One answer for several tests of one column: the smallest p-value times their number, and that test's effect."""
    name, strongest = min(comparisons.items(), key=lambda named: named[1].p_value)
    return name, TestResult(min(1.0, strongest.p_value * len(comparisons)), strongest.effect)


def _expected(table: Floats) -> Floats:
    expected: Floats = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return expected


def _pool_rare(table: Floats) -> Floats:
    """Join the columns with too small an expected count, and a pool that is still too small with the next smallest."""
    of_category = table.sum(axis=0)
    rising = np.argsort(of_category, kind="stable")[int((of_category == 0).sum()) :]
    table = table[:, rising]
    smallest_expected = of_category[rising] * (table.sum(axis=1).min() / of_category.sum())
    rare = int(np.searchsorted(smallest_expected, SMALLEST_EXPECTED_COUNT))
    if rare == 0:
        return table
    pooled = max(rare, int(np.searchsorted(np.cumsum(smallest_expected), SMALLEST_EXPECTED_COUNT)) + 1)
    return np.concatenate([table[:, :pooled].sum(axis=1, keepdims=True), table[:, pooled:]], axis=1)


def _chi_square_p(table: Floats) -> float:
    """Pearson's test without Yates' correction; 1 when fewer than two categories are left to compare."""
    if table.shape[1] < 2 or (table.sum(axis=0) == 0).any():
        return 1.0
    expected = _expected(table)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(chdtrc(table.shape[1] - 1, statistic))
