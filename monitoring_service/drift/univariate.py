"""Drift of one window against a reference, column by column: a p-value, an effect and shares of unusual values.

A column that can't be measured says so and leaves the others alone, where an Evidently report would fail as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from event_backbone.case.schema import Case, Column
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, Profile
from event_backbone.statistics.column_drift import (
    CategoryCounts,
    ColumnDifference,
    NumberSample,
    compare_number_columns,
)
from event_backbone.statistics.two_sample import Floats
from monitoring_service.messages import ColumnMeasure
from monitoring_service.windows.columns import CategoryValues, ColumnValues

#: The state and the reason of a column that can't be compared.
Obstacle = tuple[Literal["insufficient", "invalid"], str]


class NumberReference:
    """A reference's numbers, prepared for the tests."""

    def __init__(self, profile: NumberProfile) -> None:
        self._sample = NumberSample(np.array(profile.sorted_values, dtype=np.float64), profile.missing)

    @property
    def missing_share(self) -> float | None:
        return self._sample.missing / self._sample.rows if self._sample.rows else None

    def compare(self, sorted_values: Floats, rows: int) -> ColumnDifference:
        """``sorted_values`` are the present values among ``rows`` rows, in ascending order."""
        return compare_number_columns(self._sample, NumberSample(sorted_values, rows - sorted_values.size))


class CategoryReference:
    """A reference's categories, prepared for the tests."""

    def __init__(self, profile: CategoryProfile) -> None:
        self._counts = CategoryCounts(profile.counts, profile.missing)

    @property
    def missing_share(self) -> float | None:
        return self._counts.missing / self._counts.rows if self._counts.rows else None

    def compare(self, values: CategoryValues, by_code: Floats) -> ColumnDifference:
        """``by_code`` are the window's rows by code, the missing ones first."""
        return self._counts.compare(values.names, by_code[1:], by_code[0])


ColumnReference = NumberReference | CategoryReference


class DriftReference:
    """The reference of one bundle, prepared once. A column that is not in it, or of another kind, is ``None``."""

    def __init__(self, case: Case, profile: Profile) -> None:
        self._columns = {column.name: _prepared(column, profile.columns.get(column.name)) for column in case.columns}
        self.scores = NumberReference(profile.scores)

    def column(self, name: str) -> ColumnReference | None:
        return self._columns[name]


def _prepared(column: Column, profile: NumberProfile | CategoryProfile | None) -> ColumnReference | None:
    if isinstance(profile, CategoryProfile):
        return CategoryReference(profile) if column.is_category else None
    return None if profile is None or column.is_category else NumberReference(profile)


#: Measures the named column.
Guard = Callable[[str, Callable[[], ColumnMeasure]], ColumnMeasure]


def unguarded(_name: str, measure: Callable[[], ColumnMeasure]) -> ColumnMeasure:
    return measure()


def measure_columns(
    case: Case,
    reference: DriftReference | None,
    window: Mapping[str, ColumnValues],
    *,
    guard: Guard = unguarded,
) -> list[ColumnMeasure]:
    """One measure for each column of the case, in its order; without a reference only the shares are known.

    All columns of ``window`` have one length. ``guard`` measures each of them, and may keep what a library raises for
    one from costing the others.
    """
    task = _Task(reference, case.monitoring.minimum_rows)
    return [
        guard(column.name, partial(_measure_column, task, column, window.get(column.name))) for column in case.columns
    ]


def measure_scores(
    case: Case,
    reference: DriftReference | None,
    scores: Floats,
    *,
    guard: Guard = unguarded,
) -> ColumnMeasure:
    """Drift of the predictions: the scores of one model version against those it gave the reference."""
    task = _Task(reference, case.monitoring.minimum_rows)
    prepared = reference.scores if reference else None
    sorted_values = _sorted(scores)
    return guard("score", partial(_measure_numbers, task, "score", prepared, sorted_values, scores.size, _NO_SHARES))


@dataclass(frozen=True, slots=True)
class _Task:
    reference: DriftReference | None
    minimum_rows: int

    def obstacle(
        self, prepared: ColumnReference | None, rows: int
    ) -> tuple[Literal["insufficient", "invalid"], str] | None:
        """State and reason of a column that can't be compared, or ``None``."""
        if self.reference is None:
            return "insufficient", "no_reference"
        if prepared is None:
            return "invalid", "not_in_reference"
        return ("insufficient", "too_few_rows") if rows < self.minimum_rows else None


@dataclass(frozen=True, slots=True)
class _Shares:
    """Shares of rows that are known whether the column can be compared or not."""

    missing: float | None = None
    unseen: float | None = None
    out_of_range: float | None = None


_NO_SHARES = _Shares()


def _measure_column(task: _Task, column: Column, values: ColumnValues | None) -> ColumnMeasure:
    prepared = task.reference.column(column.name) if task.reference else None
    if values is None or values.fault is not None:
        reason = "not_in_window" if values is None else values.fault
        known = prepared.missing_share if prepared else None
        return ColumnMeasure(column.name, "invalid", reason, reference_missing_share=known)
    if isinstance(values, CategoryValues):
        return _measure_categories(task, column, prepared, values)
    sorted_values, rows = _sorted(values.values), values.values.size
    return _measure_numbers(
        task, column.name, prepared, sorted_values, rows, _shares_of_numbers(column, sorted_values, rows)
    )


def _sorted(values: Floats) -> Floats:
    """The present values in ascending order; NaN is sorted behind every number."""
    return np.sort(values)[: values.size - np.count_nonzero(np.isnan(values))]


def _shares_of_numbers(column: Column, sorted_values: Floats, rows: int) -> _Shares:
    if not rows:
        return _NO_SHARES
    missing = 1 - sorted_values.size / rows
    low, high = column.expected.minimum, column.expected.maximum
    if low is None and high is None:
        return _Shares(missing)
    below = 0 if low is None else np.searchsorted(sorted_values, low, "left")
    above = 0 if high is None else sorted_values.size - np.searchsorted(sorted_values, high, "right")
    return _Shares(missing, out_of_range=int(below + above) / rows)


def _measure_numbers(
    task: _Task, name: str, prepared: ColumnReference | None, sorted_values: Floats, rows: int, shares: _Shares
) -> ColumnMeasure:
    obstacle = task.obstacle(prepared, rows)
    if obstacle is not None or not isinstance(prepared, NumberReference):
        return _unmeasured(name, obstacle, prepared, shares)
    return _as_measure(name, prepared, prepared.compare(sorted_values, rows), shares)


def _measure_categories(
    task: _Task, column: Column, prepared: ColumnReference | None, values: CategoryValues
) -> ColumnMeasure:
    rows = values.codes.size
    # Missing has code -1, so it comes first here.
    by_code = np.bincount(values.codes + 1, minlength=len(values.names) + 1).astype(np.float64)
    shares = _shares_of_categories(column, values, by_code) if rows else _NO_SHARES
    obstacle = task.obstacle(prepared, rows)
    if obstacle is not None or not isinstance(prepared, CategoryReference):
        return _unmeasured(column.name, obstacle, prepared, shares)
    return _as_measure(column.name, prepared, prepared.compare(values, by_code), shares)


def _shares_of_categories(column: Column, values: CategoryValues, by_code: Floats) -> _Shares:
    """``unseen`` is what the case file does not expect."""
    expected = set(column.categories)
    is_unseen = np.array([False, *(name not in expected for name in values.names)])
    return _Shares(missing=float(by_code[0] / by_code.sum()), unseen=float(by_code[is_unseen].sum() / by_code.sum()))


def _unmeasured(
    name: str,
    obstacle: Obstacle | None,
    prepared: ColumnReference | None,
    shares: _Shares,
) -> ColumnMeasure:
    state, reason = obstacle or ("invalid", "not_in_reference")
    return ColumnMeasure(
        name,
        state,
        reason,
        missing_share=shares.missing,
        unseen_share=shares.unseen,
        out_of_range_share=shares.out_of_range,
        reference_missing_share=prepared.missing_share if prepared else None,
    )


def _as_measure(name: str, prepared: ColumnReference, difference: ColumnDifference, shares: _Shares) -> ColumnMeasure:
    return ColumnMeasure(
        name,
        "ok" if difference.enough else "insufficient",
        None if difference.enough else "too_few_values",
        effect=difference.comparison.effect if difference.comparison else None,
        p_value=difference.comparison.p_value if difference.comparison else None,
        missing_share=shares.missing,
        unseen_share=shares.unseen,
        out_of_range_share=shares.out_of_range,
        reference_missing_share=prepared.missing_share,
        moved=difference.moved,
    )
