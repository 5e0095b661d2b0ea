"""The report on a run's data: what is in it, what changed, and its page."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from training_world import made_case, made_rows, priced_rows, regression_case

from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from training.data.raw import DataOrigin
from training.data.rows import LabelledRows
from training.weekly.analysis import Change, ColumnData, DataProfile, changes_between, load_profile, profile_of
from training.weekly.analysis_page import render_page

CASE = made_case()
SOURCE = DataOrigin("folder", "the files in raw", {"fruit.data": "a" * 64})


def _profile(rows: LabelledRows, source: DataOrigin = SOURCE) -> DataProfile:
    return profile_of(CASE, source, rows)


def _changed(rows: LabelledRows, **values: Any) -> LabelledRows:
    return LabelledRows([{**record, **values} for record in rows.records], rows.labels)


def _change(before: ColumnData, now: ColumnData) -> Change:
    """Of one column of two runs in which nothing else changed."""
    same = _profile(made_rows(1000))
    name = "sugar" if isinstance(now, NumberProfile) else "colour"
    runs = [msgspec.structs.replace(same, columns={**same.columns, name: column}) for column in (before, now)]
    return changes_between(CASE, *runs).columns[name]


def test_the_profile_counts_values_missing_ones_and_labels() -> None:
    profile = _profile(LabelledRows([{"number": 1, "weight": 2, "sugar": None, "colour": "red"}] * 4, ["yes"] * 4))
    assert profile.columns["sugar"] == NumberProfile([], 4)
    assert profile.columns["colour"] == CategoryProfile({"red": 4}, 0)
    assert profile.labels == CategoryProfile({"yes": 4}, 0)
    assert profile.rows == 4


def test_numbers_moved_by_the_largest_distance_of_their_distribution_functions() -> None:
    # A hundred equally likely values, thirty of them moved above all others.
    before = NumberProfile([float(value) for value in range(100)], 0)
    now = NumberProfile([float(value) for value in range(30, 130)], 0)
    change = _change(before, now)
    assert (change.effect, change.moved) == (pytest.approx(0.3), "values")


def test_categories_moved_by_half_the_sum_of_their_distances() -> None:
    before, now = CategoryProfile({"a": 600, "b": 400}, 0), CategoryProfile({"a": 300, "b": 400, "c": 300}, 0)
    change = _change(before, now)
    assert (change.effect, change.moved) == (pytest.approx(0.3), "values")
    assert (change.new_categories, change.gone_categories, change.notable) == (["c"], [], True)


def test_a_rare_category_that_is_gone_is_named_and_may_be_chance() -> None:
    change = _change(CategoryProfile({"a": 999, "b": 1}, 0), CategoryProfile({"a": 1000}, 0))
    assert (change.gone_categories, change.notable) == (["b"], False)


def test_values_that_went_missing_are_notable_alone() -> None:
    change = _change(NumberProfile([1.0, 2.0] * 50, 0), NumberProfile([1.0, 2.0] * 40, 20))
    assert (change.effect, change.moved) == (pytest.approx(1 / 5), "missing")
    assert (change.missing_before, change.missing, change.notable) == (0, pytest.approx(1 / 5), True)


def test_a_column_without_any_value_lost_them_all() -> None:
    change = _change(NumberProfile([1.0] * 50, 0), NumberProfile([], 50))
    assert (change.effect, change.moved, change.missing, change.notable) == (1, "missing", 1, True)


def test_what_is_too_little_to_compare_is_not_notable_and_has_no_effect() -> None:
    change = _change(NumberProfile([1.0] * 500, 0), NumberProfile([9.0] * 20, 0))
    assert (change.effect, change.moved, change.notable) == (None, None, False)


@pytest.mark.parametrize("rows", [100, 5000])
def test_two_samples_of_one_world_are_alike(rows: int) -> None:
    for seed in range(5):
        before, now = _profile(made_rows(rows, seed=seed)), _profile(made_rows(rows, seed=100 + seed))
        changes = changes_between(CASE, before, now)
        assert changes.notable == []
        assert not changes.target.notable


def test_the_same_rows_show_no_change() -> None:
    rows = made_rows(300)
    changes = changes_between(CASE, _profile(rows), _profile(rows))
    assert changes.same_data
    assert changes.notable == []
    assert not changes.target.notable


def test_what_changed_is_named_and_nothing_else() -> None:
    rows = made_rows(300)
    changes = changes_between(CASE, _profile(rows), _profile(_changed(rows, weight=400)))
    assert changes.notable == ["weight"]


def test_other_labels_are_a_change_of_the_target() -> None:
    rows = made_rows(300)
    always = LabelledRows(rows.records, ["yes"] * 300)
    assert changes_between(CASE, _profile(rows), _profile(always)).target.notable


def test_a_column_that_is_new_or_of_another_kind_is_not_compared() -> None:
    rows = made_rows(20)
    before = msgspec.structs.replace(
        _profile(rows), columns={"weight": CategoryProfile({}, 0), "sugar": _profile(rows).columns["sugar"]}
    )
    assert list(changes_between(CASE, before, _profile(rows)).columns) == ["sugar"]


def test_a_profile_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    profile = _profile(made_rows(50))
    (tmp_path / "profile.json").write_bytes(msgspec.json.encode(profile))
    assert load_profile(tmp_path / "profile.json") == profile


@pytest.mark.parametrize("content", [None, b"", b'{"rows": 1}'])
def test_a_profile_that_is_not_there_or_another_is_none(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "profile.json").write_bytes(content)
    assert load_profile(tmp_path / "profile.json") is None


def test_the_page_stands_alone_and_shows_every_column() -> None:
    now = _profile(made_rows(200))
    page = render_page(CASE, now, None, None)
    assert "There is no earlier run" in page
    assert all(f"<td>{name}</td>" in page for name in (*CASE.column_names, CASE.target.name))
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_says_what_changed() -> None:
    rows = made_rows(200)
    before, now = _profile(rows), _profile(_changed(rows, weight=400))
    page = render_page(CASE, now, before, changes_between(CASE, before, now))
    assert "Notable: weight." in page


def test_the_page_says_that_there_are_too_few_rows_to_tell() -> None:
    before, now = _profile(made_rows(500)), _profile(_changed(made_rows(50), weight=400))
    changes = changes_between(CASE, before, now)
    page = render_page(CASE, now, before, changes)
    assert "There are too few rows now to tell what changed." in page
    assert "notable" not in page.partition("<body>")[2]
    assert changes.sentence.endswith("too few rows to tell")


def test_the_page_warns_of_synthetic_rows_and_shows_no_markup_of_the_data() -> None:
    rows = made_rows(40)
    rows = LabelledRows([{**record, "colour": "<b>$x$</b>"} for record in rows.records], rows.labels)
    page = render_page(CASE, _profile(rows, replace(SOURCE, kind="sample")), None, None)
    assert "These rows are synthetic" in page
    assert "<b>" not in page


def test_a_regression_has_a_distribution_of_its_target() -> None:
    case = regression_case()
    rows = priced_rows(random.Random(1).randint(100, 120))
    page = render_page(case, profile_of(case, SOURCE, rows), None, None)
    assert "<td>price</td><td>numbers</td>" in page
