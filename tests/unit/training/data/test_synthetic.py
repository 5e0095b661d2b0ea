"""The synthetic sample: tables, and rows drawn from them."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from training_world import COLUMNS, RawFiles, made_case, made_rows, priced_rows, regression_case, write_sample

from event_backbone.case.records import faults_in
from event_backbone.case.schema import Case
from event_backbone.errors import SettingsError
from training.data.rows import LabelledRows
from training.data.synthetic import Sample, load_sample
from training.data.synthetic_fitting import FEWEST_ROWS, fit_sample

CASE = made_case()
ROWS = made_rows(2000)


def _sample(rows: LabelledRows = ROWS, case: Case = CASE) -> Sample:
    return fit_sample(case, rows, {"fruit.data": "0" * 64})


def _values(rows: LabelledRows, name: str) -> list[Any]:
    return [record[name] for record in rows.records]


def _written(sample: Sample, folder: Path) -> Path:
    path = folder / "fruit.json"
    path.write_bytes(msgspec.json.encode(sample))
    return path


def test_the_same_seed_draws_the_same_rows_and_another_seed_others() -> None:
    sample = _sample()
    assert sample.draw(50, 3) == sample.draw(50, 3)
    assert sample.draw(50, 3) != sample.draw(50, 4)


@pytest.mark.parametrize(
    ("case", "rows"), [(CASE, ROWS), (regression_case(), priced_rows(2000))], ids=["binary", "regression"]
)
def test_drawn_rows_are_valid_records_with_labels(case: Case, rows: LabelledRows) -> None:
    drawn = _sample(rows, case).draw(500, 1)
    assert [faults_in(case, record) for record in drawn.records if faults_in(case, record)] == []
    assert all(case.is_label(label) for label in drawn.labels)
    assert list(drawn.records[0]) == list(case.column_names)


def test_whole_numbers_stay_whole_when_the_tables_were_written(tmp_path: Path) -> None:
    drawn = load_sample(_written(_sample(), tmp_path), CASE).draw(200, 1)
    assert {type(value) for value in _values(drawn, "weight")} == {int}
    assert {type(value) for value in _values(drawn, "sugar")} == {float, type(None)}


def test_decimal_numbers_have_the_digits_of_the_data() -> None:
    sugars = [value for value in _values(_sample().draw(500, 1), "sugar") if value is not None]
    assert sugars == [round(value, 1) for value in sugars]


def test_shares_are_those_of_the_data() -> None:
    drawn = _sample().draw(5000, 1)
    for name in ("colour", "sugar"):
        missing = [_values(rows, name).count(None) / len(rows) for rows in (ROWS, drawn)]
        assert missing[0] == pytest.approx(missing[1], abs=0.02)
    for colour, count in Counter(_values(ROWS, "colour")).items():
        assert _values(drawn, "colour").count(colour) / 5000 == pytest.approx(count / 2000, abs=0.03)
    assert drawn.labels.count("yes") / 5000 == pytest.approx(ROWS.labels.count("yes") / 2000, abs=0.03)


def test_the_label_still_follows_from_the_columns() -> None:
    drawn = _sample().draw(5000, 1)

    def share_of_ripe(rows: LabelledRows, *, red: bool, heavy: bool) -> float:
        labels = [
            label == "yes"
            for record, label in zip(rows.records, rows.labels, strict=True)
            if (record["colour"] == "red") == red and (record["weight"] > 150) == heavy
        ]
        return sum(labels) / len(labels)

    for red in (False, True):
        for heavy in (False, True):
            expected = share_of_ripe(ROWS, red=red, heavy=heavy)
            assert share_of_ripe(drawn, red=red, heavy=heavy) == pytest.approx(expected, abs=0.08)


def test_a_regression_s_label_follows_from_its_columns() -> None:
    drawn = _sample(priced_rows(2000), regression_case()).draw(3000, 1)
    correlation = np.corrcoef(np.array(_values(drawn, "weight")), np.array(drawn.labels))[0, 1]
    assert correlation > 0.9


def _chain(count: int) -> tuple[Case, LabelledRows]:
    """Three categories, of which the second follows the first and the third the second."""
    names = ["first", "second", "third"]
    categories = {"categories": ["a", "b", "c"]}
    columns = [
        {"name": name, "title": name, "help": name, "kind": "category", "expected": categories} for name in names
    ]
    fields = {"fields": [*names, "ripe"]}
    data = RawFiles().case().data.model_dump(mode="json")
    case = RawFiles().case(columns=columns, data={**data, "format": {**data["format"], **fields}})
    chance = random.Random(1)
    records, labels = [], []
    for _ in range(count):
        first = chance.choice("abc")
        second = first if chance.random() < 0.8 else chance.choice("abc")
        third = second if chance.random() < 0.8 else chance.choice("abc")
        records.append({"first": first, "second": second, "third": third})
        labels.append(chance.choice(["yes", "no"]))
    return case, LabelledRows(records, labels)


def test_the_tree_finds_the_columns_that_hang_together() -> None:
    case, rows = _chain(3000)
    edges = {frozenset((column.name, column.parent)) for column in _sample(rows, case).columns if column.parent}
    assert edges == {frozenset(("first", "second")), frozenset(("second", "third"))}


def test_a_parent_is_drawn_before_its_children() -> None:
    drawn: set[str | None] = {None}
    for column in _sample().columns:
        assert column.parent in drawn
        drawn.add(column.name)


def test_a_value_that_few_rows_have_is_not_in_the_tables() -> None:
    rare = [{**record, "colour": "secret"} for record in ROWS.records[: FEWEST_ROWS - 1]]
    heavy = {**ROWS.records[FEWEST_ROWS], "weight": 987_654}
    rows = LabelledRows([*rare, heavy, *ROWS.records[FEWEST_ROWS:]], ROWS.labels)
    written = msgspec.json.encode(_sample(rows))
    assert b"secret" not in written
    assert b"987654" not in written


def test_the_tables_are_small_numbers_and_no_rows() -> None:
    """Every row's own number, 0 to 1999, must be described by its quantiles alone."""
    number = next(column for column in _sample().columns if column.name == "number")
    assert sum(len(one.knots) for one in number.bins) < 300
    assert all(not one.values for one in number.bins)


def test_a_spike_stays_a_spike() -> None:
    records = [{**record, "weight": 0 if index % 3 else 777} for index, record in enumerate(ROWS.records)]
    drawn = _sample(LabelledRows(records, ROWS.labels)).draw(3000, 1)
    assert set(_values(drawn, "weight")) == {0, 777}
    assert _values(drawn, "weight").count(777) / 3000 == pytest.approx(1 / 3, abs=0.03)


def test_a_sample_for_other_columns_is_refused(tmp_path: Path) -> None:
    path = _written(_sample(), tmp_path)
    renamed = [{**column, "name": f"other_{column['name']}"} for column in COLUMNS]
    data = CASE.data.model_dump(mode="json")
    fields = {"fields": [*(column["name"] for column in renamed), "ripe"]}
    other = RawFiles().case(columns=renamed, data={**data, "format": {**data["format"], **fields}})
    with pytest.raises(SettingsError, match="columns of the case file"):
        load_sample(path, other)


@pytest.mark.parametrize("content", [b"", b"{}", b"no json"])
def test_what_is_no_sample_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "fruit.json").write_bytes(content)
    with pytest.raises(SettingsError, match=r"fruit\.json"):
        load_sample(tmp_path / "fruit.json", CASE)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = write_sample(CASE, tmp_path / "fruit.json")
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":9'))
    with pytest.raises(SettingsError, match="9 is unknown"):
        load_sample(path, CASE)
