"""The gate's statistics against closed forms and published values, and what it decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from training_world import RawFiles, regression_case

from event_backbone.case.schema import Case
from event_backbone.model.calibration import calibration_error
from training.data.rows import Floats, LabelledRows
from training.promotion.gate import Contender, GateDecision, decide
from training.promotion.paired import auc, bootstrap_difference, mean_growth, miscalibration, r2

CASE = RawFiles().case(
    monitoring={"segments": ["colour"]},
    training={"promotion": {"margin": 0.01, "confidence": 0.95, "calibration": 0.02, "segment": 0.02}},
)


def chance(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def scored_classes(rows: int, *, noise: tuple[float, float], seed: int = 1) -> tuple[Floats, Floats, Floats]:
    """Targets, and the scores of two models that see the same thing through different noise."""
    draw = chance(seed)
    targets = (draw.random(rows) < 0.3).astype(np.float64)
    seen = targets + draw.normal(0, 0.7, rows)
    return targets, seen + draw.normal(0, noise[0], rows), seen + draw.normal(0, noise[1], rows)


@pytest.mark.parametrize("digits", [6, 1, 0])
def test_the_area_under_the_curve_is_scikit_learns_with_ties_too(digits: int) -> None:
    targets, scores, _ = scored_classes(400, noise=(0.3, 0.6))
    scores = scores.round(digits)
    assert auc(targets, scores) == pytest.approx(metrics.roc_auc_score(targets, scores), abs=1e-12)


def test_measures_take_many_resamples_at_once() -> None:
    targets, scores, others = scored_classes(300, noise=(0.3, 0.6))
    for measure in (auc, r2, miscalibration):
        together = measure(np.stack([targets, targets]), np.stack([scores, others]))
        assert together.tolist() == pytest.approx([float(measure(targets, one)) for one in (scores, others)])


def test_where_there_is_one_class_nothing_is_ranked() -> None:
    assert auc(np.ones(4), np.arange(4.0)) == 0.5
    assert auc(np.zeros(4), np.arange(4.0)) == 0.5


def test_the_other_measures_are_the_ones_of_evaluation_and_monitoring() -> None:
    targets, scores, _ = scored_classes(300, noise=(0.3, 0.6))
    assert r2(targets, scores) == pytest.approx(metrics.r2_score(targets, scores))
    assert float(miscalibration(targets, scores)) == pytest.approx(calibration_error(scores, targets > 0.5))


def delong(targets: Floats, scores: Floats, others: Floats) -> tuple[float, float]:
    """Difference of two areas under the curve and its standard error (DeLong, DeLong and Clarke-Pearson 1988)."""
    parts = []
    for one in (scores, others):
        positives, negatives = one[targets > 0.5], one[targets < 0.5]
        above = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
        parts.append((above.mean(axis=1), above.mean(axis=0)))
    by_positive, by_negative = parts[0][0] - parts[1][0], parts[0][1] - parts[1][1]
    variance = by_positive.var(ddof=1) / by_positive.size + by_negative.var(ddof=1) / by_negative.size
    return float(by_positive.mean()), float(np.sqrt(variance))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_lower_limit_of_an_auc_difference_is_delongs(seed: int) -> None:
    targets, scores, others = scored_classes(800, noise=(0.3, 0.6), seed=seed)
    value, error = delong(targets, scores, others)
    found = bootstrap_difference(auc, targets, scores, others, confidence=0.95, seed=seed)
    assert found.value == pytest.approx(value, abs=1e-12)
    # 2,000 resamples know a 5 % quantile to about a twentieth of the standard error.
    assert found.lower == pytest.approx(value - 1.6449 * error, abs=0.15 * error)


def test_the_lower_limit_of_a_mean_difference_is_the_normal_one() -> None:
    draw = chance()
    targets, scores, others = draw.normal(size=(3, 1000))

    def mean(_: Any, scores: Any) -> Any:
        return scores.mean(axis=-1)

    found = bootstrap_difference(mean, targets, scores, others, confidence=0.9, seed=1)
    difference = scores - others
    error = difference.std() / np.sqrt(1000)
    assert found.lower == pytest.approx(difference.mean() - 1.2816 * error, abs=0.15 * error)


def test_both_models_keep_their_row_in_a_resample() -> None:
    targets, scores, _ = scored_classes(200, noise=(0.3, 0.6))
    found = bootstrap_difference(auc, targets, scores, scores, confidence=0.95, seed=1)
    assert (found.value, found.lower) == (0.0, 0.0)


def test_the_limit_covers_the_truth_as_often_as_it_says() -> None:
    misses = 0
    for seed in range(200):
        draw = chance(seed)
        targets, scores, others = draw.normal(size=(3, 60))
        found = bootstrap_difference(
            lambda _, scores: scores.mean(axis=-1), targets, scores, others, confidence=0.9, seed=seed
        )
        misses += found.lower > 0
    # Ten of a hundred, and three standard errors of 200 draws.
    assert misses / 200 == pytest.approx(0.1, abs=0.064)


def test_the_paired_t_is_that_of_students_sleep_data() -> None:
    """Student (1908): hours of sleep gained with two drugs; t = 4.0621 with 9 degrees of freedom, p = 0.002833 for two
    sides."""
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    growth, p = mean_growth(second, first)
    assert growth == pytest.approx(1.58)
    assert p == pytest.approx(0.002833 / 2, abs=1e-6)


def test_a_growth_without_spread_is_certain() -> None:
    assert mean_growth(np.ones(5), np.zeros(5)) == (1.0, 0.0)
    assert mean_growth(np.zeros(5), np.zeros(5)) == (0.0, 1.0)


def gate_rows(targets: Floats, colours: list[str] | None = None, case: Case = CASE) -> LabelledRows:
    colours = colours or ["green"] * len(targets)
    labels = ["yes" if target else "no" for target in targets] if case.is_binary else targets.tolist()
    return LabelledRows([{"colour": colour} for colour in colours], labels)


def probabilities(rows: int, seed: int = 1) -> tuple[Floats, Floats]:
    """True probabilities, and labels drawn from them."""
    draw = chance(seed)
    truth = draw.beta(0.6, 1.4, rows)
    return truth, (draw.random(rows) < truth).astype(np.float64)


def blurred(truth: Floats, by: float, seed: int = 9) -> Floats:
    """Probabilities seen through noise on the log-odds, shrunk so that they stay about calibrated."""
    clipped = np.clip(truth, 1e-3, 1 - 1e-3)
    odds = np.log(clipped / (1 - clipped)) + chance(seed).normal(0, by, truth.size)
    return 1 / (1 + np.exp(-odds / (1 + by**2 / 6)))


def judged(challenger: Floats, champion: Floats | None, rows: LabelledRows, case: Case = CASE) -> GateDecision:
    threshold = 0.5 if case.is_binary else None
    present = None if champion is None else Contender(champion, threshold)
    return decide(case, Contender(challenger, threshold), present, rows, seed=7)


def test_without_a_champion_a_challenger_is_promoted() -> None:
    truth, targets = probabilities(300)
    decision = judged(truth, None, gate_rows(targets))
    assert decision.promoted
    assert decision.numbers["challenger_auc"] == pytest.approx(metrics.roc_auc_score(targets, truth))


def test_a_clearly_better_challenger_is_promoted_with_its_numbers() -> None:
    truth, targets = probabilities(1500)
    decision = judged(truth, blurred(truth, 1.5), gate_rows(targets))
    assert decision.promoted, decision.reasons
    assert decision.numbers["auc_difference_lower"] > 0.01
    assert decision.numbers["auc_difference"] == pytest.approx(
        decision.numbers["challenger_auc"] - decision.numbers["champion_auc"]
    )
    assert decision.report()["decision"] == decision.state == "promoted"


def test_a_challenger_that_is_the_same_or_worse_is_refused() -> None:
    truth, targets = probabilities(800)
    rows = gate_rows(targets)
    for challenger, champion in ((truth, truth), (blurred(truth, 1.5), truth)):
        decision = judged(challenger, champion, rows)
        assert not decision.promoted
        assert "the margin is 0.01" in decision.reasons[0]


def test_a_difference_that_may_be_chance_is_refused() -> None:
    truth, targets = probabilities(60)
    decision = judged(truth, blurred(truth, 1.2), gate_rows(targets))
    assert decision.numbers["auc_difference"] > 0.01
    assert not decision.promoted


def test_a_challenger_that_ranks_better_and_lost_its_calibration_is_refused() -> None:
    truth, targets = probabilities(1500)
    decision = judged(truth**3, blurred(truth, 1.5), gate_rows(targets))
    assert decision.numbers["auc_difference_lower"] > 0.01
    assert [reason.split(" grows by ")[0] for reason in decision.reasons] == ["the calibration error"]


def test_a_challenger_that_is_better_but_for_one_segment_is_refused_by_name() -> None:
    truth, targets = probabilities(2000)
    colours = ["red" if number % 5 == 0 else "green" for number in range(2000)]
    red = np.array(colours) == "red"
    challenger = np.where(red, blurred(truth, 3.0, seed=5), truth)
    decision = judged(challenger, np.where(red, truth, blurred(truth, 2.0)), gate_rows(targets, colours))
    assert decision.numbers["auc_difference_lower"] > 0.01
    assert len(decision.reasons) == 1
    assert decision.reasons[0].startswith("the mean error where colour is red (400 rows) grows by 0.")
    assert [one.value for one in decision.segments] == ["red", "green"]
    assert decision.numbers["worst_segment_growth"] == decision.segments[0].growth > 0.02


def test_a_segment_of_a_few_rows_is_not_judged() -> None:
    truth, targets = probabilities(1500)
    colours = ["red" if number < 29 else "green" for number in range(1500)]
    challenger = truth.copy()
    challenger[:29] = 1 - targets[:29]
    decision = judged(challenger, blurred(truth, 1.5), gate_rows(targets, colours))
    assert [one.value for one in decision.segments] == ["green"]
    assert decision.promoted, decision.reasons


def test_values_are_judged_by_r2_and_by_shares_of_their_spread_and_errors() -> None:
    content = regression_case().model_dump()
    case = Case.model_validate(
        {**content, "monitoring": {"segments": ["colour"]}, "training": {"promotion": {"segment": 0.05}}}
    )
    draw = chance()
    targets = draw.normal(200_000, 50_000, 1000)
    colours = ["red" if number % 4 == 0 else "green" for number in range(1000)]
    near, far = targets + draw.normal(0, 10_000, 1000), targets + draw.normal(0, 20_000, 1000)
    rows = gate_rows(targets, colours, case)
    better = judged(near, far, rows, case)
    assert better.promoted, better.reasons
    assert better.numbers["r2_difference"] == pytest.approx(
        metrics.r2_score(targets, near) - metrics.r2_score(targets, far)
    )
    red = np.array(colours) == "red"
    worse_in_red = judged(np.where(red, far + 2000, near), np.where(red, near, far), rows, case)
    assert "the mean error where colour is red" in worse_in_red.reasons[-1]
    assert worse_in_red.segments[0].growth == pytest.approx(1.0, abs=0.3)
    shifted = judged(near + 12_000, far, rows, case)
    assert shifted.reasons[0].startswith("the calibration error grows by 0.")


def test_the_same_seed_decides_the_same() -> None:
    truth, targets = probabilities(300)
    rows = gate_rows(targets)
    assert judged(truth, blurred(truth, 1.0), rows) == judged(truth, blurred(truth, 1.0), rows)
