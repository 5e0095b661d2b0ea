"""scikit-learn's model families: preprocessing is part of the pipeline, and so of the ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from event_backbone.case.schema import Case
from training.data.rows import Floats
from training.families.family import EncodedRows, Features
from training.families.onnx import pipeline_to_onnx

#: Far below every value that a forest could have to split on.
MISSING = -1e9

#: Makes the step that fits: (binary or not, its parameters) to an estimator.
Estimator = Callable[[bool, Mapping[str, Any]], Any]


class PipelineModel:
    """A fitted pipeline; ``rounds`` is its number of trees, 0 where it has none."""

    def __init__(self, pipeline: Any, *, is_binary: bool, rounds: int) -> None:
        self._pipeline = pipeline
        self._is_binary = is_binary
        self.rounds = rounds

    def scores(self, features: Features) -> Floats:
        if self._is_binary:
            return np.asarray(self._pipeline.predict_proba(features)[:, 1], dtype=np.float64)
        return np.asarray(self._pipeline.predict(features), dtype=np.float64)

    def to_onnx(self, features: int) -> bytes:
        return pipeline_to_onnx(self._pipeline, features, is_binary=self._is_binary)

    def native_files(self) -> Mapping[str, bytes]:
        return {}


class PipelineFamily:
    """Preparing steps and an estimator; its folds are fitted like the final model."""

    def __init__(self, prepare: Callable[[Case], list[Any]], estimator: Estimator) -> None:
        self._prepare = prepare
        self._estimator = estimator

    def parameters(self, case: Case, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
        return {**given, "random_state": seed}

    def fit(
        self, case: Case, rows: EncodedRows, given: Mapping[str, Any], seed: int, *, rounds: int | None = None
    ) -> PipelineModel:
        from sklearn.pipeline import make_pipeline
        from threadpoolctl import threadpool_limits

        estimator = self._estimator(case.is_binary, self.parameters(case, given, seed))
        pipeline = make_pipeline(*self._prepare(case), estimator)
        weights = {} if rows.weights is None else {f"{pipeline.steps[-1][0]}__sample_weight": rows.weights}
        # One thread a model, as for XGBoost: threads of OpenMP wait by spinning.
        with threadpool_limits(1):
            pipeline.fit(rows.features, rows.targets, **weights)
        return PipelineModel(pipeline, is_binary=case.is_binary, rounds=_trees_of(estimator))

    def fit_fold(
        self, case: Case, rows: EncodedRows, held_out: EncodedRows, given: Mapping[str, Any], seed: int
    ) -> PipelineModel:
        return self.fit(case, rows, given, seed)


def one_hot_and_scaled(case: Case) -> list[Any]:
    """For linear models: a column a category, numbers centred and scaled; missing is the median, or no category."""
    from skl2onnx.sklapi import CastTransformer
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def wide() -> Any:
        # Weights of columns that say nearly the same cancel out, which 32 bits do to five digits only.
        return CastTransformer(dtype=np.float64)

    # An unseen category is nan; no code is below 0, so that -1 stands in no column.
    no_code = SimpleImputer(strategy="constant", fill_value=-1.0)
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    categories = [place for place, column in enumerate(case.features) if column.is_category]
    numbers = [place for place, column in enumerate(case.features) if not column.is_category]
    return [
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), wide(), StandardScaler()), numbers),
            (make_pipeline(no_code, one_hot, wide()), categories),
        )
    ]


def missing_below_all(case: Case) -> list[Any]:
    """For a forest, whose ONNX knows no missing values: one threshold splits them off like any other value."""
    from sklearn.impute import SimpleImputer

    return [SimpleImputer(strategy="constant", fill_value=MISSING)]


def linear(is_binary: bool, parameters: Mapping[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    return LogisticRegression(**parameters) if is_binary else Ridge(**parameters)


def forest(is_binary: bool, parameters: Mapping[str, Any]) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    return RandomForestClassifier(**parameters) if is_binary else RandomForestRegressor(**parameters)


def boosting(is_binary: bool, parameters: Mapping[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return HistGradientBoostingClassifier(**parameters) if is_binary else HistGradientBoostingRegressor(**parameters)


def _trees_of(estimator: Any) -> int:
    """Of a forest, or rounds of boosting; a linear model has neither, though it counts its iterations."""
    if hasattr(estimator, "coef_"):
        return 0
    return int(getattr(estimator, "n_estimators", 0) or estimator.n_iter_)
