"""Change-point scan: the likelihood ratio of every split point of a series.

Lai, Sequential changepoint detection in quality control and dynamical systems, J. R. Statist. Soc. B 57 (1995), 613:
the rows since a split point are compared with everything before it, for all split points and again at every check
(generalised likelihood ratio). Log-likelihood ratios are in nats: of a normal mean, half the squared number of standard
errors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Split points of each doubling of their age: one in between adds less than a twentieth of the rows.
AGES_A_DOUBLING = 8

#: Every series.
ALL = slice(None)

#: So that nothing divided by nothing is nothing.
TINY = 1e-12


class ReferenceTotals(NamedTuple):
    """Rows, means and variances of every series in the reference: arrays of shape ``(series, 1)``.

    ``is_share``, of shape ``(series,)``: the values are 0 or 1, and their mean is a share.
    """

    rows: Floats
    means: Floats
    variances: Floats
    is_share: NDArray[np.bool_]


class Since(NamedTuple):
    """Rows since each split point, arrays of shape ``(series, split points)``; without ``rows`` there are none.

    ``distance``: of the mean from the reference's.
    """

    rows: Floats
    totals: Floats
    means: Floats
    distance: Floats


class ChangePointScan:
    """The sums of many series after each check, of which there are at most ``checks``. Not thread-safe.

    A split point is the number of checks before it; ``now`` is the one after the last check.
    """

    def __init__(self, reference: ReferenceTotals, checks: int) -> None:
        self._reference = reference
        self._is_share = reference.is_share[:, np.newaxis]
        self._rows = np.zeros((reference.rows.size, checks + 1))
        self._totals = np.zeros((reference.rows.size, checks + 1))
        self._ages = _ages(checks)
        # Of each series' first number, where all are one long array: that is read four times as fast.
        self._starts = np.arange(reference.rows.size)[:, np.newaxis] * (checks + 1)
        self.now = 0

    def add(self, rows: Floats, totals: Floats) -> None:
        """Take in one check's number of values and their sum, each of shape ``(series,)``."""
        self.now += 1
        self._rows[:, self.now] = self._rows[:, self.now - 1] + rows
        self._totals[:, self.now] = self._totals[:, self.now - 1] + totals

    def split_points(self, first: Indices) -> Indices:
        """Candidates for the change, shape ``(series, split points)``: none before a series' ``first``."""
        return np.maximum(self.now - self._ages[self._ages <= self.now], first[:, np.newaxis])

    def since(self, split_points: Indices) -> Since:
        """Totals since ``split_points``, of the same shape."""
        rows, totals = self._since(split_points)
        means = totals / np.maximum(rows, 1.0)
        return Since(rows, totals, means, np.abs(means - self._reference.means))

    def log_likelihood_ratio(self, since: Since, base: Indices, worth: float) -> Floats:
        """In nats, beside all that came before, the reference first; nothing before ``base``, ``(series,)``, counts.

        What is less than ``worth`` may be larger than it is, but not that large.
        """
        reference = self._reference
        rows, totals = self._since(base[:, np.newaxis])
        before = reference.rows + rows - since.rows
        means = (reference.rows * reference.means + totals - since.totals) / before
        return self._log_likelihood_ratio(since, before, means, worth)

    def divergence_from_reference(self, since: Since, worth: float, series: Indices | slice = ALL) -> Floats:
        """The same beside the reference alone; ``since`` holds these ``series`` only."""
        return self._log_likelihood_ratio(
            since, self._reference.rows[series], self._reference.means[series], worth, series
        )

    def latest_change(self, series: int, first: int, worth: float) -> int:
        """The split point after ``first`` that sets the means before and after it furthest apart, in standard errors.

        ``first`` itself, if the ratio there is less than ``worth``.
        """
        rows, totals = (sums[series, first : self.now + 1] - sums[series, first] for sums in (self._rows, self._totals))
        before, after = rows[1:-1], rows[-1] - rows[1:-1]
        usable = (before > 0) & (after > 0)
        if not usable.any():
            return first
        gap = np.abs(totals[1:-1] / np.maximum(before, 1) - (totals[-1] - totals[1:-1]) / np.maximum(after, 1))
        spread = 2 * (self._reference.variances[series] + gap / 3) + TINY
        nats = np.where(usable, gap**2 * before * after / (before + after) / spread, 0.0)
        return first + 1 + int(nats.argmax()) if nats.max() >= worth else first

    def _since(self, split_points: Indices) -> tuple[Floats, Floats]:
        at = self._starts + split_points
        rows, totals = (sums[:, [self.now]] - sums.take(at) for sums in (self._rows, self._totals))
        return rows, totals

    def _log_likelihood_ratio(
        self, since: Since, before: Floats, expected: Floats, worth: float, series: Indices | slice = ALL
    ) -> Floats:
        """Where values are far from the normal distribution: Chernoff's bound of shares, Bernstein's of the others.

        Pearson's distance of two shares is an upper bound of their relative entropy, which takes ten times as long.
        """
        is_share = self._is_share[series]
        least = 0.5 / before  # what was never there
        expected = np.where(is_share, np.minimum(np.maximum(expected, least), 1 - least), expected)
        distance = np.abs(since.means - expected)
        variances = self._reference.variances[series]
        spread = np.where(is_share, expected * (1 - expected), 2 * (variances + distance / 3))
        together = since.rows * before / (since.rows + before)
        expected = np.broadcast_to(expected, since.rows.shape)
        nats: Floats = together * distance**2 / spread
        exact = is_share & (nats >= worth)
        nats[exact] = together[exact] * _relative_entropy(since.means[exact], expected[exact])
        return nats


def _relative_entropy(shares: Floats, expected: Floats) -> Floats:
    """How unlikely a share is, a row, as a negative logarithm; ``expected`` is neither 0 nor 1."""
    return np.asarray(rel_entr(shares, expected) + rel_entr(1 - shares, 1 - expected))


def _ages(most: int) -> Indices:
    """From 1 to ``most`` checks, in geometric steps."""
    steps = np.arange(0, AGES_A_DOUBLING * np.log2(most) + 1) / AGES_A_DOUBLING
    return np.unique(np.minimum(np.rint(2**steps), most).astype(np.int64))
