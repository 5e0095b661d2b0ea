"""The values of columns as arrays: read from records in bulk, and packed for another process.

A value that can't stand in its column, or that a record doesn't even name, is no exception: it is a fault of that one
column, for as long as a window holds the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from event_backbone.case.schema import Column, is_finite

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Faults = NDArray[np.uint8]

#: The code of a missing category.
MISSING = -1
#: Names that no case file expects are kept up to this number a column; what comes beyond it shares one name.
UNEXPECTED_NAMES = 1000
OTHER = "(other)"

#: What is wrong with a value, the worst last.
FINE, WRONG_TYPE, ABSENT_VALUE = 0, 1, 2


class Absent(Enum):
    """The value of a column that a record did not name, unlike one that is null."""

    ABSENT = "absent"


@dataclass(frozen=True, slots=True, eq=False)
class NumberValues:
    """A numeric column of a window, NaN where a row has no finite number; ``fault`` says why it can't be one."""

    values: Floats
    fault: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CategoryValues:
    """A category column of a window: codes into ``names``, :data:`MISSING` where a row has none."""

    codes: Codes
    names: Sequence[str]
    fault: str | None = None


ColumnValues = NumberValues | CategoryValues


class Vocabulary:
    """Names and their codes. Grows, so that a code stays what it was; whoever wants it smaller makes a new one."""

    def __init__(self, expected: Sequence[str], longest: int) -> None:
        self._expected = tuple(expected)
        self._longest = longest
        self.names = list(expected)
        self.codes: dict[Any, int] = {None: MISSING, **{name: code for code, name in enumerate(expected)}}

    def add(self, name: str) -> int:
        """The code of a name that is perhaps new; one too many or too long is :data:`OTHER`."""
        known = self.codes.get(name)
        if known is not None:
            return known
        if len(name) > self._longest or len(self.names) >= len(self._expected) + UNEXPECTED_NAMES:
            name = OTHER
        code = self.codes.setdefault(name, len(self.names))
        if code == len(self.names):
            self.names.append(name)
        return code

    def without_unused(self, codes: Codes) -> tuple[Vocabulary, Codes]:
        """A vocabulary of the expected names and those in use, and the same values in its codes."""
        smaller = Vocabulary(self._expected, self._longest)
        used = np.unique(codes)
        new_codes = np.full(len(self.names) + 1, MISSING, dtype=np.int32)  # the last place is that of MISSING
        for code in used[used >= 0]:
            new_codes[code] = smaller.add(self.names[code])
        return smaller, new_codes[codes]


def vocabulary_of(column: Column) -> Vocabulary:
    return Vocabulary(column.categories, column.valid.max_length)


def read_numbers(values: Sequence[Any]) -> tuple[Floats, Faults]:
    """``None``, NaN and infinities become NaN; anything else that is no number becomes NaN with a fault."""
    faults = np.zeros(len(values), dtype=np.uint8)
    numbers = _as_floats(values)
    if numbers is None:
        faults[:] = [_fault_of(value, _is_number(value)) for value in values]
        fine = [value if fault == FINE else None for value, fault in zip(values, faults, strict=True)]
        numbers = np.array(fine, dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers, faults


def _as_floats(values: Sequence[Any]) -> Floats | None:
    """``None`` when a value is no number, or a whole one with more digits than a float can take."""
    if not set(map(type, values)) <= {int, float, type(None)}:
        return None
    try:
        return np.array(values, dtype=np.float64)  # None becomes NaN here
    except OverflowError:
        return None


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and is_finite(value))


def _fault_of(value: Any, fits: bool) -> int:
    if value is Absent.ABSENT:
        return ABSENT_VALUE
    return FINE if fits or value is None else WRONG_TYPE


def read_categories(values: Sequence[Any], vocabulary: Vocabulary) -> tuple[Codes, Faults]:
    """Names that are new are added to the vocabulary; what is no text becomes :data:`MISSING` with a fault."""
    faults = np.zeros(len(values), dtype=np.uint8)
    if not set(map(type, values)) <= {str, type(None)}:
        faults[:] = [_fault_of(value, isinstance(value, str)) for value in values]
        values = [value if fault == FINE else None for value, fault in zip(values, faults, strict=True)]
    found = list(map(vocabulary.codes.get, values))
    if None in found:
        found = [vocabulary.add(value) if code is None else code for value, code in zip(values, found, strict=True)]
    return np.array(found, dtype=np.int32), faults


def column_fault(column: Column, faults: Faults) -> str | None:
    """One word for the worst fault of any row, or ``None``."""
    worst = int(faults.max(initial=FINE))
    if worst == FINE:
        return None
    return "not_in_window" if worst == ABSENT_VALUE else "not_text" if column.is_category else "not_a_number"


def column_values(column: Column, values: Sequence[Any]) -> ColumnValues:
    """A column from values as they stand in records."""
    if column.is_category:
        vocabulary = vocabulary_of(column)
        codes, faults = read_categories(values, vocabulary)
        return CategoryValues(codes, vocabulary.names, column_fault(column, faults))
    numbers, faults = read_numbers(values)
    return NumberValues(numbers, column_fault(column, faults))


def as_list(values: ColumnValues) -> list[Any]:
    """The values as they stand in records, ``None`` where there is none."""
    if isinstance(values, NumberValues):
        return [None if value != value else value for value in values.values.tolist()]  # noqa: PLR0124  NaN
    return [None if code < 0 else values.names[code] for code in values.codes.tolist()]


class PackedNumbers(Struct, frozen=True, tag="numbers"):
    """:class:`NumberValues` with the bytes of its array (64-bit floats of this machine's byte order)."""

    values: bytes
    fault: str | None = None


class PackedCategories(Struct, frozen=True, tag="categories"):
    """:class:`CategoryValues` with the bytes of its array (32-bit integers of this machine's byte order)."""

    codes: bytes
    names: Sequence[str]
    fault: str | None = None


PackedColumn = PackedNumbers | PackedCategories


def packed(values: ColumnValues) -> PackedColumn:
    if isinstance(values, NumberValues):
        return PackedNumbers(values.values.tobytes(), values.fault)
    return PackedCategories(values.codes.tobytes(), values.names, values.fault)


def unpacked(column: PackedColumn) -> ColumnValues:
    if isinstance(column, PackedNumbers):
        return NumberValues(unpacked_floats(column.values), column.fault)
    return CategoryValues(np.frombuffer(column.codes, dtype=np.int32), column.names, column.fault)


def unpacked_floats(body: bytes) -> Floats:
    return np.frombuffer(body, dtype=np.float64)
