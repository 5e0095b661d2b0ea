"""Candidates compared by cross-validation, and the best one fitted on all rows it may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """The model that will be served, and what it was chosen by."""

    encoder: Encoder
    booster: Booster
    chosen: ValidatedCandidate
    compared: Sequence[ValidatedCandidate]
    threshold: float | None
    validation_metrics: Mapping[str, float]


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
        parameters_of(case, chosen.candidate, seed, threads), encoder.encode_rows(rows.records), targets, chosen.rounds
    )
    metrics = evaluate(case, targets, chosen.scores, threshold)
    return FittedModel(encoder, booster, chosen, compared, threshold, metrics)


def validate(case: Case, rows: LabelledRows, candidate: Candidate, *, seed: int, threads: int) -> ValidatedCandidate:
    """Cross-validate one candidate; the encoder is fitted inside each fold, too."""
    targets, scores, rounds = rows.targets(case), np.zeros(len(rows)), []
    parameters = parameters_of(case, candidate, seed, threads)
    for fit_rows, held_out in folds_of(case, targets, seed):
        fold = rows.take(fit_rows)
        encoder = _fit_encoder(case, fold, candidate)
        held_out_features = encoder.encode_rows(rows.take(held_out).records)
        booster = _train(
            parameters,
            encoder.encode_rows(fold.records),
            targets[fit_rows],
            MOST_ROUNDS,
            stop_by=(held_out_features, targets[held_out]),
        )
        rounds.append(booster.best_iteration + 1)
        scores[held_out] = booster.inplace_predict(held_out_features, iteration_range=(0, rounds[-1]))
    measure = evaluate(case, targets, scores, threshold=0.5)[measure_name(case)]
    return ValidatedCandidate(candidate, max(1, round(np.mean(rounds))), scores, measure)


def folds_of(case: Case, targets: Floats, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of row places (fit, held out); every row is held out once."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if case.is_binary else KFold
    yield from kind(FOLDS, shuffle=True, random_state=seed).split(targets, targets)


def parameters_of(case: Case, candidate: Candidate, seed: int, threads: int) -> dict[str, Any]:
    """XGBoost's parameters; no class weights and no resampling, so that scores stay probabilities."""
    task = (
        {"objective": "binary:logistic", "eval_metric": "auc"}
        if case.is_binary
        else {"objective": "reg:squarederror", "eval_metric": "rmse"}
    )
    return {**candidate.parameters, **task, "seed": seed, "nthread": threads}


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
