"""Feature importance: permutation importance and SHAP values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from event_backbone.case.schema import Case
from training.data.rows import Floats, LabelledRows
from training.families.family import Features, Model
from training.fitting.cross_validation import FittedModel, measure_name
from training.fitting.evaluation import evaluate

_PERMUTED_ROWS = 4000
_REPEATS = 5
_EXPLAINED_ROWS = 200
_BACKGROUND_ROWS = 50


@dataclass(frozen=True)
class Importance:
    """By column: how much worse the measure is without it (mean and standard deviation), and its mean SHAP value."""

    permutation: Mapping[str, tuple[float, float]]
    shap: Mapping[str, float]


def explain(case: Case, model: FittedModel, rows: LabelledRows, seed: int) -> Importance:
    """Both kinds, on rows that the model was not fitted to."""
    random = np.random.default_rng(seed)
    rows = rows.take(random.permutation(len(rows))[:_PERMUTED_ROWS])
    features, targets = model.encoder.encode_rows(rows.records), rows.targets(case)
    names = model.encoder.feature_names
    drops = permutation_drops(case, model.model, features, targets, random)
    shap = mean_absolute_shap(model.model, features, seed)
    return Importance(
        permutation={
            name: (float(mean), float(spread))
            for name, mean, spread in zip(names, drops.mean(axis=1), drops.std(axis=1, ddof=1), strict=True)
        },
        shap={name: float(value) for name, value in zip(names, shap, strict=True)},
    )


def permutation_drops(
    case: Case, model: Model, features: Features, targets: Floats, random: np.random.Generator
) -> Floats:
    """How much AUC falls, or RMSE grows, when one column is shuffled: shape (features, repeats). Breiman (2001)."""

    def measured(shuffled: Features) -> float:
        return evaluate(case, targets, model.scores(shuffled), 0.5)[measure_name(case)]

    sign, whole = (1 if case.is_binary else -1), measured(features)
    drops = np.zeros((features.shape[1], _REPEATS))
    for place, repeat in np.ndindex(drops.shape):
        shuffled = features.copy()
        shuffled[:, place] = random.permutation(features[:, place])
        drops[place, repeat] = sign * (whole - measured(shuffled))
    return drops


def mean_absolute_shap(model: Model, features: Features, seed: int) -> Floats:
    """In the score's unit, shape (features,). By permutations, for every family alike: Lundberg and Lee (2017)."""
    import shap

    background = shap.maskers.Independent(features[-_BACKGROUND_ROWS:], max_samples=_BACKGROUND_ROWS)
    explainer = shap.explainers.Permutation(model.scores, background, seed=seed)
    once_there_and_back = 2 * features.shape[1] + 1
    explained = explainer(features[:_EXPLAINED_ROWS], max_evals=once_there_and_back, silent=True)
    values: Floats = np.abs(explained.values).mean(axis=0)
    return values
