"""Expectations against scikit-learn and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

from event_backbone.model.calibration import (
    calibration_error,
    expected_at,
    expected_squares_at,
    fit_calibration,
    fit_errors,
)
from event_backbone.model.reference_profile import Calibration


def test_a_calibration_by_hand() -> None:
    # 0.2 and 0.3 fall (1, then 0) and are pooled to a half; so do the two rows of 0.8.
    scores = np.array([0.8, 0.1, 0.3, 0.2, 0.8])
    found = fit_calibration(scores, np.array([True, False, False, True, False]))
    assert found == Calibration([0.1, 0.2, 0.8], [0.0, 0.5, 0.5], rows=5)


@pytest.mark.parametrize("decimals", [2, 9])
def test_calibration_is_scikit_learns_isotonic_regression(decimals: int) -> None:
    rng = np.random.default_rng(4)
    scores = rng.random(3000).round(decimals)
    positive = rng.random(3000) < scores**2
    asked = np.linspace(-0.1, 1.1, 500)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, positive).predict(asked)
    found = fit_calibration(scores, positive)
    assert np.allclose(expected_at(found, asked), theirs, atol=1e-9)
    assert len(found.scores) < 300, "only what is needed is kept"


def test_a_calibration_keeps_the_share_of_positives() -> None:
    rng = np.random.default_rng(5)
    scores = rng.random(2000)
    positive = rng.random(2000) < 0.3
    assert expected_at(fit_calibration(scores, positive), scores).mean() == pytest.approx(positive.mean(), abs=1e-12)


def test_expected_errors_follow_the_score() -> None:
    rng = np.random.default_rng(6)
    scores = rng.uniform(1, 5, 20_000)
    labels = scores + rng.normal(0, scores)
    found = fit_errors(scores, labels)
    asked = np.array([1.5, 3.0, 4.5])
    # The mean absolute value of a normal is sigma * sqrt(2 / pi).
    assert expected_at(found, asked) == pytest.approx(asked * np.sqrt(2 / np.pi), rel=0.08)
    assert expected_squares_at(found, asked) == pytest.approx(asked**2, rel=0.15)


def test_a_few_rows_have_one_expected_error() -> None:
    found = fit_errors(np.array([1.0, 3.0]), np.array([2.0, 6.0]))
    assert found == Calibration([2.0], [2.0], [5.0], rows=2)


def test_a_calibration_error_by_hand() -> None:
    # Ten rows, ten bins: each row is off by its score, or by one minus its score.
    scores = np.arange(10) / 10
    positive = scores >= 0.5
    assert calibration_error(scores, positive) == pytest.approx(
        (0 + 0.1 + 0.2 + 0.3 + 0.4 + 0.5 + 0.4 + 0.3 + 0.2 + 0.1) / 10
    )


def test_calibration_error_is_the_distance_of_scikit_learns_calibration_curve() -> None:
    rng = np.random.default_rng(7)
    scores = rng.random(1000)
    positive = rng.random(1000) < scores**1.5
    shares, means = calibration_curve(positive, scores, n_bins=10, strategy="quantile")
    assert calibration_error(scores, positive) == pytest.approx(np.abs(shares - means).mean(), abs=1e-12)


def test_a_calibrated_model_measures_as_little_as_is_said() -> None:
    rng = np.random.default_rng(8)
    found = []
    for _ in range(50):
        scores = rng.random(1000)
        found.append(calibration_error(scores, rng.random(1000) < scores))
    assert 0.02 < np.mean(found) < 0.04
