"""The model family XGBoost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from event_backbone.case.schema import Case
from training.data.rows import Floats
from training.families.family import EncodedRows, Features
from training.families.onnx import booster_to_onnx

if TYPE_CHECKING:
    from xgboost import Booster

#: One-row latency grows with the number of trees.
MOST_ROUNDS = 600
#: Rounds without a better validation score before a fold stops.
PATIENCE = 40


class XGBoostModel:
    """A booster, of which the first ``rounds`` rounds count."""

    def __init__(self, booster: Booster, rounds: int) -> None:
        self._booster = booster
        self.rounds = rounds

    def scores(self, features: Features) -> Floats:
        scores = self._booster.inplace_predict(features, iteration_range=(0, self.rounds))
        return np.asarray(scores, dtype=np.float64)

    def to_onnx(self, features: int) -> bytes:
        return booster_to_onnx(self._booster[: self.rounds], features)

    def native_files(self) -> Mapping[str, bytes]:
        return {"model.ubj": bytes(self._booster[: self.rounds].save_raw("ubj"))}


class XGBoostFamily:
    """Boosted trees whose folds stop early; the final fit goes on for the folds' mean."""

    def parameters(self, case: Case, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
        # Boosting starts at nothing (even odds, or 0): with the mean to start from, ONNX Runtime and XGBoost round the
        # sum of a large number and many small ones differently, by up to 1e-5 of a value.
        task: dict[str, Any] = (
            {"objective": "binary:logistic", "eval_metric": "auc", "base_score": 0.5}
            if case.is_binary
            else {"objective": "reg:squarederror", "eval_metric": "rmse", "base_score": 0.0}
        )
        # One thread a model: OpenMP's threads wait by spinning, and on cores that others use that takes ten times as
        # long.
        return {**given, **task, "seed": seed, "nthread": 1}

    def fit(
        self, case: Case, rows: EncodedRows, given: Mapping[str, Any], seed: int, *, rounds: int | None = None
    ) -> XGBoostModel:
        import xgboost

        rounds = rounds or MOST_ROUNDS
        booster = xgboost.train(self.parameters(case, given, seed), _matrix(rows), rounds, verbose_eval=False)
        return XGBoostModel(booster, rounds)

    def fit_fold(
        self, case: Case, rows: EncodedRows, held_out: EncodedRows, given: Mapping[str, Any], seed: int
    ) -> XGBoostModel:
        import xgboost

        booster = xgboost.train(
            self.parameters(case, given, seed),
            _matrix(rows),
            MOST_ROUNDS,
            evals=[(_matrix(held_out), "held_out")],
            early_stopping_rounds=PATIENCE,
            verbose_eval=False,
        )
        return XGBoostModel(booster, booster.best_iteration + 1)


def _matrix(rows: EncodedRows) -> Any:
    import xgboost

    return xgboost.DMatrix(rows.features, rows.targets, weight=rows.weights)
