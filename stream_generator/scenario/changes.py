"""The kinds of drift in a scenario. Each changes one column's value, or the label, of one record.

A change never looks at another column than its own (label changes: at those of their conditions), so only the marginal
distributions of the columns named by a scenario move. A value that is missing stays missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from event_backbone.case.records import LARGEST_EXACT_INTEGER, fault_in_value
from event_backbone.case.schema import Case, Column, Identifier
from event_backbone.errors import Fault

Share = Annotated[float, Field(gt=0, le=1)]
Label = str | float | None


class Part(BaseModel):
    """A piece of a scenario file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def kept_valid(column: Column, value: float) -> int | float:
    """The valid value nearest to ``value``; whole for integer columns."""
    low = -LARGEST_EXACT_INTEGER if column.valid.minimum is None else column.valid.minimum
    high = LARGEST_EXACT_INTEGER if column.valid.maximum is None else column.valid.maximum
    if column.kind == "integer":
        return round(min(max(value, math.ceil(low)), math.floor(high)))
    return min(max(value, low), high)


class ColumnChange(Part):
    """A change of one column in a share of the records."""

    column: Identifier
    share: Share = 1.0

    def faults(self, case: Case) -> list[tuple[str, str]]:
        """What does not fit the case, as (field, message)."""
        if self.column not in case.column_names:
            return [("column", f"{self.column!r} is not a column of this case")]
        return [(field, message) for field, message in self.faults_in(case.column(self.column)) if message]

    def faults_in(self, column: Column) -> list[tuple[str, str | None]]:
        """The same once the column is known; a message may be ``None``."""
        raise NotImplementedError

    def changed(self, value: Any, column: Column, rng: np.random.Generator) -> Any:
        """The new value; never called for a value that is missing."""
        raise NotImplementedError


def _unless_number(column: Column) -> tuple[str, str | None]:
    return "column", "needs a column of numbers" if column.is_category else None


class Add(ColumnChange):
    """Sudden or gradual shift by a constant."""

    kind: Literal["add"]
    amount: float

    def faults_in(self, column: Column) -> list[tuple[str, str | None]]:
        return [_unless_number(column)]

    def changed(self, value: Any, column: Column, rng: np.random.Generator) -> Any:
        return kept_valid(column, value + self.amount)


class Scale(ColumnChange):
    """Another unit, or a shift in proportion."""

    kind: Literal["scale"]
    factor: float

    def faults_in(self, column: Column) -> list[tuple[str, str | None]]:
        return [_unless_number(column)]

    def changed(self, value: Any, column: Column, rng: np.random.Generator) -> Any:
        return kept_valid(column, value * self.factor)


class SetTo(ColumnChange):
    """One value instead of many, such as a stuck sensor or a default nobody changes."""

    kind: Literal["set"]
    value: int | float | str

    def faults_in(self, column: Column) -> list[tuple[str, str | None]]:
        fault = fault_in_value(column, self.value)
        return [("value", fault.message if fault else None)]

    def changed(self, value: Any, column: Column, rng: np.random.Generator) -> Any:
        return self.value


class CategoryMix(ColumnChange):
    """Another mix of known categories: the share of records it hits is drawn anew from ``weights``."""

    kind: Literal["mix"]
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)

    def faults_in(self, column: Column) -> list[tuple[str, str | None]]:
        if not column.is_category:
            return [("column", "needs a column of categories")]
        unknown = [name for name in self.weights if name not in column.categories]
        return [("weights", f"{name!r} is not among the expected categories") for name in unknown]

    def changed(self, value: Any, column: Column, rng: np.random.Generator) -> Any:
        names, weights = list(self.weights), np.fromiter(self.weights.values(), dtype=float)
        return names[int(np.searchsorted(np.cumsum(weights), rng.random() * weights.sum(), side="right"))]


class Blank(ColumnChange):
    """Values go missing."""

    kind: Literal["missing"]

    def faults_in(self, column: Column) -> list[tuple[str, str | None]]:
        return [("column", None if column.nullable else "may not be missing in this case")]

    def changed(self, value: Any, column: Column, rng: np.random.Generator) -> Any:
        return None


class Unseen(ColumnChange):
    """A category that nobody has seen before."""

    kind: Literal["unseen"]
    value: str

    def faults_in(self, column: Column) -> list[tuple[str, str | None]]:
        if not column.is_category:
            return [("column", "needs a column of categories")]
        fault = fault_in_value(column, self.value)
        seen = f"{self.value!r} is among the expected categories" if self.value in column.categories else None
        return [("value", fault.message if fault else seen)]

    def changed(self, value: Any, column: Column, rng: np.random.Generator) -> Any:
        return self.value


class RecordFilter(Part):
    """Holds where the column's value is there and is at least, at most or one of what is given."""

    column: Identifier
    at_least: float | None = None
    at_most: float | None = None
    one_of: list[str] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        ranged = self.at_least is not None or self.at_most is not None
        if ranged == (self.one_of is not None):
            raise ValueError("give at_least and at_most, or one_of")
        return self

    def holds(self, record: Mapping[str, Any]) -> bool:
        value = record.get(self.column)
        if value is None:
            return False
        if self.one_of is not None:
            return value in self.one_of
        return not (
            (self.at_least is not None and value < self.at_least) or (self.at_most is not None and value > self.at_most)
        )

    def fault(self, case: Case) -> str | None:
        if self.column not in case.column_names:
            return f"{self.column!r} is not a column of this case"
        if case.column(self.column).is_category != (self.one_of is not None):
            return "one_of is for columns of categories, at_least and at_most are for numbers"
        return None


class LabelChange(Part):
    """Concept drift: the label of records that meet every condition changes; the records do not."""

    where: list[RecordFilter] = []
    share: Share = 1.0

    def faults(self, case: Case) -> list[tuple[str, str]]:
        found = [(f"where[{index}]", condition.fault(case)) for index, condition in enumerate(self.where)]
        found.append(("kind", self.fault_in_task(case)))
        return [(field, message) for field, message in found if message]

    def concerns(self, record: Mapping[str, Any]) -> bool:
        return all(condition.holds(record) for condition in self.where)

    def fault_in_task(self, case: Case) -> str | None:
        raise NotImplementedError

    def relabelled(self, label: Any, case: Case) -> Label:
        raise NotImplementedError


class InvertLabel(LabelChange):
    """The other class, for binary cases."""

    kind: Literal["invert_label"]

    def fault_in_task(self, case: Case) -> str | None:
        return None if case.is_binary else "only a binary case has labels to invert"

    def relabelled(self, label: Any, case: Case) -> Label:
        return case.target.negative if label == case.target.positive else case.target.positive


class ScaleLabel(LabelChange):
    """The value times a factor, for regression cases."""

    kind: Literal["scale_label"]
    factor: float

    def fault_in_task(self, case: Case) -> str | None:
        return "only a regression case has labels to scale" if case.is_binary else None

    def relabelled(self, label: Any, case: Case) -> Label:
        return float(label * self.factor)


Change = Annotated[
    Add | Scale | SetTo | CategoryMix | Blank | Unseen | InvertLabel | ScaleLabel,
    Field(discriminator="kind"),
]


def faults_in_change(change: ColumnChange | LabelChange, case: Case, place: str) -> list[Fault]:
    return [Fault(f"{place}.{field}", "change", message) for field, message in change.faults(case)]
