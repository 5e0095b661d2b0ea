"""Metrics and their intervals against values worked out by hand, published ones and scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from monitoring_world import made_case, regression_case
from sklearn import metrics

from monitoring_service.messages import MetricValue
from monitoring_service.performance.realised import FEWEST_ROWS, Answers, answers_of, realised_performance, wilson


def of_rows(scores: Sequence[float], predictions: Sequence[str], labels: Sequence[str]) -> dict[str, MetricValue]:
    return realised_performance(made_case(), answers_of(made_case(), scores, predictions, labels))


def drawn(rows: int, seed: int, *, decimals: int = 9) -> Answers:
    """Scores that are calibrated, and claims from a half."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 2, rows).round(decimals)
    actual = (rng.random(rows) < scores).astype(np.float64)
    return Answers(scores, (scores >= 0.5).astype(np.float64), actual)


def test_binary_metrics_by_hand() -> None:
    # Ten times: one true positive, one false, one missed; scores order 3 of the 4 (positive, negative) pairs rightly.
    found = of_rows([0.9, 0.4, 0.6, 0.1] * 10, ["yes", "no", "yes", "no"] * 10, ["yes", "yes", "no", "no"] * 10)
    values = {name: metric_value.value for name, metric_value in found.items()}
    log_loss = -math.log(0.9 * 0.4 * 0.4 * 0.9) / 4
    # Three bins of scores: 0.1 and 0.4 up to 0.6, off by 0.1, 0.6, 0.6 and 0.1.
    expected = {"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5, "auc": 0.75, "log_loss": log_loss}
    assert values == pytest.approx(expected | {"calibration_error": 0.35})


@pytest.mark.parametrize("decimals", [1, 9])
def test_binary_metrics_are_scikit_learns(decimals: int) -> None:
    answers = drawn(700, 3, decimals=decimals)
    scores, predicted, actual = answers.scores, answers.predicted, answers.actual
    found = {name: metric_value.value for name, metric_value in realised_performance(made_case(), answers).items()}
    del found["calibration_error"]
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(actual, predicted),
            "precision": metrics.precision_score(actual, predicted),
            "recall": metrics.recall_score(actual, predicted),
            "f1": metrics.f1_score(actual, predicted),
            "auc": metrics.roc_auc_score(actual, scores),
            "log_loss": metrics.log_loss(actual, scores),
        },
        abs=1e-12,
    )


def test_regression_metrics_are_scikit_learns() -> None:
    rng = np.random.default_rng(4)
    actual = rng.gamma(2, 3, 500)
    predicted = actual + rng.normal(0, 1, 500)
    found = realised_performance(regression_case(), Answers(predicted, predicted, actual))
    assert {name: metric_value.value for name, metric_value in found.items()} == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(actual, predicted),
            "rmse": metrics.root_mean_squared_error(actual, predicted),
            "r2": metrics.r2_score(actual, predicted),
        }
    )


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_the_published_wilson_interval(hits: int, rows: int, low: float, high: float) -> None:
    found = wilson(hits, rows)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_no_miss_at_all_still_leaves_doubt() -> None:
    found = wilson(20, 20)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(1 - 0.1611, abs=5e-5)


def test_an_f1_interval_is_that_of_the_share_it_rises_with() -> None:
    # 10 hits among 30 rows that are positive or called so: F1 = 2 * (1/3) / (1 + 1/3) = 1/2.
    found = of_rows([0.5] * 40, ["yes"] * 20 + ["no"] * 20, ["yes"] * 10 + ["no"] * 10 + ["yes"] * 10 + ["no"] * 10)
    share = wilson(10, 30)
    assert share.low is not None
    assert share.high is not None
    assert found["f1"].value == pytest.approx(0.5)
    assert found["f1"].low == pytest.approx(2 * share.low / (1 + share.low))
    assert found["f1"].high == pytest.approx(2 * share.high / (1 + share.high))


def test_the_variance_of_an_auc_is_delongs() -> None:
    """Against the definition: components over all pairs, for which the ranks are a short way."""
    answers = drawn(60, 5, decimals=1)
    positives, negatives = answers.scores[answers.actual > 0.5], answers.scores[answers.actual < 0.5]
    pairs = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    area = pairs.mean()
    variance = pairs.mean(axis=1).var(ddof=1) / positives.size + pairs.mean(axis=0).var(ddof=1) / negatives.size
    found = realised_performance(made_case(), answers)["auc"]
    assert found.value == pytest.approx(area)
    assert found.low is not None
    assert found.high is not None
    middle = math.log(area / (1 - area))
    half = 1.959964 * math.sqrt(variance) / (area * (1 - area))
    assert math.log(found.high / (1 - found.high)) == pytest.approx(middle + half, abs=1e-5)
    assert math.log(found.low / (1 - found.low)) == pytest.approx(middle - half, abs=1e-5)


def test_a_perfect_order_has_an_auc_without_interval() -> None:
    found = of_rows([0.9] * 20 + [0.1] * 20, ["yes"] * 20 + ["no"] * 20, ["yes"] * 20 + ["no"] * 20)
    assert found["auc"] == MetricValue(1.0)


def test_intervals_of_classes_hold_the_truth_as_often_as_they_say() -> None:
    """Over 400 windows of 300 rows; the truth is that of a million rows."""
    truth = realised_performance(made_case(), drawn(1_000_000, 6))
    metric_values = [realised_performance(made_case(), drawn(300, seed)) for seed in range(100, 500)]
    for name in ("accuracy", "precision", "recall", "f1", "auc", "log_loss"):
        inside = np.mean([one[name].low < truth[name].value < one[name].high for one in metric_values])  # type: ignore[operator]
        assert 0.925 <= inside <= 0.985, name


def test_intervals_of_a_regression_hold_the_truth_as_often_as_they_say() -> None:
    def window(rows: int, seed: int) -> dict[str, MetricValue]:
        rng = np.random.default_rng(seed)
        actual = rng.normal(5, 2, rows)
        predicted = actual + rng.normal(0, 1, rows)
        return realised_performance(regression_case(), Answers(predicted, predicted, actual))

    # Normal errors of deviation 1: mean absolute error sqrt(2 / pi), R² one minus a quarter.
    truth = {"mae": math.sqrt(2 / math.pi), "rmse": 1.0, "r2": 0.75}
    metric_values = [window(300, seed) for seed in range(400)]
    for name, value in truth.items():
        inside = np.mean([one[name].low < value < one[name].high for one in metric_values])  # type: ignore[operator]
        assert 0.915 <= inside <= 0.985, name


def test_one_class_only_has_no_auc_no_precision_no_recall_and_no_f1() -> None:
    found = of_rows([0.1] * 40, ["no"] * 40, ["no"] * 40)
    assert found.keys() == {"accuracy", "log_loss", "calibration_error"}
    assert found["accuracy"].value == 1.0


def test_missing_every_positive_is_a_recall_and_an_f1_of_zero() -> None:
    found = of_rows([0.1, 0.2] * 20, ["no", "no"] * 20, ["yes", "no"] * 20)
    assert found["f1"].value == found["recall"].value == 0.0
    assert "precision" not in found


def test_scores_of_zero_and_one_have_a_finite_log_loss() -> None:
    found = of_rows([0.0, 1.0] * 20, ["no", "yes"] * 20, ["yes", "no"] * 20)
    assert found["log_loss"].value == pytest.approx(-math.log(np.finfo(np.float64).eps))


@pytest.mark.parametrize("rows", [0, 1, FEWEST_ROWS - 1])
def test_too_few_rows_have_no_metrics(rows: int) -> None:
    assert of_rows([0.1] * rows, ["no"] * rows, ["no"] * rows) == {}


def test_regression_metrics_by_hand() -> None:
    # Errors 1, -1, 2: MAE 4/3, RMSE sqrt(2); spread of the labels around 2 is 2, squared errors are 6.
    answers = answers_of(regression_case(), [2.0, 1.0, 5.0] * 10, [2.0, 1.0, 5.0] * 10, [1.0, 2.0, 3.0] * 10)
    found = realised_performance(regression_case(), answers)
    assert {name: one.value for name, one in found.items()} == pytest.approx({"mae": 4 / 3, "rmse": 2**0.5, "r2": -2.0})


def test_equal_labels_have_no_r2() -> None:
    ones = np.ones(FEWEST_ROWS)
    assert realised_performance(regression_case(), Answers(ones * 2, ones * 2, ones)).keys() == {"mae", "rmse"}
