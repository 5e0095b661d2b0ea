"""The row buffer: rows by column, oldest first, from which the sliding window is cut.

No place in the arrays is written twice: rows are put behind the newest, and when the arrays are full the rows that are
still needed move to new ones. So a window costs no copy, and stays as it was taken while rows go on arriving.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef
from monitoring_service.windows.columns import (
    Absent,
    CategoryValues,
    Codes,
    ColumnValues,
    Faults,
    Floats,
    NumberValues,
    column_fault,
    read_categories,
    read_numbers,
    vocabulary_of,
)

Integers = NDArray[np.int64]
Objects = NDArray[np.object_]

#: Rows that the arrays have place for at first.
FIRST_CAPACITY = 1024


class WindowRow(Struct, frozen=True, gc=False):
    """One counted prediction: ``number`` is its place in the order of arrival, ``received_at`` seconds since 1970."""

    number: int
    record: dict[str, Any]
    score: float
    prediction: str | float
    model: ModelRef
    bundle_sha256: str
    predicted_at: str
    received_at: float


class PredictionSource(Struct, frozen=True):
    """The model version and bundle of a prediction."""

    model: ModelRef
    bundle_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class _Arrays:
    """Rows along the last axis of every array."""

    floats: Floats
    codes: Codes
    faults: Faults
    numbers: Integers
    scores: Floats
    predictions: Floats
    sources: Codes
    received_at: Floats
    predicted_at: Objects

    def each(self, action: Callable[[NDArray[Any]], NDArray[Any]]) -> _Arrays:
        return _Arrays(*(action(getattr(self, name)) for name in self.__slots__))

    def put(self, at: int, others: _Arrays) -> None:
        for name in self.__slots__:
            new = getattr(others, name)
            getattr(self, name)[..., at : at + new.shape[-1]] = new


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows in order of arrival: arrays of one length. ``predictions`` are 1 for the positive class and 0 for the
    other, or the predicted value; ``source_codes`` are places in ``sources``."""

    columns: dict[str, ColumnValues]
    numbers: Integers
    scores: Floats
    predictions: Floats
    source_codes: Codes
    sources: Sequence[PredictionSource]
    received_at: Floats
    predicted_at: Objects

    def __len__(self) -> int:
        return len(self.numbers)

    def of_model(self, model: ModelRef) -> NDArray[np.bool_]:
        """Which of the rows one model version predicted."""
        matching = [code for code, one in enumerate(self.sources) if one.model == model]
        if len(matching) == len(self.sources):  # as nearly always
            return np.ones(len(self), dtype=np.bool_)
        return np.isin(self.source_codes, matching)


class RowBuffer:
    """Rows with ascending numbers. Not thread-safe; what :meth:`between` returned may be read by any thread."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._values_of = _getter(case.column_names)
        self._number_columns = [column for column in case.columns if not column.is_category]
        self._category_columns = [column for column in case.columns if column.is_category]
        self._vocabularies = [vocabulary_of(column) for column in self._category_columns]
        self._sources: list[PredictionSource] = []
        self._source_codes: dict[PredictionSource, int] = {}
        self._start = self._end = 0
        self._arrays = self._read([]).each(lambda array: _with_capacity(array, FIRST_CAPACITY))

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def capacity(self) -> int:
        return len(self._arrays.numbers)

    def add(self, rows: Sequence[WindowRow]) -> None:
        if not rows:
            return
        if self._end + len(rows) > self.capacity:
            self._move(place_for=len(rows))
        self._arrays.put(self._end, self._read(rows))
        self._end += len(rows)

    def remove(self, numbers: Sequence[int]) -> None:
        """Their values are in no array afterwards; windows that were taken before keep them until they are let go."""
        kept = ~np.isin(self._live(self._arrays.numbers), np.array(list(numbers), dtype=np.int64))
        if not kept.all():
            self._arrays = self._arrays.each(lambda array: _with_capacity(self._live(array)[..., kept], self.capacity))
            self._start, self._end = 0, int(kept.sum())

    def forget_before(self, number: int) -> None:
        self._start += int(np.searchsorted(self._live(self._arrays.numbers), number))

    def between(self, first: int, last: int, *, within_s: float | None = None) -> Rows:
        """The rows with these numbers and those between, without those received longer than this before the last."""
        numbers = self._live(self._arrays.numbers)
        start = self._start + int(np.searchsorted(numbers, first))
        end = self._start + int(np.searchsorted(numbers, last, side="right"))
        if within_s is not None and end > start:
            received_at = self._arrays.received_at[start:end]
            too_old = np.flatnonzero(received_at < received_at[-1] - within_s)
            start += int(too_old[-1]) + 1 if too_old.size else 0
        return self._cut(start, end)

    def _cut(self, start: int, end: int) -> Rows:
        cut = self._arrays.each(lambda array: array[..., start:end])
        faults = dict(zip(self._case.column_names, cut.faults, strict=True))
        columns: dict[str, ColumnValues] = {}
        for column, values in zip(self._number_columns, cut.floats, strict=True):
            columns[column.name] = NumberValues(values, column_fault(column, faults[column.name]))
        for column, codes, vocabulary in zip(self._category_columns, cut.codes, self._vocabularies, strict=True):
            # The vocabulary goes on growing beside whoever reads this.
            names = tuple(vocabulary.names)
            columns[column.name] = CategoryValues(codes, names, column_fault(column, faults[column.name]))
        return Rows(
            {name: columns[name] for name in self._case.column_names},
            cut.numbers,
            cut.scores,
            cut.predictions,
            cut.sources,
            tuple(self._sources),
            cut.received_at,
            cut.predicted_at,
        )

    def _live(self, array: NDArray[Any]) -> NDArray[Any]:
        return array[..., self._start : self._end]

    def _move(self, *, place_for: int) -> None:
        """To new arrays, at least half of which are free; names and models that no row has any more are forgotten."""
        capacity = max(FIRST_CAPACITY, 2 * (len(self) + place_for))
        self._arrays = self._arrays.each(lambda array: _with_capacity(self._live(array), capacity))
        self._start, self._end = 0, len(self)
        for place, vocabulary in enumerate(self._vocabularies):
            smaller, codes = vocabulary.without_unused(self._live(self._arrays.codes[place]))
            self._vocabularies[place] = smaller
            self._arrays.codes[place, : self._end] = codes
        used, places = np.unique(self._live(self._arrays.sources), return_inverse=True)
        self._sources = [self._sources[code] for code in used]
        self._source_codes = {source: code for code, source in enumerate(self._sources)}
        self._arrays.sources[: self._end] = places

    def _read(self, rows: Sequence[WindowRow]) -> _Arrays:
        given = self._by_column([row.record for row in rows])
        faults = {}
        floats = np.empty((len(self._number_columns), len(rows)), dtype=np.float64)
        codes = np.empty((len(self._category_columns), len(rows)), dtype=np.int32)
        for place, column in enumerate(self._number_columns):
            floats[place], faults[column.name] = read_numbers(given[column.name])
        for place, column in enumerate(self._category_columns):
            codes[place], faults[column.name] = read_categories(given[column.name], self._vocabularies[place])
        return _Arrays(
            floats=floats,
            codes=codes,
            faults=np.array([faults[name] for name in self._case.column_names], dtype=np.uint8),
            numbers=np.array([row.number for row in rows], dtype=np.int64),
            scores=np.array([row.score for row in rows], dtype=np.float64),
            predictions=np.array([self._as_number(row.prediction) for row in rows], dtype=np.float64),
            sources=np.array(self._codes_of_sources(rows), dtype=np.int32),
            received_at=np.array([row.received_at for row in rows], dtype=np.float64),
            predicted_at=np.array([row.predicted_at for row in rows], dtype=object),
        )

    def _by_column(self, records: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
        names = self._case.column_names
        values: list[tuple[Any, ...]]
        try:
            values = list(map(self._values_of, records))
        except KeyError:
            values = [tuple([record.get(name, Absent.ABSENT) for name in names]) for record in records]
        columns: list[Sequence[Any]] = list(zip(*values, strict=True)) if values else [()] * len(names)
        return dict(zip(names, columns, strict=True))

    def _as_number(self, prediction: str | float) -> float:
        return float(prediction == self._case.target.positive) if self._case.is_binary else float(prediction)

    def _codes_of_sources(self, rows: Sequence[WindowRow]) -> list[int]:
        """Most rows have the same source as the one before."""
        codes, last, code = [], None, -1
        for row in rows:
            if last is None or row.bundle_sha256 != last.bundle_sha256 or row.model != last.model:
                code = self._source_code(PredictionSource(row.model, row.bundle_sha256))
            last = row
            codes.append(code)
        return codes

    def _source_code(self, source: PredictionSource) -> int:
        code = self._source_codes.setdefault(source, len(self._sources))
        if code == len(self._sources):
            self._sources.append(source)
        return code


def _getter(names: Sequence[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """Reads these values of a record, three times as fast as a loop; raises :class:`KeyError` when one is not there."""
    if len(names) == 1:
        return lambda record: (record[names[0]],)
    return itemgetter(*names)


def _with_capacity(array: NDArray[Any], capacity: int) -> NDArray[Any]:
    larger = np.empty((*array.shape[:-1], capacity), dtype=array.dtype)
    larger[..., : array.shape[-1]] = array
    return larger
