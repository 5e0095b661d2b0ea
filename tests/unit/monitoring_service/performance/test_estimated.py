"""Estimates without labels, against values worked out by hand and against labels that are drawn from the estimate."""

from __future__ import annotations

import numpy as np
import pytest
from monitoring_world import made_case, regression_case
from msgspec.structs import replace

from event_backbone.model.calibration import fit_errors
from event_backbone.model.reference_profile import Calibration, NumberProfile, Profile
from monitoring_service.messages import MetricValue
from monitoring_service.performance.estimated import estimated_performance, performance_gap
from monitoring_service.performance.realised import FEWEST_ROWS, Answers, Floats, realised_performance

CASE = made_case()
#: The normal distribution's at the case's significance of 0.0004.
QUANTILE = 3.3528
#: A score is what it says.
HONEST = Calibration([0.0, 1.0], [0.0, 1.0])


def profile(expectation: Calibration | None = HONEST, rows: int = 1_000_000) -> Profile:
    return Profile(rows, {}, NumberProfile([0.5] * rows, 0), NumberProfile([], 0), expectation=expectation)


BIG = profile()


def claims(scores: Floats) -> Floats:
    return (scores >= 0.5).astype(np.float64)


def estimate(scores: Floats, reference: Profile = BIG) -> dict[str, MetricValue]:
    return estimated_performance(CASE, reference, scores, claims(scores))


def test_estimates_by_hand() -> None:
    # Half the rows are called positive and are so in 3 of 4 cases, the others in 1 of 4.
    found = estimate(np.array([0.75, 0.25] * 20))
    right = {name: found[name].value for name in ("accuracy", "precision", "recall", "f1")}
    assert right == pytest.approx(dict.fromkeys(right, 0.75))
    # Of 40 rows, pairs of a positive and another row: 20 * 20 expected, less 40 rows paired with themselves.
    pairs = 20 * 20 - 40 * 0.1875
    same_score = (15 * 5 - 20 * 0.1875) / 2 * 2
    assert found["auc"].value == pytest.approx((15 * 15 + same_score) / pairs)
    assert found["log_loss"].value == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))


def test_the_interval_of_an_expected_accuracy_is_that_of_a_sum_of_bernoullis() -> None:
    found = estimate(np.full(100, 0.8))["accuracy"]
    assert found.value == pytest.approx(0.8)
    assert found.high is not None
    assert found.high - 0.8 == pytest.approx(1.959964 * np.sqrt(0.8 * 0.2 / 100), rel=1e-3)
    as_many = estimate(np.full(100, 0.8), profile(rows=100))["accuracy"]
    assert as_many.high is not None
    assert as_many.high - 0.8 == pytest.approx((found.high - 0.8) * np.sqrt(2), rel=1e-3), "both samples count"
    fitted_to_more = replace(HONEST, rows=1_000_000)
    assert estimate(np.full(100, 0.8), profile(fitted_to_more, rows=100))["accuracy"] == found


def test_realised_metrics_lie_where_the_estimate_says() -> None:
    rng = np.random.default_rng(2)
    scores = rng.beta(1, 2, 500)
    found = estimate(scores)
    drawn = [
        realised_performance(CASE, Answers(scores, claims(scores), (rng.random(500) < scores).astype(np.float64)))
        for _ in range(400)
    ]
    for name, metric_value in found.items():
        realised = np.array([one[name].value for one in drawn])
        assert realised.mean() == pytest.approx(metric_value.value, abs=0.004), name
        inside = np.mean((metric_value.low < realised) & (realised < metric_value.high))
        assert 0.92 <= inside <= 0.98, name


def test_without_an_expectation_or_with_too_few_rows_nothing_is_estimated() -> None:
    scores = np.full(FEWEST_ROWS, 0.8)
    assert estimate(scores)
    assert estimate(scores[1:]) == {}
    assert estimate(scores, profile(None)) == {}


def test_no_claim_and_no_expected_positive_leave_their_metrics_out() -> None:
    found = estimate(np.zeros(FEWEST_ROWS))
    assert found.keys() == {"accuracy", "log_loss"}
    assert found["accuracy"].value == 1.0


def test_expected_errors_of_a_regression() -> None:
    rng = np.random.default_rng(3)
    scores = rng.uniform(1, 5, 20_000)
    reference = profile(fit_errors(scores, scores + rng.normal(0, scores)), rows=20_000)
    asked = rng.uniform(1, 5, 400)
    found = estimated_performance(regression_case(), reference, asked, asked)
    assert found["mae"].value == pytest.approx(asked.mean() * np.sqrt(2 / np.pi), rel=0.02)
    assert found["rmse"].value == pytest.approx(np.sqrt((asked**2).mean()), rel=0.02)
    realised = np.abs(rng.normal(0, asked, (400, 400))).mean(axis=1)
    assert 0.92 <= np.mean((found["mae"].low < realised) & (realised < found["mae"].high)) <= 0.98


def test_a_gap_is_what_the_estimate_did_not_foresee() -> None:
    scores = np.full(400, 0.8)
    answers = Answers(scores, np.ones(400), np.repeat([1.0, 0.0], [240, 160]))
    found = performance_gap(CASE, BIG, answers)["accuracy"]
    assert found.value == pytest.approx(0.8 - 0.6)
    assert found.low == pytest.approx(0.2 - QUANTILE * np.sqrt(0.8 * 0.2 / 400), abs=1e-4)


def test_a_gap_is_rarely_significant_when_the_calibration_holds() -> None:
    rng = np.random.default_rng(4)
    scores = rng.beta(1, 2, (1000, 400))
    found = [
        performance_gap(CASE, BIG, Answers(row, claims(row), (rng.random(400) < row).astype(np.float64)))["accuracy"]
        for row in scores
    ]
    assert sum(one.low > 0 for one in found) <= 4  # type: ignore[operator, misc]


def test_too_few_labels_have_no_gap() -> None:
    scores = np.full(CASE.monitoring.quality.minimum_labelled_rows - 1, 0.8)
    assert performance_gap(CASE, BIG, Answers(scores, claims(scores), claims(scores))) == {}


def test_the_gap_of_a_regression_is_a_share_of_the_expected_error() -> None:
    reference = profile(Calibration([0.0, 10.0], [2.0, 2.0], [5.0, 5.0]))
    predicted = np.full(400, 5.0)
    found = performance_gap(regression_case(), reference, Answers(predicted, predicted, predicted + 3))["mae"]
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5 - QUANTILE * np.sqrt((5 - 4) / 400) / 2, abs=1e-4)
