"""Balancing touches what a model is fitted to, and nothing that it is measured by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_world import made_case, made_rows

import training.fitting.cross_validation
from event_backbone.case.schema import Case
from event_backbone.model.encoder import Encoder
from training.families.balancing import Balance, balanced
from training.families.family import EncodedRows
from training.fitting.cross_validation import CANDIDATES, fit, validate

CASE, ROWS = made_case(), made_rows(250)


@pytest.fixture(scope="module")
def encoded() -> EncodedRows:
    targets = ROWS.targets(CASE)
    return EncodedRows(Encoder.fit(CASE, ROWS.records, targets.tolist()).encode_rows(ROWS.records), targets)


def test_by_default_the_rows_stay_as_they_are(encoded: EncodedRows) -> None:
    assert balanced(CASE, encoded, "none", seed=1) is encoded


def test_weights_make_both_classes_count_the_same(encoded: EncodedRows) -> None:
    weighted = balanced(CASE, encoded, "weights", seed=1)
    assert weighted.weights is not None
    sums = [weighted.weights[encoded.targets == label].sum() for label in (0, 1)]
    assert sums == pytest.approx([len(ROWS) / 2, len(ROWS) / 2])


def test_smote_leaves_the_real_rows_and_makes_as_many_of_the_rare_class(encoded: EncodedRows) -> None:
    made = balanced(CASE, encoded, "smote", seed=1)
    np.testing.assert_array_equal(made.features[: len(ROWS)], encoded.features)
    assert made.targets.mean() == 0.5
    assert len(made.targets) > len(ROWS)


def test_made_rows_hold_whole_codes_and_whole_numbers_and_lack_nothing(encoded: EncodedRows) -> None:
    made = balanced(CASE, encoded, "smote", seed=1).features[len(ROWS) :]
    assert not np.isnan(made).any()
    for place, column in enumerate(CASE.features):
        if column.is_category:
            assert set(made[:, place]) <= set(encoded.features[:, place])
        if column.kind == "integer":
            np.testing.assert_array_equal(made[:, place], np.round(made[:, place]))


@pytest.mark.parametrize("balance", ["weights", "smote"])
def test_only_rows_that_are_fitted_are_balanced(balance: Balance, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = balanced

    def spying(case: Case, rows: EncodedRows, how: Balance, seed: int) -> EncodedRows:
        sizes.append(len(rows.targets))
        return real(case, rows, how, seed)

    monkeypatch.setattr(training.fitting.cross_validation, "balanced", spying)
    candidate = replace(CANDIDATES[0], balance=balance)
    model = fit(CASE, ROWS, seed=7, threads=1, candidates=[candidate])
    assert sizes == [200, 200, 200, 200, 200, 250]
    assert len(model.chosen.scores) == len(model.targets) == 250


@pytest.mark.parametrize("balance", ["weights", "smote"])
def test_balancing_raises_the_scores_above_the_share_of_positives(balance: Balance) -> None:
    rare = ROWS.take(np.array([*np.flatnonzero(ROWS.targets(CASE) == 0), *np.flatnonzero(ROWS.targets(CASE))[:30]]))
    plain, other = (
        validate(CASE, rare, replace(CANDIDATES[0], balance=how), seed=7, threads=1) for how in ("none", balance)
    )
    assert other.scores.mean() > plain.scores.mean() + 0.05
