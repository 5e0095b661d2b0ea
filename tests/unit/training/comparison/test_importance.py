"""Importance against closed forms: a linear score whose columns' parts are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from training_world import regression_case

from training.comparison.importance import mean_absolute_shap, permutation_drops
from training.data.rows import Floats
from training.families.family import Features

WEIGHTS = np.array([3.0, -1.0, 0.0])


class LinearScore:
    rounds = 0

    def scores(self, features: Features) -> Floats:
        scores: Floats = features.astype(np.float64) @ WEIGHTS
        return scores

    def to_onnx(self, features: int) -> bytes:
        return b""

    def native_files(self) -> Mapping[str, bytes]:
        return {}


FEATURES = np.random.default_rng(2).normal(size=(400, 3)).astype(np.float32)


def test_shap_values_of_a_linear_score_are_weight_times_distance_from_the_backgrounds_mean() -> None:
    """Lundberg and Lee (2017), corollary 1."""
    expected = np.abs(WEIGHTS * (FEATURES[:200] - FEATURES[-50:].mean(axis=0))).mean(axis=0)
    np.testing.assert_allclose(mean_absolute_shap(LinearScore(), FEATURES, seed=1), expected, rtol=1e-4, atol=1e-6)


def test_shuffling_a_column_of_an_exact_linear_score_leaves_twice_its_variance() -> None:
    """The targets are the scores, so the error is the weight times the difference of two draws of the column."""
    targets = LinearScore().scores(FEATURES)
    drops = permutation_drops(regression_case(), LinearScore(), FEATURES, targets, np.random.default_rng(4))
    expected = np.abs(WEIGHTS) * np.sqrt(2) * FEATURES.std(axis=0)
    np.testing.assert_allclose(drops.mean(axis=1), expected, rtol=0.1)
    assert drops[2] == pytest.approx(0.0)
