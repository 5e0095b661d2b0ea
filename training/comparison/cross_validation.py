"""Cross-validation of candidates on the same folds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from event_backbone.case.schema import Case
from training.data.rows import Floats, LabelledRows
from training.fitting.cross_validation import Candidate, ValidatedCandidate, folds_of, measure_name, validate
from training.fitting.evaluation import best_f1_threshold, evaluate

#: Even odds: what classes are decided by before a threshold is chosen.
EVEN_ODDS = 0.5


@dataclass(frozen=True)
class CandidateMeasures:
    """A candidate's measures over all held-out rows.

    ``standard_error`` is that of the folds' mean of :func:`~training.fitting.cross_validation.measure_name`.
    """

    validated: ValidatedCandidate
    metrics: Mapping[str, float]
    standard_error: float
    seconds: float

    @property
    def candidate(self) -> Candidate:
        return self.validated.candidate


@dataclass(frozen=True)
class CandidateComparison:
    """All candidates, on rows with these ``targets``, and the one to be served."""

    targets: Floats
    compared: Sequence[CandidateMeasures]
    chosen: CandidateMeasures


def compare(
    case: Case,
    rows: LabelledRows,
    candidates: Sequence[Candidate],
    *,
    seed: int,
    threads: int,
    done: Callable[[CandidateMeasures], None],
) -> CandidateComparison:
    """Cross-validate every candidate, and call ``done`` with each.

    A classifier is chosen by log loss, which asks for good ranks and for true probabilities: by ranks alone one that
    was fitted to balanced classes could win, whose scores mean nothing. A regression is chosen by its RMSE.
    """
    compared = []
    for candidate in candidates:
        compared.append(_compared(case, rows, candidate, seed, threads))
        done(compared[-1])
    return CandidateComparison(
        rows.targets(case), compared, min(compared, key=lambda one: one.metrics[loss_name(case)])
    )


def loss_name(case: Case) -> str:
    """The loss by which the candidate is chosen."""
    return "log_loss" if case.is_binary else "rmse"


def _compared(case: Case, rows: LabelledRows, candidate: Candidate, seed: int, threads: int) -> CandidateMeasures:
    started_at = time.monotonic()
    validated = validate(case, rows, candidate, seed=seed, threads=threads)
    seconds = time.monotonic() - started_at
    targets = rows.targets(case)
    by_fold = [
        evaluate(case, targets[held_out], validated.scores[held_out], EVEN_ODDS)[measure_name(case)]
        for _, held_out in folds_of(case, targets, seed)
    ]
    standard_error = float(np.std(by_fold, ddof=1) / np.sqrt(len(by_fold)))
    return CandidateMeasures(validated, _metrics(case, targets, validated.scores), standard_error, seconds)


def _metrics(case: Case, targets: Floats, scores: Floats) -> dict[str, float]:
    """At even odds; ``best_f1`` is what the best threshold reaches."""
    measured = evaluate(case, targets, scores, EVEN_ODDS)
    if not case.is_binary:
        return measured
    best = evaluate(case, targets, scores, best_f1_threshold(targets, scores))
    return {**measured, "best_f1": best["f1"]}
