"""Candidates compared by cross-validation, and the best one fitted on all rows it may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from event_backbone.case import Case
from event_backbone.encoder import Encoder, Order
from training.evaluation import best_f1_threshold, evaluate
from training.rows import Floats, Indices, LabelledRows

if TYPE_CHECKING:
    from xgboost import Booster

FOLDS = 5
#: One-row latency grows with the number of trees.
MOST_ROUNDS = 600
#: Rounds without a better validation score before a fold stops.
PATIENCE = 40

_SHARED_PARAMETERS = {
    "tree_method": "hist",
    "max_depth": 6,
    "eta": 0.07,
    "min_child_weight": 1,
    "reg_lambda": 5,
    # Finer than the default 256: a few exact amounts in a long-tailed column say a lot.
    "max_bin": 512,
}


@dataclass(frozen=True)
class Candidate:
    """A way to fit: the order of category codes and XGBoost's parameters."""

    name: str
    order: Order
    parameters: Mapping[str, Any]


def _candidates() -> Iterator[Candidate]:
    few = {**_SHARED_PARAMETERS, "colsample_bytree": 0.4, "subsample": 1.0}
    many = {**_SHARED_PARAMETERS, "colsample_bytree": 0.7, "subsample": 0.8}
    yield Candidate("few columns a tree, codes by label mean", "label_mean", few)
    yield Candidate("many columns a tree, codes by label mean", "label_mean", many)
    yield Candidate("few columns a tree, codes by frequency", "frequency", few)


CANDIDATES = tuple(_candidates())


@dataclass(frozen=True)
class ValidatedCandidate:
    """A candidate's cross-validation: every score is of a row that the model giving it did not fit."""

    candidate: Candidate
    rounds: int
    scores: Floats
    measure: float


@dataclass(frozen=True)
class FittedModel:
    """The model that will be served, and what it was chosen by; ``targets`` are those of the rows it was fitted to."""

    encoder: Encoder
    booster: Booster
    chosen: ValidatedCandidate
    compared: Sequence[ValidatedCandidate]
    threshold: float | None
    validation_metrics: Mapping[str, float]
    targets: Floats


def measure_name(case: Case) -> str:
    """What candidates are compared by."""
    return "auc" if case.is_binary else "rmse"


def fit(
    case: Case, rows: LabelledRows, *, seed: int, threads: int, candidates: Sequence[Candidate] = CANDIDATES
) -> FittedModel:
    """Choose among ``candidates`` by cross-validation inside ``rows``, then fit the best one on all of them.

    The rounds are the folds' mean at early stopping. The decision threshold comes from the folds' scores, so from rows
    that the scoring model did not fit.
    """
    compared = [validate(case, rows, candidate, seed=seed, threads=threads) for candidate in candidates]
    sign = 1 if case.is_binary else -1
    chosen = max(compared, key=lambda validated: sign * validated.measure)
    targets = rows.targets(case)
    threshold = best_f1_threshold(targets, chosen.scores) if case.is_binary else None
    encoder = _fit_encoder(case, rows, chosen.candidate)
    booster = _train(
        parameters_of(case, chosen.candidate, seed), encoder.encode_rows(rows.records), targets, chosen.rounds
    )
    metrics = evaluate(case, targets, chosen.scores, threshold)
    return FittedModel(encoder, booster, chosen, compared, threshold, metrics, targets)


def validate(case: Case, rows: LabelledRows, candidate: Candidate, *, seed: int, threads: int) -> ValidatedCandidate:
    """Cross-validate one candidate; ``threads`` folds are fitted at once."""
    targets, scores = rows.targets(case), np.zeros(len(rows))
    folds = list(folds_of(case, targets, seed))
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda fold: _validate_fold(case, rows, candidate, seed, fold), folds))
    for (_, held_out), (held_out_scores, _) in zip(folds, results, strict=True):
        scores[held_out] = held_out_scores
    rounds = max(1, round(np.mean([fold_rounds for _, fold_rounds in results])))
    measure = evaluate(case, targets, scores, threshold=0.5)[measure_name(case)]
    return ValidatedCandidate(candidate, rounds, scores, measure)


def _validate_fold(
    case: Case, rows: LabelledRows, candidate: Candidate, seed: int, fold: tuple[Indices, Indices]
) -> tuple[Floats, int]:
    """Scores of the held-out rows, and the rounds after which they were best; the encoder is fitted here, too."""
    fit_rows, held_out = rows.take(fold[0]), rows.take(fold[1])
    encoder = _fit_encoder(case, fit_rows, candidate)
    features = encoder.encode_rows(held_out.records)
    booster = _train(
        parameters_of(case, candidate, seed),
        encoder.encode_rows(fit_rows.records),
        fit_rows.targets(case),
        MOST_ROUNDS,
        stop_by=(features, held_out.targets(case)),
    )
    rounds = booster.best_iteration + 1
    return booster.inplace_predict(features, iteration_range=(0, rounds)), rounds


def folds_of(case: Case, targets: Floats, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of row places (fit, held out); every row is held out once."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if case.is_binary else KFold
    yield from kind(FOLDS, shuffle=True, random_state=seed).split(targets, targets)


def parameters_of(case: Case, candidate: Candidate, seed: int) -> dict[str, Any]:
    """XGBoost's parameters; no class weights and no resampling, so that scores stay probabilities."""
    # Boosting starts at nothing (even odds, or 0): with the mean to start from, ONNX Runtime and XGBoost round the sum
    # of a large number and many small ones differently, by up to 1e-5 of a value.
    task: dict[str, Any] = (
        {"objective": "binary:logistic", "eval_metric": "auc", "base_score": 0.5}
        if case.is_binary
        else {"objective": "reg:squarederror", "eval_metric": "rmse", "base_score": 0.0}
    )
    # One thread a model: OpenMP's threads wait by spinning, and on cores that others use that takes ten times as long.
    return {**candidate.parameters, **task, "seed": seed, "nthread": 1}


def _fit_encoder(case: Case, rows: LabelledRows, candidate: Candidate) -> Encoder:
    return Encoder.fit(case, rows.records, rows.targets(case).tolist(), order=candidate.order)


def _train(
    parameters: Mapping[str, Any],
    features: Any,
    targets: Floats,
    rounds: int,
    stop_by: tuple[Any, Floats] | None = None,
) -> Booster:
    import xgboost

    evals = [(xgboost.DMatrix(*stop_by), "held_out")] if stop_by is not None else []
    return xgboost.train(
        dict(parameters),
        xgboost.DMatrix(features, targets),
        rounds,
        evals=evals,
        early_stopping_rounds=PATIENCE if evals else None,
        verbose_eval=False,
    )
