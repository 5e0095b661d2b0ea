"""Measures against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from training_world import made_case, regression_case

from training.fitting.evaluation import best_f1_threshold, evaluate

TARGETS = np.array([0.0, 0.0, 1.0, 1.0])
SCORES = np.array([0.1, 0.4, 0.35, 0.8])


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    # Of the four pairs of a positive and a negative, only (0.35, 0.4) is the wrong way round.
    assert evaluate(made_case(), TARGETS, SCORES, 0.5)["auc"] == pytest.approx(3 / 4)


def test_a_tie_counts_as_half_a_pair() -> None:
    assert evaluate(made_case(), TARGETS, np.full(4, 0.3), 0.5)["auc"] == pytest.approx(0.5)


def test_classes_at_the_threshold() -> None:
    # At 0.35 the classes are 0, 1, 1, 1: precision 2/3, recall 1, F1 4/5, accuracy 3/4.
    measured = evaluate(made_case(), TARGETS, SCORES, 0.35)
    assert measured["accuracy"] == pytest.approx(3 / 4)
    assert measured["precision"] == pytest.approx(2 / 3)
    assert measured["recall"] == pytest.approx(1.0)
    assert measured["f1"] == pytest.approx(4 / 5)


def test_log_loss_and_brier_of_an_undecided_model() -> None:
    measured = evaluate(made_case(), TARGETS, np.full(4, 0.5), 0.5)
    assert measured["log_loss"] == pytest.approx(math.log(2))
    assert measured["brier"] == pytest.approx(1 / 4)


def test_log_loss_of_known_probabilities() -> None:
    measured = evaluate(made_case(), TARGETS, SCORES, 0.5)
    assert measured["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.6) + math.log(0.35) + math.log(0.8)) / 4)
    assert measured["brier"] == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4)


def test_errors_of_values() -> None:
    # Residuals 1, -1, 3: MAE 5/3, MSE 11/3; the variance around the mean 4 is 8/3, so R² is 1 - 11/8.
    measured = evaluate(regression_case(), np.array([2.0, 4.0, 6.0]), np.array([1.0, 5.0, 3.0]), None)
    assert measured["mae"] == pytest.approx(5 / 3)
    assert measured["mse"] == pytest.approx(11 / 3)
    assert measured["rmse"] == pytest.approx(math.sqrt(11 / 3))
    assert measured["r2"] == pytest.approx(1 - 11 / 8)


def test_predicting_the_mean_explains_nothing() -> None:
    targets = np.array([1.0, 2.0, 6.0])
    assert evaluate(regression_case(), targets, np.full(3, 3.0), None)["r2"] == pytest.approx(0.0)


def test_the_threshold_gives_the_best_f1_there_is() -> None:
    # F1 at 0.8 is 2/3, at 0.4 1/2, at 0.35 4/5, at 0.1 2/3.
    assert best_f1_threshold(TARGETS, SCORES) == pytest.approx(0.35)


def test_no_threshold_beats_the_chosen_one() -> None:
    random = np.random.default_rng(7)
    scores = random.random(60)
    targets = (random.random(60) < scores).astype(float)
    chosen = evaluate(made_case(), targets, scores, best_f1_threshold(targets, scores))["f1"]
    assert chosen == pytest.approx(max(evaluate(made_case(), targets, scores, score)["f1"] for score in scores))
