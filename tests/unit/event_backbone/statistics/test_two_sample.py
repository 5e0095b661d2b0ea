"""Two-sample tests against scipy and against values that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from event_backbone.statistics.two_sample import (
    Floats,
    TwoSampleResult,
    _fisher_p,
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
    assert compare_numbers(np.arange(50.0), np.arange(50.0)) == TwoSampleResult(1.0, 0.0)
    assert compare_counts(np.array([30.0, 70.0]), np.array([30.0, 70.0])) == TwoSampleResult(1.0, 0.0)


def test_counts_have_the_p_value_of_scipys_chi_square_test() -> None:
    reference, window = np.array([500.0, 300.0, 200.0]), np.array([40.0, 40.0, 20.0])
    expected = stats.chi2_contingency(np.stack([reference, window]), correction=False)
    assert compare_counts(reference, window).p_value == pytest.approx(expected.pvalue, rel=1e-12)


def test_the_effect_on_counts_is_the_total_variation_distance_of_shares() -> None:
    # Shares .5 .3 .2 against .4 .4 .2: half of (.1 + .1 + 0).
    assert compare_counts(np.array([500.0, 300, 200]), np.array([40.0, 40, 20])).effect == pytest.approx(0.1)


def test_counts_have_the_published_p_value() -> None:
    # Party identification by gender: Agresti, Introduction to Categorical Data Analysis, X2 = 7.01 with 2 degrees of
    # freedom, p = 0.03.
    assert compare_counts(np.array([279.0, 73, 225]), np.array([165.0, 47, 191])).p_value == pytest.approx(
        0.030, abs=5e-4
    )


def test_rare_categories_are_one_for_chi_square_and_each_for_itself_for_fisher() -> None:
    # Expected in the window, a tenth of the rows: 40, 40, 3.2, 3.4; the last two are enough together.
    reference, window = np.array([365.0, 365, 25, 31]), np.array([35.0, 35, 7, 3])
    pooled = stats.chi2_contingency([[365, 365, 56], [35, 35, 10]], correction=False).pvalue
    exact = [stats.fisher_exact([[25, 761], [7, 73]]).pvalue, stats.fisher_exact([[31, 755], [3, 77]]).pvalue]
    assert min(exact) * 2 < pooled
    assert compare_counts(reference, window).p_value == pytest.approx(min(exact) * 2 * 2, rel=1e-9)
    # The same pool made of equal parts: now the chi-square of the pool is the smaller one.
    level = compare_counts(np.array([365.0, 365, 28, 28]), np.array([25.0, 35, 5, 5]))
    pooled = stats.chi2_contingency([[365, 365, 56], [25, 35, 10]], correction=False).pvalue
    assert level.p_value == pytest.approx(pooled * 2, rel=1e-9)


def test_a_pool_that_is_still_rare_is_tested_exactly_and_takes_no_common_category_in() -> None:
    # 11 rows in the two rare ones expect 1.0 in the window.
    reference, window = np.array([900.0, 90, 9, 1]), np.array([88.0, 5, 3, 4])
    common = stats.chi2_contingency([[900, 90], [88, 5]], correction=False).pvalue
    rare = [
        stats.fisher_exact([[hits, 1000 - hits], [now, 100 - now]]).pvalue for hits, now in ((9, 3), (1, 4), (10, 7))
    ]
    assert min(rare) < common
    assert compare_counts(reference, window).p_value == pytest.approx(min(rare) * 3 * 2, rel=1e-9)


@pytest.mark.parametrize(
    ("reference", "window"),
    [
        ([5000, 0], [0, 100]),
        ([5000, 0], [71, 129]),
        ([3350, 1650, 0], [134, 0, 66]),
        ([0, 5000], [100, 0]),
        ([5000, 0, 0], [0, 50, 50]),
        ([2500, 2500, 0], [100, 60, 40]),
        ([4900, 100, 0], [180, 0, 20]),
        ([100, 0], [0, 5000]),
    ],
)
def test_a_new_category_does_not_hide_among_common_ones(reference: list[int], window: list[int]) -> None:
    assert compare_counts(np.array(reference, float), np.array(window, float)).p_value < 1e-12


def test_a_rare_category_that_falls_does_not_hide_one_that_rises() -> None:
    # Of the window's 200 rows 2 % in a category that 2 % of the reference had, or in one that it never had.
    reference = np.array([4900.0, 100, 0])
    assert compare_counts(reference, np.array([196.0, 4, 0])).p_value > 0.5
    exact = stats.fisher_exact([[0, 5000], [4, 196]]).pvalue  # one of three: each of the two rare ones, and both
    assert compare_counts(reference, np.array([196.0, 0, 4])).p_value == pytest.approx(exact * 3, rel=1e-9)


def test_two_columns_of_which_one_is_rare_have_fishers_p_value() -> None:
    expected = stats.fisher_exact([[4990, 10], [195, 5]]).pvalue
    assert compare_counts(np.array([4990.0, 10]), np.array([195.0, 5])).p_value == pytest.approx(expected, rel=1e-9)


def test_a_single_category_can_not_differ() -> None:
    assert compare_counts(np.array([100.0]), np.array([10.0])) == TwoSampleResult(1.0, 0.0)
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


def test_fishers_exact_p_value_is_scipys(rng: np.random.Generator) -> None:
    for _ in range(300):
        rows, others = int(rng.integers(1, 8000)), int(rng.integers(1, 1200))
        hits, more = int(rng.integers(0, min(rows, 40) + 1)), int(rng.integers(0, min(others, 12) + 1))
        expected = stats.fisher_exact([[hits, rows - hits], [more, others - more]]).pvalue
        assert _fisher_p(hits, rows, more, others) == pytest.approx(expected, rel=1e-6)


def test_shares_with_large_counts_have_the_chi_square_p_value() -> None:
    expected = stats.chi2_contingency([[100, 4900], [60, 940]], correction=False)
    found = compare_shares(100, 5000, 60, 1000)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.effect == pytest.approx(0.04)


def test_always_missing_on_both_sides_is_no_difference() -> None:
    assert compare_shares(500, 500, 200, 200) == TwoSampleResult(1.0, 0.0)


def test_of_several_tests_the_strongest_counts_at_the_price_of_having_looked_at_all() -> None:
    assert strongest_of({"one": TwoSampleResult(0.01, 0.3), "other": TwoSampleResult(0.2, 0.9)}) == (
        "one",
        TwoSampleResult(0.02, 0.3),
    )
    assert strongest_of({"one": TwoSampleResult(0.7, 0.1), "other": TwoSampleResult(0.8, 0.2)})[1].p_value == 1.0


def test_numbers_have_the_published_critical_value() -> None:
    # Smirnov 1948: for large samples D = 1.3581 * sqrt((m + n) / (m n)) has p = 0.05, and 1.6276 has 0.01.
    rows = 10_000
    for factor, p_value in ((1.3581, 0.05), (1.6276, 0.01)):
        gap = round(factor * np.sqrt(2 / rows) * rows)
        found = compare_numbers(np.arange(float(rows)), np.arange(float(rows)) + gap)
        assert found.effect == pytest.approx(gap / rows)
        assert found.p_value == pytest.approx(p_value, rel=0.03)


@pytest.mark.parametrize("level", [0.05, 0.005])
@pytest.mark.parametrize(
    "shares",
    [
        [0.6, 0.25, 0.1, 0.04, 0.01],
        [0.995, 0.005],
        [0.5, 0.49, 0.004, 0.003, 0.002, 0.001],
        [0.4, *[0.01] * 60],
    ],
)
def test_undrifted_windows_are_rejected_no_more_often_than_the_level_says(
    rng: np.random.Generator, shares: list[float], level: float
) -> None:
    p_values = np.array(
        [
            compare_counts(
                rng.multinomial(5000, shares).astype(float), rng.multinomial(300, shares).astype(float)
            ).p_value
            for _ in range(2000)
        ]
    )
    # Of as many draws, no more than chance brings in one of ten thousand.
    assert (p_values < level).sum() <= stats.binom.ppf(0.9999, p_values.size, level)


def test_undrifted_windows_of_common_categories_are_rejected_as_often_as_the_level_says(
    rng: np.random.Generator,
) -> None:
    def draw(rows: int) -> Floats:
        return rng.multinomial(rows, [0.6, 0.25, 0.1, 0.05]).astype(np.float64)

    p_values = np.array([compare_counts(draw(5000), draw(500)).p_value for _ in range(1000)])
    assert 0.03 <= (p_values < 0.05).mean() <= 0.075
