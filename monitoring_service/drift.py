"""Drift of one window against a reference, column by column: Evidently's score, a p-value and an effect.

The only module that computes with Evidently; it is imported where it is used, in the evaluator process. A column that
can't be measured says so and leaves the others alone, where an Evidently report would fail as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import structlog
from msgspec.structs import replace

from event_backbone.case import Case, Column
from monitoring_service.messages import ColumnMeasure
from monitoring_service.two_sample import Comparison, Floats, compare_counts, compare_numbers, compare_shares, either

log = structlog.get_logger()

#: Below this many present values neither a score nor a distribution test is worth reading.
FEWEST_VALUES = 30


class UnusableColumnError(Exception):
    """The values can't be those of this column; ``str()`` is one of a closed set of words."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A sample of a numeric column: the finite values in rising order, and how many rows had none."""

    rising: Floats
    missing: int

    @property
    def rows(self) -> int:
        return self.rising.size + self.missing


@dataclass(frozen=True, slots=True)
class Categories:
    """A sample of a category column: present values as codes into a shared vocabulary, and how many rows had none."""

    codes: np.ndarray[Any, np.dtype[np.int64]]
    missing: int

    @property
    def rows(self) -> int:
        return self.codes.size + self.missing


def as_numbers(values: Sequence[Any]) -> Numbers:
    """``None``, NaN and infinities count as missing; raises :class:`UnusableColumnError` when a value is no number."""
    if not set(map(type, values)) <= {int, float, type(None)}:
        raise UnusableColumnError("not_a_number")
    # numpy reads None as NaN here.
    numbers = np.array(values, dtype=np.float64)
    present = numbers[np.isfinite(numbers)]
    return Numbers(np.sort(present), len(values) - present.size)


def as_categories(values: Sequence[Any], vocabulary: dict[str, int]) -> Categories:
    """Unknown categories are added to ``vocabulary``; raises :class:`UnusableColumnError` when a value is no text."""
    if not set(map(type, values)) <= {str, type(None)}:
        raise UnusableColumnError("not_text")
    present = [value for value in values if value is not None]
    codes = np.array([vocabulary.setdefault(value, len(vocabulary)) for value in present], dtype=np.int64)
    return Categories(codes, len(values) - len(present))


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How a window differs from the reference.

    ``comparison`` is ``None`` when there is too little to say anything, ``enough`` when there are values enough to
    compare distributions, and ``score`` Evidently's score and method if it was asked for.
    """

    comparison: Comparison | None
    enough: bool
    score: tuple[float, str] | None = None


class ColumnReference(Protocol):
    """One column of the reference, prepared once; compares any number of windows with it."""

    def compare(self, values: Sequence[Any], *, with_score: bool) -> ColumnDrift:
        """Raises :class:`UnusableColumnError` when the values can't be those of this column."""


class NumberReference:
    """Numbers: their distribution is tested and, where any row has none, the share of missing values as well."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._reference = as_numbers(values)

    def compare(self, values: Sequence[Any], *, with_score: bool) -> ColumnDrift:
        reference, window = self._reference, as_numbers(values)
        enough = min(reference.rising.size, window.rising.size) >= FEWEST_VALUES
        tests = []
        if reference.missing + window.missing and reference.rows and window.rows:
            tests.append(compare_shares(reference.missing, reference.rows, window.missing, window.rows))
        if enough:
            tests.append(compare_numbers(reference.rising, window.rising))
        score = evidently_score(reference.rising, window.rising, "num") if enough and with_score else None
        return ColumnDrift(either(tests) if tests else None, enough, score)


class CategoryReference:
    """Categories: missing counts as one of them, and so does each one that the reference never had."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._vocabulary: dict[str, int] = {}
        self._reference = as_categories(values, self._vocabulary)

    def compare(self, values: Sequence[Any], *, with_score: bool) -> ColumnDrift:
        # A copy: a stream of ever new categories must not fill the memory.
        vocabulary = dict(self._vocabulary)
        reference, window = self._reference, as_categories(values, vocabulary)
        enough = min(reference.codes.size, window.codes.size) >= FEWEST_VALUES
        comparison = None
        if min(reference.rows, window.rows) >= FEWEST_VALUES:
            comparison = compare_counts(_counts(reference, len(vocabulary)), _counts(window, len(vocabulary)))
        score = evidently_score(reference.codes, window.codes, "cat") if enough and with_score else None
        return ColumnDrift(comparison, enough, score)


def _counts(sample: Categories, categories: int) -> Floats:
    """Rows by category, missing last; shape ``(categories + 1,)``."""
    present = np.bincount(sample.codes, minlength=categories)
    return np.append(present, sample.missing).astype(np.float64)


def evidently_score(reference: np.ndarray[Any, Any], window: np.ndarray[Any, Any], kind: str) -> tuple[float, str]:
    """Evidently's drift score and the name of the method it chose; ``kind`` is ``num`` or ``cat``.

    Equal to ``ValueDrift`` of a full report on the same values (a golden test holds this). Codes may stand for
    categories: the methods look at shares, never at names.
    """
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    column_type = ColumnType(kind)
    reference_series, window_series = pd.Series(reference), pd.Series(window)
    test = get_stattest(reference_series, window_series, column_type, None)
    result = test(reference_series, window_series, column_type, None)
    return float(result.drift_score), test.display_name


class DriftReference:
    """The reference of one bundle, prepared once.

    ``columns`` holds its rows as one list a column: the case's columns and ``score``. A column that is not there, or
    not usable, is measured as ``invalid``.
    """

    def __init__(self, case: Case, columns: Mapping[str, Sequence[Any]]) -> None:
        self._by_name = {
            column.name: _prepared(column.is_category, columns.get(column.name)) for column in case.columns
        }
        self._scores = _prepared(False, columns.get("score"))

    def of_column(self, name: str) -> ColumnReference | None:
        return self._by_name[name]

    def of_scores(self) -> ColumnReference | None:
        return self._scores


def _prepared(is_category: bool, values: Sequence[Any] | None) -> ColumnReference | None:
    try:
        return None if values is None else CategoryReference(values) if is_category else NumberReference(values)
    except UnusableColumnError:
        return None


def measure_columns(
    case: Case,
    reference: DriftReference | None,
    window: Mapping[str, Sequence[Any]],
    *,
    with_scores: bool = True,
) -> list[ColumnMeasure]:
    """One measure for each column of the case, in its order; without a reference only the shares are known.

    ``window`` holds one list of values a column, all of one length. Never raises for what is in it.
    """
    task = _Task(reference, case.monitoring.minimum_rows, with_scores)
    return [
        _guarded(column.name, partial(_measure_column, task, column, window.get(column.name)))
        for column in case.columns
    ]


def measure_scores(
    case: Case, reference: DriftReference | None, scores: Sequence[float], *, with_score: bool = True
) -> ColumnMeasure:
    """Drift of the predictions: the scores of one model version against those it gave the reference."""
    task = _Task(reference, case.monitoring.minimum_rows, with_score)
    prepared = reference.of_scores() if reference else None
    return _guarded("score", partial(_compare, task, "score", prepared, scores))


@dataclass(frozen=True, slots=True)
class _Task:
    reference: DriftReference | None
    minimum_rows: int
    with_scores: bool


def _guarded(name: str, measure: Callable[[], ColumnMeasure]) -> ColumnMeasure:
    try:
        return measure()
    except UnusableColumnError as error:
        return ColumnMeasure(name, "invalid", str(error))
    except Exception:
        # The border of each column's measurement: whatever a library raises for it must not cost the other columns.
        log.exception("column_not_measured", column=name)
        return ColumnMeasure(name, "invalid", "failed")


def _measure_column(task: _Task, column: Column, values: Sequence[Any] | None) -> ColumnMeasure:
    if values is None:
        return ColumnMeasure(column.name, "invalid", "not_in_window")
    prepared = task.reference.of_column(column.name) if task.reference else None
    measure = _compare(task, column.name, prepared, values)
    return replace(measure, missing_share=_missing_share(column, values), unseen_share=_unseen_share(column, values))


def _compare(task: _Task, name: str, prepared: ColumnReference | None, values: Sequence[Any]) -> ColumnMeasure:
    if task.reference is None:
        return ColumnMeasure(name, "insufficient", "no_reference")
    if prepared is None:
        return ColumnMeasure(name, "invalid", "not_in_reference")
    if len(values) < task.minimum_rows:
        return ColumnMeasure(name, "insufficient", "too_few_rows")
    return _as_measure(name, prepared.compare(values, with_score=task.with_scores))


def _as_measure(name: str, drift: ColumnDrift) -> ColumnMeasure:
    score, method = drift.score or (None, None)
    return ColumnMeasure(
        name,
        "ok" if drift.enough else "insufficient",
        None if drift.enough else "too_few_values",
        score=score if score is not None and math.isfinite(score) else None,
        method=method,
        effect=drift.comparison.effect if drift.comparison else None,
        p_value=drift.comparison.p_value if drift.comparison else None,
    )


def _missing_share(column: Column, values: Sequence[Any]) -> float | None:
    if not values:
        return None
    missing = values.count(None) if column.is_category else as_numbers(values).missing
    return missing / len(values)


def _unseen_share(column: Column, values: Sequence[Any]) -> float | None:
    """Share of rows with a category that the case file does not expect; ``None`` for numbers."""
    if not column.is_category or not values:
        return None
    known = {*column.categories, None}
    return 1 - sum(map(known.__contains__, values)) / len(values)
