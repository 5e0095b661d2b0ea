"""Windows on which an Evidently report fails as a whole, or flags for the wrong reason: here a bad column is named."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from monitoring_world import case_content, made_record, made_reference

from event_backbone.case.files import case_from_dict
from event_backbone.events.schema import ModelRef
from event_backbone.model.reference_profile import Profile, category_profile, column_profiles, number_profile
from monitoring_service.drift.univariate import DriftReference, measure_columns, measure_scores
from monitoring_service.evaluation.frames import decode_request, frame
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.messages import ColumnMeasure, ScoreWindow
from monitoring_service.windows.columns import unpacked, unpacked_floats
from monitoring_service.windows.row_buffer import WindowRow
from monitoring_service.windows.sliding_window import Windows


def ranged_case() -> Any:
    content = case_content(window_rows=400, minimum_rows=200)
    content["columns"][0]["expected"] = {"minimum": 0, "maximum": 100}
    content["columns"][1]["expected"] = {"minimum": 1}
    return case_from_dict(content, subject="made case")


CASE = ranged_case()
NAMES = set(CASE.column_names)


def reference_of(**columns: Sequence[Any]) -> DriftReference:
    known = {**made_reference(2000), **columns}
    predictions = category_profile(known["prediction"])
    profile = Profile(2000, column_profiles(CASE, known), number_profile(known["score"]), predictions)
    return DriftReference(CASE, profile)


REFERENCE = reference_of()


def records_of(rows: int, **columns: Sequence[Any]) -> list[dict[str, Any]]:
    rng = random.Random(17)
    records = [made_record(rng) for _ in range(rows)]
    return [{**one, **{name: columns[name][place] for name in columns}} for place, one in enumerate(records)]


def measured(records: Sequence[Mapping[str, Any]], reference: DriftReference = REFERENCE) -> dict[str, ColumnMeasure]:
    """From records through the windows and over the socket's frames, as in the service."""
    windows = Windows(CASE, rows_counted=0, checked_row=0)
    model = ModelRef("m", "1")
    rows = [
        WindowRow(number, dict(one), number / 1000, "yes", model, "b" * 64, "2026-01-01T00:00:00Z", 0.0)
        for number, one in enumerate(records, 1)
    ]
    windows.add(rows, [], len(rows))
    view = windows.newest()
    if view.newest is None:
        columns = view.rows.columns
    else:
        message = JudgedWindow(view, view.rows.sources[view.rows.source_codes[-1]]).message()
        request = decode_request(frame(ScoreWindow(message, [], predictions=False))[4:])
        assert isinstance(request, ScoreWindow)
        columns = {name: unpacked(column) for name, column in request.window.columns.items()}
    return {one.name: one for one in measure_columns(CASE, reference, columns)}


def assert_others_are_reported(found: Mapping[str, ColumnMeasure], bad: str) -> None:
    for name in NAMES - {bad}:
        assert found[name].state == "ok", name
        assert found[name].p_value is not None
        assert found[name].p_value > 1e-4, f"{name} has not moved"


@pytest.mark.parametrize("nothing", [None, float("nan")], ids=["null", "not a number"])
def test_a_column_without_any_value(nothing: Any) -> None:
    found = measured(records_of(400, price=[nothing] * 400))
    price = found["price"]
    assert (price.state, price.reason, price.missing_share) == ("insufficient", "too_few_values", 1.0)
    assert (price.moved, price.effect) == ("missing", 1.0)
    assert_others_are_reported(found, "price")


def test_no_row_at_all() -> None:
    for measure in measured([]).values():
        assert (measure.state, measure.reason) == ("insufficient", "too_few_rows")
        assert (measure.missing_share, measure.p_value, measure.score) == (None, None, None)
    assert measure_scores(CASE, REFERENCE, np.array([])).reason == "too_few_rows"


def test_a_column_that_no_record_names() -> None:
    records = [{name: value for name, value in one.items() if name != "items"} for one in records_of(400)]
    found = measured(records)
    assert (found["items"].state, found["items"].reason) == ("invalid", "not_in_window")
    assert_others_are_reported(found, "items")


def test_one_text_in_a_numeric_column() -> None:
    found = measured(records_of(400, price=[50.0] * 399 + ["fifty"]))
    assert (found["price"].state, found["price"].reason) == ("invalid", "not_a_number")
    assert_others_are_reported(found, "price")


def test_nullable_types_of_a_data_frame() -> None:
    plain = records_of(400)
    nullable = pd.DataFrame(plain).convert_dtypes()
    assert str(nullable["items"].dtype) == "Int64"
    assert measured(nullable.to_dict(orient="records")) == measured(plain)
    found = measured([{**one, "items": pd.NA if one["items"] is None else one["items"]} for one in plain])
    assert (found["items"].state, found["items"].reason) == ("invalid", "not_a_number")
    assert_others_are_reported(found, "items")


@pytest.mark.parametrize("rows", [1, 199])
def test_too_few_rows_make_no_verdict(rows: int) -> None:
    for measure in measured(records_of(rows)).values():
        assert (measure.state, measure.reason) == ("insufficient", "too_few_rows")
        assert (measure.p_value, measure.effect, measure.score) == (None, None, None)
        assert measure.missing_share is not None, "shares are known from the first row on"


def test_four_fifths_of_a_column_missing_is_said_as_such() -> None:
    prices = [one["price"] for one in records_of(400)]
    kept = [price if place % 5 == 0 else None for place, price in enumerate(prices)]
    found = measured(records_of(400, price=kept))
    price = found["price"]
    assert (price.state, price.missing_share, price.reference_missing_share) == ("ok", 0.8, 0.0)
    assert (price.moved, price.effect) == ("missing", pytest.approx(0.8)), "and not for values that have not moved"
    assert_others_are_reported(found, "price")
    payments = ["card" if place % 5 == 0 else None for place in range(400)]
    payment = measured(records_of(400, payment=payments))["payment"]
    assert (payment.missing_share, payment.moved) == (0.8, "missing")


def test_values_that_moved_are_said_to_have_moved() -> None:
    prices = [one["price"] + 10 for one in records_of(400)]
    found = measured(records_of(400, price=prices, payment=["cash"] * 400))
    assert (found["price"].moved, found["payment"].moved) == ("values", "values")


def test_a_constant_reference_and_a_window_a_hundredth_beside_it() -> None:
    """Every row did move; by how little is for the column's minimum effect and Evidently's score to say."""
    found = measured(records_of(400, price=[10.01] * 400), reference_of(price=[10.0] * 2000))
    assert (found["price"].state, found["price"].effect) == ("ok", 1.0)
    same = measured(records_of(400, price=[10.0] * 400), reference_of(price=[10.0] * 2000))
    assert (same["price"].state, same["price"].effect, same["price"].p_value) == ("ok", 0.0, 1.0)
    assert_others_are_reported(found, "price")


def test_one_category_only() -> None:
    found = measured(records_of(400, payment=["card"] * 400), reference_of(payment=["card"] * 2000))
    assert (found["payment"].state, found["payment"].effect, found["payment"].p_value) == ("ok", 0.0, 1.0)
    assert_others_are_reported(found, "payment")


def test_values_outside_the_expected_range_are_a_share_of_all_rows() -> None:
    prices = [-1.0] * 20 + [101.0] * 20 + [None] * 60 + [0.0] * 150 + [100.0] * 150
    found = measured(records_of(400, price=prices, items=[0] * 40 + [None] * 10 + [10**12] * 350))
    assert found["price"].out_of_range_share == pytest.approx(0.1)
    assert found["items"].out_of_range_share == pytest.approx(0.1), "no upper limit, so nothing is above it"
    assert found["payment"].out_of_range_share is None


def test_missing_shares_stand_beside_those_of_the_reference() -> None:
    found = measured(records_of(400), reference_of(payment=["card"] * 1000 + [None] * 1000))
    assert found["payment"].reference_missing_share == 0.5
    assert found["items"].reference_missing_share == pytest.approx(0.05, abs=0.02)


def test_categories_the_reference_never_had_are_one_group_however_many_there_are() -> None:
    """What is compared must not depend on how many of their names are kept."""
    few = measured(records_of(400, payment=["card"] * 200 + ["new"] * 200))["payment"]
    many = measured(records_of(400, payment=["card"] * 200 + [f"new-{place}" for place in range(200)]))["payment"]
    assert (few.p_value, few.effect, few.unseen_share) == (many.p_value, many.effect, 0.5)


def test_a_window_of_two_versions_has_the_scores_of_the_newest_only() -> None:
    windows = Windows(CASE, rows_counted=0, checked_row=0)
    rows = [
        WindowRow(number, one, number / 1000, "no", ModelRef("m", "1" if number <= 350 else "2"), "b" * 64, "", 0.0)
        for number, one in enumerate(records_of(400), 1)
    ]
    windows.add(rows, [], 400)
    view = windows.newest()
    message = JudgedWindow(view, view.rows.sources[view.rows.source_codes[-1]]).message()
    scores = unpacked_floats(message.scores)
    assert (scores.size, message.rows) == (50, 400)
    assert measure_scores(CASE, REFERENCE, scores).reason == "too_few_rows"
