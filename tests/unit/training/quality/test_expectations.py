"""The quality suite: what the case file makes of it, and what a YAML file adds."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_world import made_case, regression_case

from event_backbone.case.files import find_case
from event_backbone.errors import SettingsError
from training.quality.expectations import RowExpectation, expectations_of

CASES = Path(__file__).parents[4] / "cases"


def _suite(further: str, folder: Path) -> list[RowExpectation]:
    path = folder / "fruit.expectations.yaml"
    path.write_text(further)
    return expectations_of(made_case(), path)


def test_every_column_and_the_target_have_their_rules_in_the_suite(tmp_path: Path) -> None:
    names = [one.name for one in expectations_of(made_case(), tmp_path / "none.yaml")]
    assert names[0] == "expect_table_columns_to_match_ordered_list(number, weight, sugar, colour, ripe)"
    assert "expect_column_values_to_not_be_null(weight)" in names
    assert "expect_column_values_to_not_be_null(sugar)" not in names  # nullable
    assert "expect_column_values_to_be_between(weight)" in names
    assert "expect_column_values_to_be_in_set(colour)" in names
    assert "expect_column_values_to_be_in_set(ripe)" in names


def test_what_is_valid_admits_no_exception_and_what_is_expected_as_many_as_monitoring_does(tmp_path: Path) -> None:
    case = made_case()
    suite = {one.name: one.kwargs for one in expectations_of(case, tmp_path / "none.yaml")}
    assert suite["expect_column_values_to_be_between(weight)"]["mostly"] == 1.0
    unseen = case.monitoring.data.unseen
    assert suite["expect_column_values_to_be_in_set(colour)"]["mostly"] == pytest.approx(1 - unseen)


def test_a_regression_expects_numbers_that_differ(tmp_path: Path) -> None:
    names = [one.name for one in expectations_of(regression_case(), tmp_path / "none.yaml")]
    assert "expect_column_values_to_be_of_type(price)" in names
    assert "expect_column_unique_value_count_to_be_between(price)" in names


def test_further_expectations_come_after_those_of_the_case_file(tmp_path: Path) -> None:
    further = """
    expectations:
      - {type: expect_column_mean_to_be_between, kwargs: {column: weight, min_value: 1}, why: it weighs, parts: [test]}
    """
    last = _suite(further, tmp_path)[-1]
    assert last.name == "expect_column_mean_to_be_between(weight)"
    assert last.parts == ["test"]
    assert last.severity == "critical"


@pytest.mark.parametrize(
    ("further", "place"),
    [
        ("expectations: [{type: expect_x, kwargs: {}, why: none, often: yes}]", r"expectations\[0\].often"),
        ("expectations: [{type: drop table, kwargs: {}, why: none}]", r"expectations\[0\].type"),
        ("expectations: [{type: expect_x, kwargs: {column: wieght}, why: none}]", "'wieght' is no column of the case"),
        ("expectations: [{type: expect_x, kwargs: {column_list: [colour, x]}, why: none}]", "'x' is no column"),
        ("expectations: [{type: expect_x, kwargs: {column: [[colour]]}, why: none}]", "is no column of the case"),
        ("expectations: [{type: expect_x, kwargs: {column: {a: colour}}, why: none}]", "is no column of the case"),
        ("[", "fruit.expectations.yaml"),
    ],
)
def test_a_wrong_file_of_expectations_says_what_and_where(tmp_path: Path, further: str, place: str) -> None:
    with pytest.raises(SettingsError, match=place):
        _suite(further, tmp_path)


@pytest.mark.parametrize("name", ["census", "housing"])
def test_the_shipped_cases_have_further_expectations(name: str) -> None:
    case = find_case(name, CASES)
    shipped = expectations_of(case, CASES / f"{name}.expectations.yaml")
    assert len(shipped) > len(expectations_of(case, CASES / "none.yaml"))
