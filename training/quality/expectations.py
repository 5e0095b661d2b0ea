"""Expectations of rows: from the case file, and from a YAML file of further ones beside it.

They are Great Expectations' own, by type and arguments; this module needs nothing of that library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from event_backbone.case.files import faults_in_file, read_yaml
from event_backbone.case.schema import Case, Column, Limits
from event_backbone.errors import Fault, SettingsError

Part = Literal["train", "test"]
#: Arguments of expectations that name columns.
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set")


class RowExpectation(BaseModel):
    """One expectation of the rows of ``parts``; a ``warning`` that fails is reported and stops nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: str = Field(pattern=r"^expect_[a-z_A-Z]+$")
    kwargs: dict[str, Any]
    why: str = Field(min_length=1, max_length=400)
    severity: Literal["critical", "warning"] = "critical"
    parts: list[Part] = Field(default=["train", "test"], min_length=1)

    @property
    def name(self) -> str:
        return name_of(self.type, self.kwargs)

    @property
    def columns(self) -> list[str]:
        return columns_of(self.kwargs)


def name_of(kind: str, kwargs: Mapping[str, Any]) -> str:
    """The name of an expectation: its type with its columns."""
    return f"{kind}({', '.join(columns_of(kwargs))})"


def columns_of(kwargs: Mapping[str, Any]) -> list[str]:
    named = [kwargs[argument] for argument in _COLUMN_ARGUMENTS if argument in kwargs]
    return [name for names in named for name in (names if isinstance(names, list) else [names])]


class _ExpectationsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    expectations: list[RowExpectation]


def expectations_of(case: Case, further: Path) -> list[RowExpectation]:
    """The whole suite: the case file's, then those of the file ``further`` if there is one.

    Raises:
        SettingsError: ``further`` is no list of expectations, or names a column that the case has not.
    """
    return [*_of_case(case), *(_read(case, further) if further.is_file() else [])]


def _read(case: Case, path: Path) -> list[RowExpectation]:
    try:
        found = _ExpectationsFile.model_validate(read_yaml(path)).expectations
    except ValidationError as error:
        raise SettingsError(str(path), faults_in_file(error)) from None
    known = {*case.column_names, case.target.name}
    faults = [
        Fault(f"expectations[{index}].kwargs", "unknown", f"{name!r} is no column of the case")
        for index, one in enumerate(found)
        for name in one.columns
        if not (isinstance(name, str) and name in known)
    ]
    if faults:
        raise SettingsError(str(path), faults)
    return found


def _of_case(case: Case) -> Iterator[RowExpectation]:
    columns = [*case.column_names, case.target.name]
    yield _expected("its columns", "expect_table_columns_to_match_ordered_list", {"column_list": columns})
    for column in case.columns:
        yield from _of_column(case, column)
    yield from _of_target(case)


def _of_column(case: Case, column: Column) -> Iterator[RowExpectation]:
    named = {"column": column.name}
    if not column.nullable:
        yield _expected("not nullable", "expect_column_values_to_not_be_null", named)
    yield _of_type(column.name, column.kind)
    if column.is_category:
        longest = {**named, "min_value": 1, "max_value": column.valid.max_length}
        yield _expected("valid length", "expect_column_value_lengths_to_be_between", longest)
        categories = {**named, "value_set": list(column.categories), "mostly": 1 - case.monitoring.data.unseen}
        yield _expected("expected categories", "expect_column_values_to_be_in_set", categories)
    else:
        yield from _between("valid", named, column.valid, 1.0)
        yield from _between("expected", named, column.expected, 1 - case.monitoring.data.out_of_range)


def _of_type(name: str, kind: str) -> RowExpectation:
    types = {"integer": "int64", "number": "float64", "category": "str"}
    return _expected(f"of kind {kind}", "expect_column_values_to_be_of_type", {"column": name, "type_": types[kind]})


def _between(why: str, named: Mapping[str, str], limits: Limits, mostly: float) -> Iterator[RowExpectation]:
    if limits.minimum is not None or limits.maximum is not None:
        between = {**named, "min_value": limits.minimum, "max_value": limits.maximum, "mostly": mostly}
        yield _expected(f"{why} range", "expect_column_values_to_be_between", between)


def _of_target(case: Case) -> Iterator[RowExpectation]:
    target, named = case.target, {"column": case.target.name}
    yield _expected("every row has a label", "expect_column_values_to_not_be_null", named)
    if case.is_binary:
        classes = {**named, "value_set": [target.positive, target.negative]}
        yield _expected("the two classes", "expect_column_values_to_be_in_set", classes)
        yield _expected("both classes occur", "expect_column_distinct_values_to_contain_set", classes)
    else:
        yield _of_type(target.name, "number")
        more_than_one = {**named, "min_value": 2}
        yield _expected("not always the same", "expect_column_unique_value_count_to_be_between", more_than_one)


def _expected(why: str, kind: str, arguments: Mapping[str, Any]) -> RowExpectation:
    return RowExpectation(type=kind, kwargs=dict(arguments), why=f"case file: {why}")
