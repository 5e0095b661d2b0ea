"""The scan for changes: its evidence against closed forms, where it looks, and what it leaves out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monitoring_service.drift.change_point import AGES_A_DOUBLING, ChangePointScan, ReferenceTotals, Since

#: A share of one in ten, and a number with variance 1/12 around a half, of 5,000 rows each.
REFERENCE = ReferenceTotals(
    np.full((2, 1), 5000.0), np.array([[0.1], [0.5]]), np.array([[0.09], [1 / 12]]), np.array([True, False])
)


def scanned(*checks: tuple[float, float]) -> ChangePointScan:
    """After checks of 50 values each, with these sums of the share's and of the number's values."""
    scan = ChangePointScan(REFERENCE, 400)
    for totals in checks:
        scan.add(np.full(2, 50.0), np.array(totals))
    return scan


def surprise_since(scan: ChangePointScan, place: int, base: int = 0, worth: float = 0.0) -> list[float]:
    """Of the share and of the number."""
    since = scan.since(np.full((2, 1), place))
    found: list[float] = scan.log_likelihood_ratio(since, np.full(2, base), worth)[:, 0].tolist()
    return found


def test_evidence_about_a_share_is_its_relative_entropy_times_the_rows() -> None:
    scan = scanned((5, 25), (10, 25))
    before = (500 + 5) / 5050
    rows = 1 / (1 / 50 + 1 / 5050)
    expected = rows * (0.2 * math.log(0.2 / before) + 0.8 * math.log(0.8 / (1 - before)))
    assert surprise_since(scan, 1)[0] == pytest.approx(expected)
    since = scan.since(np.ones((2, 1), dtype=np.int64))
    beside_the_reference = (0.2 * math.log(2) + 0.8 * math.log(0.8 / 0.9)) / (1 / 50 + 1 / 5000)
    assert scan.divergence_from_reference(since, 0.0)[0, 0] == pytest.approx(beside_the_reference)
    assert since.distance[0, 0] == pytest.approx(0.1)


def test_evidence_about_a_mean_is_half_its_squared_standard_errors_by_bernstein() -> None:
    distance = 0.6 - (2500 + 25) / 5050
    errors = distance**2 / ((1 / 50 + 1 / 5050) * (1 / 12 + distance / 3))
    assert surprise_since(scanned((5, 25), (5, 30)), 1)[1] == pytest.approx(errors / 2)


def test_evidence_of_some_series_is_that_of_all() -> None:
    scan, series = scanned((5, 25), (10, 30)), np.array([1])
    since = scan.since(np.ones((2, 1), dtype=np.int64))
    of_one = scan.divergence_from_reference(Since(*(array[series] for array in since)), 0.0, series)
    assert of_one.tolist() == scan.divergence_from_reference(since, 0.0)[series].tolist()


def test_what_is_forgotten_is_no_part_of_what_came_before() -> None:
    forgotten = surprise_since(scanned((50, 50), (5, 25), (10, 30)), 2, base=1)
    assert forgotten == pytest.approx(surprise_since(scanned((5, 25), (10, 30)), 1))


def test_nothing_since_a_place_is_no_evidence() -> None:
    scan = scanned((5, 25))
    assert scan.since(np.ones((2, 1), dtype=np.int64)).rows.tolist() == [[0], [0]]
    assert surprise_since(scan, 1) == [0, 0]


def test_a_share_that_was_never_there_is_surprising_but_not_infinitely() -> None:
    scan = ChangePointScan(
        ReferenceTotals(*(np.full((1, 1), value) for value in (5000.0, 0.0, 0.0)), np.array([True])), 10
    )
    scan.add(np.array([50.0]), np.array([1.0]))
    since = scan.since(np.zeros((1, 1), dtype=np.int64))
    assert 2 < scan.divergence_from_reference(since, 0.0)[0, 0] < 10


def test_what_is_worth_nothing_may_be_a_bound_but_no_less_than_it_is() -> None:
    scan = scanned((5, 25), (10, 27), (6, 25))
    exact, bounded = (surprise_since(scan, 1, worth=worth)[0] for worth in (0.0, 10.0))
    assert exact < bounded < 10


def test_places_lie_ever_wider_apart_and_none_before_the_first() -> None:
    scan = scanned(*[(5.0, 25.0)] * 300)
    split_points = scan.split_points(np.array([0, 290]))
    ages = 300 - split_points[0]
    assert ages[:8].tolist() == list(range(1, 9))
    assert (np.diff(ages) <= 1 + ages[:-1] / AGES_A_DOUBLING).all()
    assert ages[-1] > 250
    assert split_points[1].min() == 290


def test_the_latest_change_is_where_the_means_lie_furthest_apart() -> None:
    scan = scanned(*[(5.0, 25.0)] * 20, *[(15.0, 25.0)] * 30, *[(5.0, 25.0)] * 4)
    assert scan.latest_change(0, 0, 5.0) == 20
    assert scan.latest_change(0, 20, 5.0) == 50
    assert scan.latest_change(0, 53, 5.0) == 53


def test_a_difference_that_chance_makes_is_no_change() -> None:
    scan = scanned(*[(5.0, 25.0), (6.0, 26.0)] * 20)
    assert scan.latest_change(0, 3, 5.0) == 3
