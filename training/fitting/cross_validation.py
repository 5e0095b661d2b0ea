"""Cross-validation of candidates, and fitting of the best one on all rows it may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.model.encoder import Encoder, Order
from training.data.rows import Floats, Indices, LabelledRows
from training.families.balancing import Balance, balanced
from training.families.catalog import FAMILIES, FamilyName
from training.families.family import EncodedRows, Model
from training.fitting.evaluation import best_f1_threshold, evaluate

FOLDS = 5

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
    """A way to fit: the order of category codes, a family and its parameters, and the balancing."""

    name: str
    order: Order
    parameters: Mapping[str, Any]
    family: FamilyName = "xgboost"
    balance: Balance = "none"


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
    """The fitted model, and the measures it was chosen by; ``targets`` are those of the rows it was fitted to."""

    encoder: Encoder
    model: Model
    chosen: ValidatedCandidate
    compared: Sequence[ValidatedCandidate]
    threshold: float | None
    validation_metrics: Mapping[str, float]
    targets: Floats


def measure_name(case: Case) -> str:
    """The measure that candidates are compared by."""
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
    return fit_chosen(case, rows, compared, chosen, seed)


def fit_chosen(
    case: Case, rows: LabelledRows, compared: Sequence[ValidatedCandidate], chosen: ValidatedCandidate, seed: int
) -> FittedModel:
    """Fit the candidate that was chosen among ``compared`` to all of ``rows``."""
    targets, candidate = rows.targets(case), chosen.candidate
    threshold = best_f1_threshold(targets, chosen.scores) if case.is_binary else None
    encoder = _fit_encoder(case, rows, candidate)
    encoded = _encoded(case, rows, encoder, candidate, seed)
    model = FAMILIES[candidate.family].fit(case, encoded, candidate.parameters, seed, rounds=chosen.rounds)
    metrics = evaluate(case, targets, chosen.scores, threshold)
    return FittedModel(encoder, model, chosen, compared, threshold, metrics, targets)


def validate(case: Case, rows: LabelledRows, candidate: Candidate, *, seed: int, threads: int) -> ValidatedCandidate:
    """Cross-validate one candidate; ``threads`` folds are fitted at once."""
    targets, scores = rows.targets(case), np.zeros(len(rows))
    folds = list(folds_of(case, targets, seed))
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda fold: validate_fold(case, rows, candidate, seed, fold), folds))
    for (_, held_out), (held_out_scores, _) in zip(folds, results, strict=True):
        scores[held_out] = held_out_scores
    rounds = round(np.mean([fold_rounds for _, fold_rounds in results]))
    measure = evaluate(case, targets, scores, threshold=0.5)[measure_name(case)]
    return ValidatedCandidate(candidate, rounds, scores, measure)


def validate_fold(
    case: Case, rows: LabelledRows, candidate: Candidate, seed: int, fold: tuple[Indices, Indices]
) -> tuple[Floats, int]:
    """Scores of the held-out rows, and the rounds after which they were best; the encoder is fitted here, too."""
    fit_rows, held_out = rows.take(fold[0]), rows.take(fold[1])
    encoder = _fit_encoder(case, fit_rows, candidate)
    encoded = _encoded(case, fit_rows, encoder, candidate, seed)
    unseen = EncodedRows(encoder.encode_rows(held_out.records), held_out.targets(case))
    model = FAMILIES[candidate.family].fit_fold(case, encoded, unseen, candidate.parameters, seed)
    return model.scores(unseen.features), model.rounds


def folds_of(case: Case, targets: Floats, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of row places (fit, held out); every row is held out once."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if case.is_binary else KFold
    yield from kind(FOLDS, shuffle=True, random_state=seed).split(targets, targets)


def parameters_of(case: Case, candidate: Candidate, seed: int) -> dict[str, Any]:
    """Everything that decides a candidate's model beside the rows and the order of category codes."""
    return FAMILIES[candidate.family].parameters(case, candidate.parameters, seed)


def _fit_encoder(case: Case, rows: LabelledRows, candidate: Candidate) -> Encoder:
    return Encoder.fit(case, rows.records, rows.targets(case).tolist(), order=candidate.order)


def _encoded(case: Case, rows: LabelledRows, encoder: Encoder, candidate: Candidate, seed: int) -> EncodedRows:
    """Rows as the candidate is fitted to them; rows that are only scored are never balanced."""
    encoded = EncodedRows(encoder.encode_rows(rows.records), rows.targets(case))
    return balanced(case, encoded, candidate.balance, seed)
