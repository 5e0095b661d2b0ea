"""The drift test of a column: which two-sample test is run, and from where on its result counts.

Monitoring asks it of a window and the reference, training's weekly report of two runs. Equal rows, equal answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from event_backbone.statistics.multiple_testing import holm
from event_backbone.statistics.two_sample import (
    Floats,
    TwoSampleResult,
    compare_counts,
    compare_numbers,
    compare_shares,
    strongest_of,
)

#: Below this many present values a distribution is not worth testing.
FEWEST_VALUES = 30

Moved = Literal["values", "missing"]
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """How a column of a window differs from the reference's.

    ``comparison`` is ``None`` when there is too little to say anything, and else about what ``moved``. ``enough`` says
    that there are values enough to compare distributions.
    """

    comparison: TwoSampleResult | None
    moved: Moved | None
    enough: bool


@dataclass(frozen=True, slots=True, eq=False)
class NumberSample:
    """The present values of a number column in ascending order, and the number of rows without one."""

    sorted_values: Floats
    missing: int

    @property
    def rows(self) -> int:
        return int(self.sorted_values.size) + self.missing


def compare_number_columns(reference: NumberSample, window: NumberSample) -> ColumnDifference:
    """The distribution is tested and, where any row has no value, the share of missing ones as well."""
    enough = min(reference.sorted_values.size, window.sorted_values.size) >= FEWEST_VALUES
    tests: dict[Moved, TwoSampleResult] = {}
    if reference.missing + window.missing and reference.rows and window.rows:
        tests["missing"] = compare_shares(reference.missing, reference.rows, window.missing, window.rows)
    if enough:
        tests["values"] = compare_numbers(reference.sorted_values, window.sorted_values)
    moved, comparison = strongest_of(tests) if tests else (None, None)
    return ColumnDifference(comparison, moved, enough)


class CategoryCounts:
    """A reference's rows by category: missing counts as one of them, and all unseen ones as another."""

    def __init__(self, counts: Mapping[str, int], missing: int) -> None:
        self.places = {name: place for place, name in enumerate(counts)}
        self._counts = np.array([*counts.values(), 0, missing], dtype=np.float64)

    @property
    def rows(self) -> int:
        return int(self._counts.sum())

    @property
    def missing(self) -> int:
        return int(self._counts[-1])

    def compare(self, names: Sequence[str], rows_by_name: Floats, missing: float) -> ColumnDifference:
        """A window's rows by category, each name once; absent names may be left out."""
        window = self._placed(names, rows_by_name, missing)
        present = min(self._counts[:-1].sum(), window[:-1].sum())
        if min(self._counts.sum(), window.sum()) < FEWEST_VALUES:
            return ColumnDifference(None, None, enough=False)
        comparison = compare_counts(self._counts, window)
        return ColumnDifference(comparison, self._moved(window, comparison), bool(present >= FEWEST_VALUES))

    def _placed(self, names: Sequence[str], rows_by_name: Floats, missing: float) -> Floats:
        unseen = len(self.places)
        places = [*(self.places.get(name, unseen) for name in names), unseen + 1]
        placed: Floats = np.bincount(places, weights=[*rows_by_name, missing], minlength=unseen + 2).astype(np.float64)
        return placed

    def _moved(self, window: Floats, comparison: TwoSampleResult) -> Moved:
        """Half of all differences of shares, or more, that are those of the missing is about them."""
        went_missing = abs(window[-1] / window.sum() - self._counts[-1] / self._counts.sum())
        return (
            "missing"
            if 0 < comparison.effect <= 2 * went_missing and went_missing > comparison.effect / 2
            else "values"
        )


@dataclass(frozen=True, slots=True)
class ColumnDecision:
    """The decision about one column of a family: ``None`` where it could not be compared."""

    adjusted_p: float | None = None
    drifted: bool | None = None


def decide_family(
    comparisons: Mapping[Name, TwoSampleResult | None],
    minimum_effects: Mapping[Name, float],
    significance: float,
    beside: Sequence[float] = (),
) -> dict[Name, ColumnDecision]:
    """Columns that are judged together, corrected for their number.

    A column drifted when its p-value, adjusted by Holm's method over the family, is below ``significance`` and its
    effect is at least its smallest. ``beside`` are p-values that belong to the family as well.
    """
    known = {name: comparison for name, comparison in comparisons.items() if comparison is not None}
    adjusted = holm([*(comparison.p_value for comparison in known.values()), *beside])
    decided = {
        name: ColumnDecision(p, p < significance and comparison.effect >= minimum_effects[name])
        for (name, comparison), p in zip(known.items(), adjusted, strict=False)
    }
    return {name: decided.get(name, ColumnDecision()) for name in comparisons}
