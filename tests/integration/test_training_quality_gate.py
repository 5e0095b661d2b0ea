"""The quality gate through Great Expectations itself: what fails is named, and results are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_world import RawFiles, made_case, made_rows

from event_backbone.errors import SettingsError
from training.data.raw import DataOrigin, Raw, raw_of_rows
from training.data.rows import LabelledRows
from training.quality.gate import Inspection, inspect_rows, validate
from training.quality.great_expectations_gate import GreatExpectationsGate

CASE = made_case()
NO_ROWS = LabelledRows([], [])


def _gate(folder: Path, further: str = "expectations: []") -> GreatExpectationsGate:
    (folder / "fruit.expectations.yaml").write_text(further)
    return GreatExpectationsGate(folder / "fruit.expectations.yaml", folder / "quality")


def _inspect(folder: Path, rows: LabelledRows, further: str = "expectations: []") -> Inspection:
    return _gate(folder, further).inspect(CASE, {"train": rows})


def _with(rows: LabelledRows, count: int, changed: Mapping[str, Any]) -> LabelledRows:
    records = [{**record, **changed} if index < count else record for index, record in enumerate(rows.records)]
    return replace(rows, records=records)


def test_good_rows_meet_every_expectation_and_the_results_are_kept(tmp_path: Path) -> None:
    files = RawFiles()
    raw = Raw(DataOrigin("folder", "made", {}), {"fruit.data": files.train, "fruit.test": files.test})
    retrieved, inspection = validate(CASE, raw, _gate(tmp_path))
    assert len(retrieved.train) == 400
    assert inspection.unmet == []
    results = json.loads((inspection.folder / "results.json").read_bytes())
    assert {part: result["success"] for part, result in results.items()} == {"train": True, "test": True}
    assert (inspection.folder / "docs" / "index.html").is_file()


@pytest.mark.parametrize(
    ("count", "changed", "expectation"),
    [
        (1, {"weight": None}, "expect_column_values_to_not_be_null(weight)"),
        (1, {"weight": "heavy"}, "expect_column_values_to_be_of_type(weight)"),
        (1, {"weight": -1}, "expect_column_values_to_be_between(weight)"),
        (40, {"colour": "blue"}, "expect_column_values_to_be_in_set(colour)"),
    ],
)
def test_what_rows_do_not_meet_is_named(
    tmp_path: Path, count: int, changed: Mapping[str, Any], expectation: str
) -> None:
    inspection = _inspect(tmp_path, _with(made_rows(400), count, changed))
    assert expectation in [unmet.expectation for unmet in inspection.failures]


def test_a_few_unseen_categories_are_no_failure(tmp_path: Path) -> None:
    assert _inspect(tmp_path, _with(made_rows(400), 4, {"colour": "blue"})).unmet == []


def test_one_label_only_is_a_failure(tmp_path: Path) -> None:
    rows = replace(made_rows(100), labels=["yes"] * 100)
    (unmet,) = _inspect(tmp_path, rows).failures
    assert unmet.expectation == "expect_column_distinct_values_to_contain_set(ripe)"


def test_no_value_of_a_record_is_kept(tmp_path: Path) -> None:
    inspection = _inspect(tmp_path, _with(made_rows(400), 40, {"colour": "a-secret-colour", "weight": -987654}))
    assert len(inspection.failures) == 2
    kept = [path.read_bytes() for path in inspection.folder.rglob("*") if path.suffix in (".json", ".html")]
    assert kept
    assert not any(b"a-secret-colour" in content or b"987654" in content for content in kept)


def test_an_expectation_of_the_yaml_file_that_fails_stops_the_flow_by_name(tmp_path: Path) -> None:
    further = "expectations: [{type: expect_column_mean_to_be_between, kwargs: {column: weight, max_value: 9}, why: x}]"
    raw = raw_of_rows(DataOrigin("log", "made", {}), made_rows(400), NO_ROWS)
    with pytest.raises(SettingsError) as caught:
        validate(CASE, raw, _gate(tmp_path, further))
    named, kept = (fault.message for fault in caught.value.faults)
    assert named.startswith("expect_column_mean_to_be_between(weight): observed 1")
    assert kept == f"are in {tmp_path / 'quality'}"


def test_a_warning_stops_nothing_and_is_said(tmp_path: Path) -> None:
    further = (
        "expectations: [{type: expect_column_mean_to_be_between, kwargs: {column: weight, max_value: 9}, why: x,"
        " severity: warning}]"
    )
    inspection = inspect_rows(CASE, made_rows(400), NO_ROWS, _gate(tmp_path, further))
    assert "warning: train: expect_column_mean_to_be_between(weight)" in inspection.sentence


def test_values_that_are_told_apart_and_not_counted_are_no_error_of_ours(tmp_path: Path) -> None:
    further = (
        "expectations: [{type: expect_column_distinct_values_to_be_in_set, kwargs: {column: colour, value_set: [red]},"
        " why: x, severity: warning}]"
    )
    (unmet,) = _inspect(tmp_path, made_rows(400), further).unmet
    assert unmet.message == "is not met (x)"


@pytest.mark.parametrize(
    "wrong",
    ["expect_flying_pigs", "expect_column_mean_to_be_between", "expect_column_quantile_values_to_be_between"],
)
def test_an_expectation_that_the_library_does_not_take_is_an_error_of_the_file(tmp_path: Path, wrong: str) -> None:
    further = f"expectations: [{{type: {wrong}, kwargs: {{colum: weight}}, why: x}}]"
    with pytest.raises(SettingsError, match=rf"fruit\.expectations\.yaml(.|\n)*{wrong}"):
        _inspect(tmp_path, made_rows(50), further)


def test_bad_values_are_named_by_line_and_by_expectation(tmp_path: Path) -> None:
    files = RawFiles()
    heavy = files.train.replace(b"\n1, ", b"\n1, heavy", 1)
    raw = Raw(DataOrigin("folder", "made", {}), {"fruit.data": heavy, "fruit.test": files.test})
    with pytest.raises(SettingsError) as caught:
        validate(CASE, raw, _gate(tmp_path))
    assert "fruit.data, line 2: weight must be a number" in str(caught.value)
    assert "train rows: expect_column_values_to_be_of_type(weight)" in str(caught.value)
