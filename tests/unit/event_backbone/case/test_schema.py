"""Case files: what is wrong with one is listed at once, each fault with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prediction_world import COLUMNS, case_content, made_case, numeric_case, write_case
from pydantic import BaseModel

from event_backbone.case.files import case_from_dict, find_case, load_case, read_yaml
from event_backbone.case.schema import Case, MonitoringSettings, TrainingLimits
from event_backbone.errors import SettingsError

CASES_DIR = Path(__file__).parents[4] / "cases"
LEAVES, SOIL = COLUMNS[0], COLUMNS[4]


def faults_of(content: Any) -> dict[str, str]:
    with pytest.raises(SettingsError) as wrong:
        case_from_dict(content, subject="made case")
    return {fault.place: fault.message for fault in wrong.value.faults}


def with_column(column: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return case_content(columns=[{**column, **changes}])


def with_data(**changes: Any) -> dict[str, Any]:
    return case_content(data={**case_content()["data"], **changes})


@pytest.mark.parametrize(("name", "task", "columns"), [("census", "binary", 14), ("housing", "regression", 9)])
def test_the_shipped_cases_load(name: str, task: str, columns: int) -> None:
    case = find_case(name, CASES_DIR)
    assert (case.name, case.task, len(case.columns)) == (name, task, columns)


def test_a_column_that_is_no_feature_is_still_a_column() -> None:
    case = made_case()
    assert "plot" in case.column_names
    assert "plot" not in [column.name for column in case.features]


# Faults ---------------------------------------------------------------------------------------------------------------


def test_every_fault_of_a_wrong_file_is_listed_with_its_place() -> None:
    columns = [
        {**LEAVES, "kind": "whole", "valid": {"minimum": "none"}},
        {**SOIL, "name": "Soil!", "colour": "brown"},
    ]
    assert set(faults_of(case_content(task="guess", columns=columns, title=""))) == {
        "title",
        "task",
        "columns[0].kind",
        "columns[0].valid.minimum",
        "columns[1].name",
        "columns[1].colour",
    }


def test_faults_that_no_part_sees_alone_are_listed_together() -> None:
    columns = [*COLUMNS, {**LEAVES}, {**LEAVES, "name": "record_id"}, {**LEAVES, "name": "flowers"}]
    target = {"name": "flowers", "title": "Flowers", "positive": "yes", "negative": "yes"}
    assert faults_of(case_content(columns=columns, target=target)) == {
        "columns[6].name": "column 'leaves' stands twice",
        "columns[7].name": "'record_id' is a reserved field",
        "columns[8].name": "'flowers' is the target and can't be a column",
        "target": "a binary case needs two different classes, positive and negative",
    }


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (with_column(LEAVES, valid={"minimum": 5, "maximum": 1}), "columns[0].valid", "minimum 5 is above maximum 1"),
        (
            with_column(LEAVES, expected={"maximum": 9000}),
            "columns[0]",
            "expected limit 9000 lies outside the valid limits",
        ),
        (
            with_column(LEAVES, expected={"categories": ["a"]}),
            "columns[0]",
            "expected.categories belongs to category columns",
        ),
        (with_column(SOIL, expected={}), "columns[0]", "a category column needs expected.categories"),
        (
            with_column(SOIL, valid={"minimum": 1}),
            "columns[0]",
            "a category column takes no minimum or maximum",
        ),
        (
            with_column(SOIL, expected={"categories": ["", "x" * 13]}),
            "columns[0]",
            f"categories are empty or longer than valid.max_length: , {'x' * 13}",
        ),
        (
            with_column(SOIL, expected={"categories": ["a", "b", "a"]}),
            "columns[0].expected",
            "categories stand twice: a",
        ),
        (with_column(LEAVES, feature=False), "columns", "no column is a feature"),
        (
            case_content(task="regression"),
            "target",
            "positive and negative belong to binary cases",
        ),
        (with_data(files=[]), "data.files", "no file has the role train"),
        (
            with_data(split={"fit_and_validation": 10, "reference": 10}),
            "data.split.test_share",
            "name a test file or a test_share, exactly one of them",
        ),
        (
            with_data(split={"fit_and_validation": 3000, "reference": 1000, "test_share": 0.2}),
            "data.split",
            "the split leaves no row of 5000 for the stream",
        ),
        (
            with_data(format={"header": False}),
            "data.format.fields",
            "files without a header need their fields named",
        ),
    ],
)
def test_a_wrong_case_says_what_and_where(content: dict[str, Any], place: str, message: str) -> None:
    assert faults_of(content)[place] == message


def test_fields_of_a_file_without_header_are_the_columns_and_the_target() -> None:
    columns = case_content()["columns"]
    names = [column["name"] for column in columns]
    case_from_dict(with_data(format={"header": False, "fields": [*names, "flowers"]}), subject="made case")
    with pytest.raises(SettingsError) as wrong:
        case_from_dict(with_data(format={"header": False, "fields": [*names[1:], "shade"]}), subject="made case")
    assert [fault.message for fault in wrong.value.faults] == [
        "column 'flowers' is not among the fields",
        "column 'leaves' is not among the fields",
        "'shade' is neither a column nor the target",
    ]


@pytest.mark.parametrize("minimum", [float("nan"), float("inf"), True, "1"])
def test_a_limit_is_a_finite_number(minimum: object) -> None:
    assert "columns[0].valid.minimum" in faults_of(with_column(LEAVES, valid={"minimum": minimum}))


@pytest.mark.parametrize("content", [None, [], "text", {}])
def test_what_is_no_case_at_all_is_refused(content: object) -> None:
    assert faults_of(content)


def test_the_error_tells_the_file_and_all_faults_in_one_text(tmp_path: Path) -> None:
    path = write_case(tmp_path, task="guess", title="")
    with pytest.raises(SettingsError) as wrong:
        load_case(path)
    text = str(wrong.value)
    assert text.startswith(f"{path}: 2 faults\n")
    assert "\n  task: " in text
    assert "\n  title: " in text


@pytest.mark.parametrize(
    ("content", "reason"), [(b"name: [", "no_yaml"), (b"\xff\xfe\x00", "no_yaml"), (None, "unreadable")]
)
def test_a_file_that_is_no_yaml_is_one_fault(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "garden.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as wrong:
        load_case(path)
    assert [fault.reason for fault in wrong.value.faults] == [reason]


def test_an_unknown_case_is_answered_with_the_names_there_are(tmp_path: Path) -> None:
    write_case(tmp_path)
    (tmp_path / "garden.scenarios.yaml").write_text("{}")
    with pytest.raises(SettingsError, match=r"no such case in .*; there are: garden$"):
        find_case("meadow", tmp_path)


# Defaults -------------------------------------------------------------------------------------------------------------


def repeated(given: dict[str, Any], defaults: dict[str, Any], place: str) -> Iterator[str]:
    """Where a file says what would hold without it."""
    for key, value in given.items():
        default = defaults.get(key)
        if value == default:
            yield f"{place}.{key}"
        elif isinstance(value, dict) and isinstance(default, dict):
            yield from repeated(value, default, f"{place}.{key}")


@pytest.mark.parametrize("path", [path for path in CASES_DIR.glob("*.yaml") if "." not in path.stem], ids=str)
@pytest.mark.parametrize(("part", "defaults"), [("monitoring", MonitoringSettings()), ("training", TrainingLimits())])
def test_a_shipped_case_repeats_no_default(path: Path, part: str, defaults: BaseModel) -> None:
    assert list(repeated(read_yaml(path).get(part, {}), defaults.model_dump(), part)) == []


def test_a_repeated_default_is_found_at_any_depth() -> None:
    given = {"significance": 0.0004, "quality": {"gap": 0.05, "loss": 0.2}, "segments": ["sex"]}
    found = repeated(given, MonitoringSettings().model_dump(), "monitoring")
    assert list(found) == ["monitoring.significance", "monitoring.quality.gap"]


def test_a_case_that_says_nothing_of_monitoring_is_judged_by_the_measured_defaults() -> None:
    """Those of docs/adr/0017."""
    content = case_content()
    content.pop("monitoring", None)
    case = case_from_dict(content, subject="made case")
    limits = case.monitoring
    assert (limits.significance, limits.detector_significance, limits.detector_delta) == (0.0004, 0.001, 0.05)
    assert {case.minimum_effect(column) for column in case.columns} == {limits.minimum_effect} == {0.005}


# Identity and labels --------------------------------------------------------------------------------------------------


def test_comments_and_layout_do_not_change_the_digest(tmp_path: Path) -> None:
    plain = load_case(write_case(tmp_path))
    other = tmp_path / "other.yaml"
    other.write_text("# a comment\n" + yaml.safe_dump(case_content(), default_flow_style=True, sort_keys=True))
    assert load_case(other).sha256 == plain.sha256


def test_another_content_has_another_digest() -> None:
    changed = [{**LEAVES, "help": "Counted twice."}, *COLUMNS[1:]]
    assert made_case(columns=changed).sha256 != made_case().sha256


@pytest.mark.parametrize(
    ("case", "value", "fits"),
    [
        *((made_case(), value, value in ("yes", "no")) for value in ("yes", "no", "maybe", "", None, True, 1, ["yes"])),
        *((numeric_case(), value, True) for value in (0, -3, 2.5)),
        *((numeric_case(), value, False) for value in (True, None, "5", float("nan"), float("inf"), 10**400)),
    ],
)
def test_a_label_is_one_of_two_classes_or_a_finite_number(case: Case, value: object, fits: bool) -> None:
    assert case.is_label(value) is fits


def test_a_column_may_ask_for_an_effect_of_its_own() -> None:
    case = made_case(columns=[{**LEAVES, "minimum_effect": 0.3}, SOIL])
    assert case.minimum_effect(case.column("leaves")) == 0.3
    assert case.minimum_effect(case.column("soil")) == case.monitoring.minimum_effect


@pytest.mark.parametrize("rows", [10**12 + 1, 10**400])
def test_a_number_of_rows_beyond_all_reason_is_a_fault(rows: int) -> None:
    files = [{**case_content()["data"]["files"][0], "rows": rows}]
    assert list(faults_of(with_data(files=files))) == ["data.files[0].rows"]
