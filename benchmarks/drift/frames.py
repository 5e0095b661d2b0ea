"""Real rows as arrays by column, and one drawing of them: a reference with its profile, and rows it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, Profile
from monitoring_service.windows.columns import CategoryValues, ColumnValues, NumberValues, column_values
from training.data.rows import LabelledRows

REFERENCE_ROWS = 5_000
#: The model whose score is watched is fitted to rows that are neither reference nor stream.
FIT_ROWS = 8_000

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """Rows by column; ``labels`` are 1 for the positive class and 0 for the other, or the numbers themselves."""

    columns: Mapping[str, ColumnValues]
    labels: Floats

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, places: Indices | slice) -> Frame:
        return Frame({name: _taken(values, places) for name, values in self.columns.items()}, self.labels[places])

    def followed_by(self, other: Frame) -> Frame:
        columns = {name: _joined(values, other.columns[name]) for name, values in self.columns.items()}
        return Frame(columns, np.concatenate([self.labels, other.labels]))

    def with_column(self, name: str, values: ColumnValues) -> Frame:
        return Frame({**self.columns, name: values}, self.labels)


def _taken(values: ColumnValues, places: Indices | slice) -> ColumnValues:
    if isinstance(values, NumberValues):
        return NumberValues(values.values[places])
    return CategoryValues(values.codes[places], values.names)


def _joined(first: ColumnValues, second: ColumnValues) -> ColumnValues:
    """One after the other; the second's names begin with the first's."""
    if isinstance(first, NumberValues) and isinstance(second, NumberValues):
        return NumberValues(np.concatenate([first.values, second.values]))
    assert isinstance(first, CategoryValues)
    assert isinstance(second, CategoryValues)
    return CategoryValues(np.concatenate([first.codes, second.codes]), second.names)


def frame_of(case: Case, rows: LabelledRows) -> Frame:
    columns = {
        column.name: column_values(column, [record[column.name] for record in rows.records]) for column in case.columns
    }
    return Frame(columns, rows.targets(case))


class LinearScorer:
    """A linear model on standardised numbers and one weight a category, logistic in a binary case: a score to watch."""

    def __init__(self, case: Case, rows: Frame) -> None:
        from sklearn.linear_model import LogisticRegression, Ridge

        self._is_binary = case.is_binary
        self._features = [column.name for column in case.features]
        self._scales = {
            name: (float(np.nanmean(values.values)), float(np.nanstd(values.values)) or 1.0)
            for name, values in rows.columns.items()
            if isinstance(values, NumberValues)
        }
        self._sizes = {
            name: len(values.names) for name, values in rows.columns.items() if isinstance(values, CategoryValues)
        }
        model = LogisticRegression(max_iter=500, C=1.0) if case.is_binary else Ridge()
        model.fit(self._matrix(rows), rows.labels)
        self._weights, self._bias = np.ravel(model.coef_), float(np.ravel(model.intercept_)[0])

    def scores(self, rows: Frame) -> Floats:
        """Probability of the positive class, or the predicted number, shape ``(rows,)``."""
        linear: Floats = self._matrix(rows) @ self._weights + self._bias
        if not self._is_binary:
            return linear
        scores: Floats = 1 / (1 + np.exp(-np.clip(linear, -30, 30)))
        return scores

    def _matrix(self, rows: Frame) -> Floats:
        return np.column_stack([self._encoded(name, rows.columns[name]) for name in self._features])

    def _encoded(self, name: str, values: ColumnValues) -> Floats:
        if isinstance(values, NumberValues):
            mean, deviation = self._scales[name]
            standardised: Floats = np.nan_to_num((values.values - mean) / deviation)[:, np.newaxis]
            return standardised
        # Unknown and missing categories have no weight.
        indicators: Floats = (values.codes[:, np.newaxis] == np.arange(self._sizes[name])).astype(np.float64)
        return indicators


@dataclass(frozen=True)
class Drawing:
    """One reference, and the held-out rows that streams are drawn from."""

    case: Case
    reference: Frame
    profile: Profile
    held_out: Frame
    scorer: LinearScorer


def draw(case: Case, rows: Frame, random: np.random.Generator) -> Drawing:
    order = random.permutation(len(rows))
    reference = rows.take(order[:REFERENCE_ROWS])
    scorer = LinearScorer(case, rows.take(order[REFERENCE_ROWS : REFERENCE_ROWS + FIT_ROWS]))
    held_out = rows.take(order[REFERENCE_ROWS + FIT_ROWS :])
    return Drawing(case, reference, profile_of(reference, scorer.scores(reference)), held_out, scorer)


def draw_again(case: Case, rows: Frame, random: np.random.Generator) -> Drawing:
    """The same from a table of any size: reference and stream are drawn with replacement from the same rows.

    So nothing but chance lies between them. The reference is as large as the case's, and a quarter of the rows is for
    the fit.
    """
    order = random.permutation(len(rows))
    scorer = LinearScorer(case, rows.take(order[: len(rows) // 4]))
    population = rows.take(order[len(rows) // 4 :])
    reference = population.take(random.integers(0, len(population), case.data.split.reference))
    return Drawing(case, reference, profile_of(reference, scorer.scores(reference)), population, scorer)


def profile_of(rows: Frame, scores: Floats) -> Profile:
    columns = {name: profiled(values) for name, values in rows.columns.items()}
    return Profile(len(rows), columns, _profiled_numbers(scores), CategoryProfile({}, 0))


def profiled(values: ColumnValues) -> NumberProfile | CategoryProfile:
    if isinstance(values, NumberValues):
        return _profiled_numbers(values.values)
    codes, counts = np.unique(values.codes, return_counts=True)
    by_code: dict[int, Any] = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    missing = by_code.pop(-1, 0)
    return CategoryProfile(dict(sorted((values.names[code], count) for code, count in by_code.items())), missing)


def _profiled_numbers(values: Floats) -> NumberProfile:
    present = np.sort(values[np.isfinite(values)])
    return NumberProfile(present.tolist(), values.size - present.size)
