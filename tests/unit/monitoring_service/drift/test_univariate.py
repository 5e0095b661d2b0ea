"""Measuring windows, every kind of bad column beside good ones, and Evidently's scores beside the measures."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from monitoring_world import made_case, made_record, made_reference
from msgspec.structs import replace

from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import Profile, category_profile, number_profile
from monitoring_service.drift.evidently_score import score_column
from monitoring_service.drift.univariate import DriftReference, measure_columns, measure_scores
from monitoring_service.evaluation.measuring import guarded_column
from monitoring_service.messages import ColumnMeasure, ColumnScore
from monitoring_service.windows.columns import column_values

CASE = made_case()


def made_profile(columns: Mapping[str, Sequence[Any]], case: Case = CASE) -> Profile:
    """A profile of the columns that are there."""
    kinds = {column.name: category_profile if column.is_category else number_profile for column in case.columns}
    return Profile(
        rows=len(columns["score"]),
        columns={name: kinds[name](columns[name]) for name in kinds if name in columns},
        scores=number_profile(columns["score"]),
        predictions=category_profile(columns["prediction"]),
    )


def drift_reference(columns: Mapping[str, Sequence[Any]]) -> DriftReference:
    return DriftReference(CASE, made_profile(columns))


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    return drift_reference(made_reference(2000))


def made_window(rows: int = 200, seed: int = 5, **changes: Sequence[Any]) -> dict[str, Sequence[Any]]:
    rng = random.Random(seed)
    records = [made_record(rng) for _ in range(rows)]
    return {**{name: [record[name] for record in records] for name in records[0]}, **changes}


def measures_of(
    reference: DriftReference | None, window: Mapping[str, Sequence[Any]], case: Case = CASE, **how: Any
) -> list[ColumnMeasure]:
    columns = {
        column.name: column_values(column, window[column.name]) for column in case.columns if column.name in window
    }
    return measure_columns(case, reference, columns, **how)


def measured(
    reference: DriftReference | None, window: Mapping[str, Sequence[Any]], case: Case = CASE
) -> dict[str, ColumnMeasure]:
    return {measure.name: measure for measure in measures_of(reference, window, case)}


def test_a_good_window_is_measured_in_every_column_in_the_order_of_the_case(reference: DriftReference) -> None:
    measures = measures_of(reference, made_window())
    assert [measure.name for measure in measures] == list(CASE.column_names)
    for measure in measures:
        assert measure.state == "ok"
        assert measure.reason is None
        assert (measure.score, measure.method) == (None, None), "Evidently's come later"
        assert measure.p_value is not None
        assert 0 < measure.p_value <= 1


BAD_PRICES: dict[str, tuple[Sequence[Any] | None, str, str | None]] = {
    "all null": ([None] * 200, "insufficient", "too_few_values"),
    "all not a number": ([float("nan")] * 200, "insufficient", "too_few_values"),
    "almost all null": ([None] * 195 + [1.0] * 5, "insufficient", "too_few_values"),
    "one text among numbers": ([1.0] * 199 + ["12"], "invalid", "not_a_number"),
    "a truth value": ([1.0] * 199 + [True], "invalid", "not_a_number"),
    "a list": ([1.0] * 199 + [[1]], "invalid", "not_a_number"),
    "column not there": (None, "invalid", "not_in_window"),
    "infinities": ([float("inf"), float("-inf")] * 50 + [50.0] * 100, "ok", None),
    "constant": ([50.0] * 200, "ok", None),
    "enormous": ([1e308] * 200, "ok", None),
}


@pytest.mark.parametrize(("prices", "state", "reason"), BAD_PRICES.values(), ids=BAD_PRICES.keys())
def test_a_bad_number_column_is_named_and_the_others_are_reported(
    reference: DriftReference, prices: Sequence[Any] | None, state: str, reason: str | None
) -> None:
    window = made_window()
    window.pop("price")
    found = measured(reference, window if prices is None else {**window, "price": prices})
    assert (found["price"].state, found["price"].reason) == (state, reason)
    assert found["items"] == measured(reference, made_window())["items"]
    assert found["payment"].state == "ok"


@pytest.mark.parametrize(
    ("payments", "state", "reason"),
    [
        ([None] * 200, "insufficient", "too_few_values"),
        (["card"] * 199 + [7], "invalid", "not_text"),
        ([{"a": 1}] * 200, "invalid", "not_text"),
        (["cheque"] * 200, "ok", None),
        ([f"new-{index}" for index in range(200)], "ok", None),
    ],
    ids=["all null", "a number among texts", "objects", "one unseen category", "only unseen categories"],
)
def test_a_bad_category_column_is_named_and_the_others_are_reported(
    reference: DriftReference, payments: Sequence[Any], state: str, reason: str | None
) -> None:
    found = measured(reference, made_window(payment=payments))
    assert (found["payment"].state, found["payment"].reason) == (state, reason)
    assert found["price"].state == found["items"].state == "ok"


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_a_window_with_too_few_rows_is_insufficient_in_every_column(reference: DriftReference, rows: int) -> None:
    for measure in measures_of(reference, {name: values[:rows] for name, values in made_window().items()}):
        assert (measure.state, measure.reason, measure.p_value) == ("insufficient", "too_few_rows", None)


def test_values_that_went_missing_are_drift_even_when_too_few_are_left_to_compare(reference: DriftReference) -> None:
    price = measured(reference, made_window(price=[None] * 200))["price"]
    assert price.missing_share == price.effect == 1.0
    assert price.p_value is not None
    assert price.p_value < 1e-50


def test_more_missing_values_are_drift_when_the_present_ones_have_not_moved(reference: DriftReference) -> None:
    items = made_window()["items"]
    emptied = [value if index % 3 else None for index, value in enumerate(items)]
    found = measured(reference, made_window(items=emptied))["items"]
    assert found.missing_share == emptied.count(None) / len(emptied)
    assert found.effect == pytest.approx(found.missing_share - 0.05, abs=0.03)
    assert found.p_value is not None
    assert found.p_value < 1e-6


def test_a_column_that_was_always_empty_does_not_drift_while_it_stays_so() -> None:
    empty = drift_reference({**made_reference(), "price": [None] * 1000})
    price = measured(empty, made_window(price=[None] * 200))["price"]
    assert (price.state, price.p_value, price.effect) == ("insufficient", 1.0, 0.0)


def test_a_constant_reference_and_a_window_beside_it_are_measured() -> None:
    constant = drift_reference({**made_reference(2000), "price": [10.0] * 2000})
    price = measured(constant, made_window(price=[10.01] * 200))["price"]
    assert (price.state, price.effect) == ("ok", 1.0)


def test_the_share_of_unseen_categories_is_what_the_case_does_not_expect(reference: DriftReference) -> None:
    payments = ["card"] * 150 + ["cheque"] * 40 + [None] * 10
    payment = measured(reference, made_window(payment=payments))["payment"]
    assert payment.unseen_share == pytest.approx(0.2)
    assert payment.missing_share == pytest.approx(0.05)


@pytest.mark.parametrize(
    "columns",
    [{"price": None}, {"price": category_profile(["12"] * 1000)}],
    ids=["column not in the reference", "text in the reference"],
)
def test_a_bad_reference_column_costs_only_itself(columns: dict[str, Any]) -> None:
    profile = made_profile(made_reference())
    known = {name: column for name, column in {**profile.columns, **columns}.items() if column is not None}
    found = measured(DriftReference(CASE, replace(profile, columns=known)), made_window())
    assert (found["price"].state, found["price"].reason) == ("invalid", "not_in_reference")
    assert found["price"].missing_share == 0.0
    assert found["items"].state == found["payment"].state == "ok"


def test_without_a_reference_the_shares_are_still_known() -> None:
    found = measured(None, made_window(items=[None] * 100 + [1] * 100))
    assert {measure.state for measure in found.values()} == {"insufficient"}
    assert {measure.reason for measure in found.values()} == {"no_reference"}
    assert found["items"].missing_share == 0.5


def test_a_library_that_raises_costs_one_column(reference: DriftReference, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("event_backbone.statistics.column_drift.compare_counts", broken)
    found = {one.name: one for one in measures_of(reference, made_window(), guard=guarded_column)}
    assert (found["payment"].state, found["payment"].reason) == ("invalid", "failed")
    assert found["price"].state == "ok"


def test_scores_drift_against_the_scores_of_the_reference(reference: DriftReference) -> None:
    same = np.array(made_reference(300, seed=9)["score"])
    assert measure_scores(CASE, reference, same).p_value == pytest.approx(0.5, abs=0.49)
    moved = measure_scores(CASE, reference, same + 0.2)
    assert moved.effect is not None
    assert moved.effect > 0.5
    assert measure_scores(CASE, None, same).reason == "no_reference"
    assert measure_scores(CASE, reference, same[:50]).reason == "too_few_rows"


def scores_of(profile: Profile, window: Mapping[str, Sequence[Any]]) -> dict[str, ColumnScore]:
    return {
        column.name: score_column(
            column.name, profile.columns.get(column.name), column_values(column, window[column.name])
        )
        for column in CASE.columns
        if column.name in window
    }


@pytest.mark.parametrize("rows", [800, 2000])
def test_scores_are_those_of_a_full_evidently_report(rows: int) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=["price", "items"], categorical_columns=["payment"])
    known, window = made_reference(rows), made_window(400, payment=["card", None, "cash", "cheque"] * 100)
    frames = [pd.DataFrame({name: columns[name] for name in CASE.column_names}) for columns in (window, known)]
    snapshot = Report([DataDriftPreset()]).run(
        *(Dataset.from_pandas(one, data_definition=definition) for one in frames)
    )
    expected = {
        metric["config"]["column"]: (metric["value"], metric["config"]["method"])
        for metric in snapshot.dict()["metrics"]
        if metric["config"]["type"].endswith("ValueDrift")
    }
    found = scores_of(made_profile(known), window)
    for name in CASE.column_names:
        assert found[name].score == pytest.approx(expected[name][0], abs=1e-12)
        assert found[name].method == expected[name][1]


@pytest.mark.parametrize("prices", [values for values, state, _ in BAD_PRICES.values() if state == "ok"])
def test_what_can_be_measured_can_be_scored_or_has_no_score(prices: Sequence[Any]) -> None:
    reference, window = made_reference(2000), made_window(price=prices)
    assert measured(drift_reference(reference), window)["price"].state == "ok"
    found = scores_of(made_profile(reference), window)
    assert found["price"].score is None or math.isfinite(found["price"].score)
    assert found["items"].score is not None


def test_a_reference_of_another_kind_gives_no_score() -> None:
    window = column_values(CASE.columns[0], made_window()["price"])
    assert score_column("price", category_profile(["12"] * 100), window) == ColumnScore("price")
    assert score_column("price", None, window) == ColumnScore("price")
