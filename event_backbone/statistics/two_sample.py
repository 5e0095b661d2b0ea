"""Two-sample tests: p-value and effect of the difference between window and reference.

Every function returns a p-value and an effect between 0 and 1 that can be read as a share of rows. Evidently's scores
can't serve here: their meaning changes with the column's kind and the reference's size, and most have no p-value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, gammaln
from scipy.stats import kstwo

#: Cochran's rule: below this expected count the chi-square approximation can't be trusted.
SMALLEST_EXPECTED_COUNT = 5.0
#: Two tables count as equally likely up to this: R's ``fisher.test`` allows for rounding as much.
_EQUALLY_LIKELY = 1e-7

Floats = NDArray[np.float64]
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class TwoSampleResult:
    """``p_value`` of "nothing moved"; ``effect`` from 0 (equal) to 1 (nothing in common)."""

    p_value: float
    effect: float


def compare_numbers(reference_sorted: Floats, window_sorted: Floats) -> TwoSampleResult:
    """Two-sample Kolmogorov-Smirnov; the effect is its statistic D, the largest distance of the two ECDFs.

    Both one-dimensional, finite, not empty and in ascending order. The p-value is scipy's ``ks_2samp(method="asymp")``:
    with ties, as in whole numbers, it is too large rather than too small.
    """
    # Between two values of the window its ECDF is flat and the reference's only rises: the gap is largest at a value of
    # the window or just before one. Counted in whole rows, so that equal gaps are equal numbers.
    sizes = reference_sorted.size, window_sorted.size
    gap = 0
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    for side in sides:
        below_reference = np.searchsorted(reference_sorted, window_sorted, side=side)
        below_window = np.searchsorted(window_sorted, window_sorted, side=side)
        gap = max(gap, int(np.abs(below_reference * sizes[1] - below_window * sizes[0]).max()))
    return TwoSampleResult(_kolmogorov_smirnov_p(gap, *sizes), gap / (sizes[0] * sizes[1]))


@lru_cache(maxsize=65_536)
def _kolmogorov_smirnov_p(gap: int, reference_rows: int, window_rows: int) -> float:
    """The exact distribution takes up to half a millisecond, and window after window has one of the same few gaps."""
    rows = reference_rows * window_rows
    return float(kstwo.sf(gap / rows, np.round(rows / (reference_rows + window_rows))))


def compare_counts(reference: Floats, window: Floats) -> TwoSampleResult:
    """Two samples' category counts; the effect is the total variation distance of shares.

    Both of shape ``(categories,)`` in the same order. Chi-square tests the categories that are common enough for it,
    with all rare ones as one where they are enough together. Each rare category is tested exactly, too: in a pool, one
    that rises hides one that falls, and one that is new hides in a common one. The smaller of both p-values counts,
    times two where there were two; of ``n`` exact ones, the smallest times ``n``.
    """
    effect = float(np.abs(reference / reference.sum() - window / window.sum()).sum() / 2)
    table = np.stack([reference, window])
    return TwoSampleResult(_strongest_p([*_tests_of_counts(table[:, table.sum(axis=0) > 0])]), effect)


def _tests_of_counts(table: Floats) -> Iterator[float]:
    expected = _expected(table).min(axis=0)
    is_rare = expected < SMALLEST_EXPECTED_COUNT
    common, rare = table[:, ~is_rare], table[:, is_rare]
    pool = rare.sum(axis=1, keepdims=True)
    if expected[is_rare].sum() >= SMALLEST_EXPECTED_COUNT:
        common = np.concatenate([common, pool], axis=1)
    elif rare.shape[1] > 1:
        rare = np.concatenate([rare, pool], axis=1)
    if common.shape[1] > 1 and common.sum(axis=1).all():
        yield _chi_square_p(common)
    if rare.shape[1]:
        rows = table.sum(axis=1)
        yield _strongest_p([_fisher_p(int(hits[0]), int(rows[0]), int(hits[1]), int(rows[1])) for hits in rare.T])


def _strongest_p(p_values: Sequence[float]) -> float:
    """The smallest times their number (Bonferroni); 1 where nothing could be tested."""
    return min(1.0, min(p_values) * len(p_values)) if p_values else 1.0


def compare_shares(reference_hits: int, reference_rows: int, window_hits: int, window_rows: int) -> TwoSampleResult:
    """Two proportions: chi-square on the 2x2 table, Fisher's exact test where a count is too small for it.

    The effect is the difference of the two shares.
    """
    table = np.array(
        [[reference_hits, reference_rows - reference_hits], [window_hits, window_rows - window_hits]], dtype=np.float64
    )
    effect = abs(reference_hits / reference_rows - window_hits / window_rows)
    if _expected(table).min() >= SMALLEST_EXPECTED_COUNT:
        return TwoSampleResult(_chi_square_p(table), effect)
    return TwoSampleResult(_fisher_p(reference_hits, reference_rows, window_hits, window_rows), effect)


@lru_cache(maxsize=65_536)
def _fisher_p(reference_hits: int, reference_rows: int, window_hits: int, window_rows: int) -> float:
    """Two-sided: all tables of these sums that are no likelier than the one seen. scipy's takes ten times as long."""
    hits = reference_hits + window_hits
    fewest = max(0, hits - reference_rows)
    in_window = np.arange(fewest, min(hits, window_rows) + 1)
    log_ways = _log_choose(window_rows, in_window) + _log_choose(reference_rows, hits - in_window)
    share = np.exp(log_ways - log_ways.max())
    no_likelier = log_ways <= log_ways[window_hits - fewest] + _EQUALLY_LIKELY
    return float(min(1.0, share[no_likelier].sum() / share.sum()))


def _log_choose(rows: int, hits: NDArray[np.int_]) -> Floats:
    ways: Floats = gammaln(rows + 1) - gammaln(hits + 1) - gammaln(rows - hits + 1)
    return ways


def strongest_of(comparisons: Mapping[Name, TwoSampleResult]) -> tuple[Name, TwoSampleResult]:
    """The result of several tests of one column: the smallest p-value times their number, and that test's effect."""
    name, strongest = min(comparisons.items(), key=lambda named: named[1].p_value)
    return name, TwoSampleResult(_strongest_p([one.p_value for one in comparisons.values()]), strongest.effect)


def _expected(table: Floats) -> Floats:
    expected: Floats = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return expected


def _chi_square_p(table: Floats) -> float:
    """Pearson's test without Yates' correction; no row and no column is empty."""
    expected = _expected(table)
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(chdtrc(table.shape[1] - 1, statistic))
