"""Two-sample tests against scipy and against values that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from event_backbone.statistics.two_sample import (
    Floats,
    TestResult,
    compare_counts,
    compare_numbers,
    compare_shares,
    strongest_of,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize("whole_numbers", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_numbers_have_the_p_value_and_statistic_of_scipys_ks_test(
    rng: np.random.Generator, whole_numbers: bool, shift: float
) -> None:
    reference, window = rng.normal(0, 3, 5000), rng.normal(shift, 3, 700)
    if whole_numbers:
        reference, window = reference.round(), window.round()
    expected = stats.ks_2samp(reference, window, method="asymp")
    found = compare_numbers(np.sort(reference), np.sort(window))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.effect == pytest.approx(expected.statistic, rel=1e-12)


def test_numbers_with_nothing_in_common_have_the_largest_effect() -> None:
    found = compare_numbers(np.arange(100.0), np.arange(1000.0, 1100.0))
    assert found.effect == 1.0
    assert found.p_value < 1e-40


def test_equal_samples_have_no_effect_and_p_one() -> None:
    assert compare_numbers(np.arange(50.0), np.arange(50.0)) == TestResult(1.0, 0.0)
    assert compare_counts(np.array([30.0, 70.0]), np.array([30.0, 70.0])) == TestResult(1.0, 0.0)


def test_counts_have_the_p_value_of_scipys_chi_square_test() -> None:
    reference, window = np.array([500.0, 300.0, 200.0]), np.array([40.0, 40.0, 20.0])
    expected = stats.chi2_contingency(np.stack([reference, window]), correction=False)
    assert compare_counts(reference, window).p_value == pytest.approx(expected.pvalue, rel=1e-12)


def test_the_effect_on_counts_is_the_total_variation_distance_of_shares() -> None:
    # Shares .5 .3 .2 against .4 .4 .2: half of (.1 + .1 + 0).
    assert compare_counts(np.array([500.0, 300, 200]), np.array([40.0, 40, 20])).effect == pytest.approx(0.1)


def test_rare_categories_are_pooled_for_the_p_value() -> None:
    # Expected in the window, a tenth of the rows: 50, 45, 2, 3; the last two are pooled to 5.
    reference, window = np.array([450.0, 405, 18, 27]), np.array([50.0, 45, 2, 3])
    reference[2] += 1
    pooled = stats.chi2_contingency([[450, 405, 46], [50, 45, 5]], correction=False)
    assert compare_counts(reference, window).p_value == pytest.approx(pooled.pvalue, rel=1e-12)


def test_a_pool_that_is_still_rare_takes_the_next_smallest_category_in() -> None:
    reference, window = np.array([900.0, 90, 9, 1]), np.array([88.0, 10, 2, 0])
    # 11 rows in the two rare ones expect 1.0 in the window: they join the 100.
    pooled = stats.chi2_contingency([[900, 100], [88, 12]], correction=False)
    assert compare_counts(reference, window).p_value == pytest.approx(pooled.pvalue, rel=1e-12)


def test_a_single_category_can_not_differ() -> None:
    assert compare_counts(np.array([100.0]), np.array([10.0])) == TestResult(1.0, 0.0)
    assert compare_counts(np.array([100.0, 0.0]), np.array([10.0, 0.0])).p_value == 1.0


def test_all_rows_in_a_category_the_reference_never_had_is_the_largest_effect() -> None:
    found = compare_counts(np.array([1000.0, 0.0]), np.array([0.0, 200.0]))
    assert found.effect == 1.0
    assert found.p_value < 1e-100


def test_shares_with_small_counts_have_fishers_exact_p_value() -> None:
    # Fisher's lady tasting tea: 3 of 4 against 1 of 4, p = 34/70.
    found = compare_shares(3, 4, 1, 4)
    assert found.p_value == pytest.approx(34 / 70)
    assert found.effect == 0.5


def test_shares_with_large_counts_have_the_chi_square_p_value() -> None:
    expected = stats.chi2_contingency([[100, 4900], [60, 940]], correction=False)
    found = compare_shares(100, 5000, 60, 1000)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.effect == pytest.approx(0.04)


def test_always_missing_on_both_sides_is_no_difference() -> None:
    assert compare_shares(500, 500, 200, 200) == TestResult(1.0, 0.0)


def test_of_several_tests_the_strongest_counts_at_the_price_of_having_looked_at_all() -> None:
    assert strongest_of({"one": TestResult(0.01, 0.3), "other": TestResult(0.2, 0.9)}) == ("one", TestResult(0.02, 0.3))
    assert strongest_of({"one": TestResult(0.7, 0.1), "other": TestResult(0.8, 0.2)})[1].p_value == 1.0


def test_undrifted_windows_are_rejected_as_often_as_the_level_says(rng: np.random.Generator) -> None:
    def draw(rows: int) -> Floats:
        return rng.multinomial(rows, [0.6, 0.25, 0.1, 0.04, 0.01]).astype(np.float64)

    p_values = np.array([compare_counts(draw(5000), draw(500)).p_value for _ in range(1000)])
    assert 0.03 <= (p_values < 0.05).mean() <= 0.075
