"""Reference-against-window histograms of one column."""

from __future__ import annotations

import random

import pytest
from monitoring_world import made_case

from event_backbone.model.reference_profile import category_profile, number_profile
from monitoring_service.references.histograms import CATEGORY_BINS, NUMBER_BINS, HistogramBin, distribution
from monitoring_service.windows.columns import column_values

PRICE, ITEMS, PAYMENT = made_case().columns


def total(bins: list[HistogramBin]) -> tuple[float, float]:
    return sum(one.reference or 0.0 for one in bins), sum(one.window for one in bins)


def test_numbers_have_bins_of_one_width_over_most_of_the_reference_and_one_on_each_side() -> None:
    known = number_profile([value / 10 for value in range(1001)])
    found = distribution(PRICE, known, column_values(PRICE, [-5.0, 50.0, 50.0, 1e9]))
    assert found.kind == "numbers"
    assert len(found.bins) == NUMBER_BINS + 2
    assert (found.bins[0].label, found.bins[0].window) == ("below 1", 0.25)
    assert (found.bins[-1].label, found.bins[-1].window) == ("above 99", 0.25)
    assert sum(one.window for one in found.bins[1:-1]) == 0.5
    assert all(one.reference == pytest.approx(0.98 / NUMBER_BINS, abs=0.002) for one in found.bins[1:-1])
    assert total(found.bins) == (pytest.approx(1), pytest.approx(1))


def test_whole_numbers_are_never_split() -> None:
    rng = random.Random(4)
    few = distribution(
        ITEMS, number_profile([rng.randint(1, 9) for _ in range(2000)]), column_values(ITEMS, [3, 3, 12])
    )
    assert [one.label for one in few.bins] == ["below 1", *"123456789", "above 9"]
    assert few.bins[3].window == pytest.approx(2 / 3)
    many = distribution(ITEMS, number_profile(list(range(1, 91))), column_values(ITEMS, []))
    assert many.bins[1].label == "1 to 5"
    assert len(many.bins) <= NUMBER_BINS + 2


def test_missing_values_have_a_bin_of_their_own() -> None:
    found = distribution(PRICE, number_profile([1.0, 2.0, None, 3.0]), column_values(PRICE, [None, 2.0]))
    assert found.bins[-1] == HistogramBin("(missing)", 0.25, 0.5)
    assert total(found.bins) == (pytest.approx(1), pytest.approx(1))


@pytest.mark.parametrize("known", [[7.5] * 50, [7.5]])
def test_a_constant_reference_is_one_value(known: list[float]) -> None:
    found = distribution(PRICE, number_profile(known), column_values(PRICE, [7.5, 7.51]))
    assert [(one.label, one.reference, one.window) for one in found.bins] == [
        ("below 7.5", 0.0, 0.0),
        ("7.5", 1.0, 0.5),
        ("above 7.5", 0.0, 0.5),
    ]


def test_categories_are_named_in_the_order_of_the_reference() -> None:
    known = category_profile(["cash"] * 30 + ["card"] * 60 + [None] * 10)
    found = distribution(PAYMENT, known, column_values(PAYMENT, ["card", "cheque", "cheque", None]))
    assert found.kind == "categories"
    assert found.bins == [
        HistogramBin("card", 0.6, 0.25),
        HistogramBin("cash", 0.3, 0.0),
        HistogramBin("cheque", 0.0, 0.5),
        HistogramBin("(missing)", 0.1, 0.25),
    ]


def test_of_many_categories_the_smallest_share_one_bin() -> None:
    known = category_profile([f"name-{place:02}" for place in range(50) for _ in range(51 - place)])
    found = distribution(PAYMENT, known, column_values(PAYMENT, ["name-49"] * 9 + ["new"]))
    labels = [one.label for one in found.bins]
    assert len(labels) == CATEGORY_BINS + 1
    assert labels[:18] == [f"name-{place:02}" for place in range(18)]
    assert labels[18:] == ["name-49", "new", "(other)"]
    assert total(found.bins) == (pytest.approx(1), pytest.approx(1))


def test_without_a_reference_only_the_window_is_shown() -> None:
    numbers = distribution(PRICE, None, column_values(PRICE, [1.0, 2.0, 3.0]))
    assert {one.reference for one in numbers.bins} == {None}
    assert sum(one.window for one in numbers.bins) == pytest.approx(1)
    assert distribution(PAYMENT, None, column_values(PAYMENT, ["card"])).bins[0] == HistogramBin("card", None, 1.0)


def test_an_empty_window_beside_an_empty_reference_has_no_bins() -> None:
    assert distribution(PRICE, number_profile([]), column_values(PRICE, [])).bins == []
    assert distribution(PAYMENT, category_profile([]), column_values(PAYMENT, [])).bins == []
