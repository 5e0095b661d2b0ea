"""Which test a column gets, from where on its answer counts, and what belongs to the family."""

from __future__ import annotations

import numpy as np
import pytest

from event_backbone.statistics.column_drift import (
    FEWEST_VALUES,
    CategoryCounts,
    ColumnDecision,
    ColumnDifference,
    NumberSample,
    compare_number_columns,
    decide_family,
)
from event_backbone.statistics.two_sample import (
    Floats,
    TwoSampleResult,
    compare_counts,
    compare_numbers,
    compare_shares,
)


def numbers(count: int, *, first: float = 0.0, missing: int = 0) -> NumberSample:
    return NumberSample(np.arange(count) + first, missing)


def by_name(**counts: int) -> tuple[list[str], Floats]:
    return list(counts), np.array([*counts.values()], dtype=np.float64)


def test_numbers_without_missing_values_get_one_test() -> None:
    found = compare_number_columns(numbers(500), numbers(100, first=50))
    assert found == ColumnDifference(compare_numbers(np.arange(500.0), np.arange(100.0) + 50), "values", enough=True)


def test_of_numbers_and_missing_values_the_stronger_test_counts_at_twice_its_p_value() -> None:
    found = compare_number_columns(numbers(500, missing=5), numbers(400, missing=100))
    missing = compare_shares(5, 505, 100, 500)
    assert found == ColumnDifference(TwoSampleResult(2 * missing.p_value, missing.effect), "missing", enough=True)


def test_with_too_few_values_only_the_missing_ones_are_compared() -> None:
    few = FEWEST_VALUES - 1
    assert compare_number_columns(numbers(500), numbers(few)) == ColumnDifference(None, None, enough=False)
    found = compare_number_columns(numbers(500), numbers(few, missing=200))
    assert found == ColumnDifference(compare_shares(0, 500, 200, 200 + few), "missing", enough=False)


def test_missing_counts_as_a_category_and_all_unseen_ones_as_another() -> None:
    found = CategoryCounts({"a": 600, "b": 300}, 100).compare(*by_name(b=30, new=20, a=40, newer=5), missing=5)
    expected = compare_counts(np.array([600.0, 300, 0, 100]), np.array([40.0, 30, 25, 5]))
    assert found == ColumnDifference(expected, "values", enough=True)


def test_categories_that_went_missing_moved_there() -> None:
    found = CategoryCounts({"a": 600, "b": 400}, 0).compare(*by_name(a=30, b=20), missing=50)
    assert found.moved == "missing"
    assert found.comparison is not None
    assert found.comparison.effect == pytest.approx(0.5)


def test_categories_of_too_few_rows_are_not_compared() -> None:
    counts = CategoryCounts({"a": 600}, 0)
    assert counts.compare(*by_name(a=FEWEST_VALUES - 1), missing=0) == ColumnDifference(None, None, enough=False)
    assert counts.compare(*by_name(a=1), missing=FEWEST_VALUES).enough is False


def test_a_column_drifted_when_both_its_adjusted_p_value_and_its_effect_say_so() -> None:
    decided = decide_family(
        {
            "clear": TwoSampleResult(0.001, 0.2),
            "small": TwoSampleResult(0.001, 0.04),
            "chance": TwoSampleResult(0.03, 0.2),
            "nothing": None,
        },
        dict.fromkeys(("clear", "small", "chance", "nothing"), 0.05),
        significance=0.01,
    )
    assert decided == {
        "clear": ColumnDecision(pytest.approx(0.003), drifted=True),
        "small": ColumnDecision(pytest.approx(0.003), drifted=False),
        "chance": ColumnDecision(pytest.approx(0.03), drifted=False),
        "nothing": ColumnDecision(None, None),
    }


def test_the_limits_themselves_are_no_drift_by_p_value_and_drift_by_effect() -> None:
    def drifted(p_value: float, effect: float) -> bool | None:
        return decide_family({"a": TwoSampleResult(p_value, effect)}, {"a": 0.05}, significance=0.01)["a"].drifted

    assert drifted(0.01, 0.5) is False
    assert drifted(np.nextafter(0.01, 0), 0.05) is True


def test_what_stands_beside_makes_the_family_larger() -> None:
    alone = decide_family({"a": TwoSampleResult(0.004, 0.5)}, {"a": 0.05}, significance=0.01)
    beside = decide_family({"a": TwoSampleResult(0.004, 0.5)}, {"a": 0.05}, significance=0.01, beside=[0.9, 0.8])
    assert alone["a"] == ColumnDecision(0.004, drifted=True)
    assert beside["a"] == ColumnDecision(pytest.approx(0.012), drifted=False)
