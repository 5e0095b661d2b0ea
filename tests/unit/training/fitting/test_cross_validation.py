"""Fitting and choosing, and that nothing leaks into it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_world import made_case, made_rows, priced_rows, regression_case

from event_backbone.case.schema import Case
from training.data.rows import LabelledRows
from training.fitting.cross_validation import CANDIDATES, fit, folds_of, parameters_of, validate
from training.fitting.evaluation import best_f1_threshold

GOOD = CANDIDATES[0]
POOR = replace(GOOD, name="poor", parameters={**GOOD.parameters, "min_child_weight": 1e9})
WORLDS = [(made_case(), made_rows(250)), (regression_case(), priced_rows(200))]


@pytest.mark.parametrize(("case", "rows"), WORLDS, ids=["binary", "regression"])
def test_the_better_candidate_is_chosen(case: Case, rows: LabelledRows) -> None:
    model = fit(case, rows, seed=7, threads=1, candidates=[POOR, GOOD])
    assert model.chosen.candidate == GOOD
    assert [one.candidate for one in model.compared] == [POOR, GOOD]


@pytest.mark.parametrize(("case", "rows"), WORLDS, ids=["binary", "regression"])
def test_every_row_is_held_out_once_from_the_model_that_scores_it(case: Case, rows: LabelledRows) -> None:
    held_out_rows = []
    for fit_rows, held_out in folds_of(case, rows.targets(case), seed=7):
        assert not set(fit_rows) & set(held_out)
        held_out_rows += held_out.tolist()
    assert sorted(held_out_rows) == list(range(len(rows)))


def test_a_validation_score_does_not_know_its_own_label() -> None:
    """Labels drawn by lot can't be predicted: cross-validation must say so, where the fitted model would shine."""
    case, rows = made_case(), made_rows(250)
    lots = np.random.default_rng(3).permutation(np.array(rows.labels))
    validated = validate(case, LabelledRows(rows.records, lots.tolist()), GOOD, seed=7, threads=1)
    assert 0.4 < validated.measure < 0.6


def test_the_threshold_comes_from_rows_the_scoring_model_did_not_fit() -> None:
    case, rows = made_case(), made_rows(250)
    model = fit(case, rows, seed=7, threads=1, candidates=[GOOD])
    assert model.threshold == best_f1_threshold(rows.targets(case), model.chosen.scores)
    fitted_scores = model.model.scores(model.encoder.encode_rows(rows.records))
    assert not np.allclose(fitted_scores, model.chosen.scores)


def test_a_regression_has_no_threshold() -> None:
    assert fit(regression_case(), priced_rows(200), seed=7, threads=1, candidates=[GOOD]).threshold is None


def test_the_number_of_threads_changes_nothing() -> None:
    one, other = (validate(made_case(), made_rows(250), GOOD, seed=7, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(one.scores, other.scores)
    assert one.rounds == other.rounds


def test_nothing_is_weighted_or_resampled() -> None:
    parameters = parameters_of(made_case(), GOOD, seed=7)
    assert not {"scale_pos_weight", "max_delta_step", "sampling_method"} & set(parameters)


def test_scores_stay_probabilities() -> None:
    case, rows = made_case(), made_rows(250)
    validated = validate(case, rows, GOOD, seed=7, threads=1)
    assert validated.scores.mean() == pytest.approx(rows.targets(case).mean(), abs=0.05)
