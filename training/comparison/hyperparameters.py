"""Hyperparameter search with Optuna, by the folds that candidates are compared on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import content_hash
from training.comparison.cross_validation import EVEN_ODDS, loss_name
from training.data.rows import LabelledRows
from training.families.catalog import FamilyName
from training.fitting.candidates import default_parameters, made_candidate
from training.fitting.cross_validation import Candidate, folds_of, validate_fold
from training.fitting.evaluation import evaluate

if TYPE_CHECKING:
    from optuna import Study, Trial

#: Trials before one is compared with the median of the others.
_UNPRUNED_TRIALS = 5


@dataclass(frozen=True)
class Range:
    """The range of a parameter, both ends included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Trial, name: str) -> float:
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class SearchPlan:
    """``trials`` is the number of trials of a study at the end, ``seconds`` the time limit of this call."""

    seed: int
    threads: int
    trials: int
    seconds: float | None = None
    shows_progress: bool = False


@dataclass(frozen=True)
class BestParameters:
    """The best parameters of a study, their mean loss over the folds, and outcomes of the trials."""

    parameters: Mapping[str, Any]
    loss: float
    complete: int
    pruned: int


def space_of(case: Case, family: FamilyName) -> Mapping[str, Range]:
    """The search space; the other parameters are those by hand."""
    if family == "linear":
        return {"C": Range(0.003, 100, log=True)} if case.is_binary else {"alpha": Range(1e-3, 1e3, log=True)}
    if family == "forest":
        return {"max_features": Range(0.1, 0.9), "min_samples_leaf": Range(2, 20, log=True, whole=True)}
    if family == "boosting":
        return {
            "max_iter": Range(100, 500, whole=True),
            "learning_rate": Range(0.02, 0.2, log=True),
            "max_leaf_nodes": Range(8, 64, log=True, whole=True),
            "min_samples_leaf": Range(5, 100, log=True, whole=True),
            "l2_regularization": Range(0.1, 30, log=True),
            "max_features": Range(0.2, 1.0),
        }
    if family == "xgboost":
        return {
            "eta": Range(0.03, 0.2, log=True),
            "max_depth": Range(3, 9, whole=True),
            "min_child_weight": Range(0.5, 20, log=True),
            "reg_lambda": Range(0.5, 30, log=True),
            "colsample_bytree": Range(0.2, 1.0),
            "subsample": Range(0.6, 1.0),
        }
    assert_never(family)


def study_name(case: Case, family: FamilyName, digests: Mapping[str, str], protocol: str, seed: int) -> str:
    """Trials of one study are of the same rows, folds and space: anything else makes another name."""
    space = {name: [limits.low, limits.high] for name, limits in space_of(case, family).items()}
    decided = {"case": case.sha256, "data": digests, "protocol": protocol, "seed": seed, "space": space}
    return f"{case.name}-{family}-{content_hash(decided)[:12]}"


def search(
    case: Case, rows: LabelledRows, family: FamilyName, plan: SearchPlan, storage: Path, name: str
) -> BestParameters:
    """Go on with the study ``name`` in the SQLite file ``storage``, or begin it; every finished trial is kept.

    A trial whose mean loss over its folds so far is above the median of the others at that fold is given up. The
    parameters by hand are the first trial. With several threads the trials depend on which one ends first.
    """
    from optuna import create_study
    from optuna.pruners import MedianPruner
    from optuna.samplers import TPESampler

    storage.parent.mkdir(parents=True, exist_ok=True)
    with _quiet_optuna():
        study = create_study(
            study_name=name,
            storage=_url(storage),
            load_if_exists=True,
            direction="minimize",
            pruner=MedianPruner(n_startup_trials=_UNPRUNED_TRIALS),
        )
        # Going on with the same seed would try the same places again.
        study.sampler = TPESampler(seed=plan.seed + len(study.trials))
        by_hand = default_parameters(case, family)
        study.enqueue_trial(
            {key: by_hand[key] for key in space_of(case, family) if key in by_hand}, skip_if_exists=True
        )
        left = plan.trials - _finished(study)
        if left > 0:
            study.optimize(
                lambda trial: _mean_loss(case, rows, family, plan.seed, trial),
                n_trials=left,
                timeout=plan.seconds,
                n_jobs=plan.threads,
                show_progress_bar=plan.shows_progress,
            )
    return _found(case, family, study)


def searched_candidate(case: Case, family: FamilyName, storage: Path, name: str) -> Candidate:
    """The best of a study as a candidate; raises :class:`SettingsError` when there is no such study."""
    from optuna import load_study

    try:
        with _quiet_optuna():
            study = load_study(study_name=name, storage=_url(storage)) if storage.is_file() else None
    except KeyError:
        study = None
    if study is None or _finished(study) == 0:
        message = f"nothing was searched for {family} on these rows; `train-model search --family {family}` does it"
        raise SettingsError("--searched", [Fault(str(storage), "missing", message)])
    return made_candidate(case, family, "none", _found(case, family, study).parameters, remark=", searched")


def _mean_loss(case: Case, rows: LabelledRows, family: FamilyName, seed: int, trial: Trial) -> float:
    from optuna import TrialPruned

    suggested = {name: limits.suggest(trial, name) for name, limits in space_of(case, family).items()}
    candidate = made_candidate(case, family, "none", {**default_parameters(case, family), **suggested})
    targets, losses = rows.targets(case), []
    for number, (fit_rows, held_out) in enumerate(folds_of(case, targets, seed)):
        scores, _ = validate_fold(case, rows, candidate, seed, (fit_rows, held_out))
        losses.append(evaluate(case, targets[held_out], scores, EVEN_ODDS)[loss_name(case)])
        trial.report(float(np.mean(losses)), number)
        if trial.should_prune():
            raise TrialPruned
    return float(np.mean(losses))


def _found(case: Case, family: FamilyName, study: Study) -> BestParameters:
    from optuna.trial import TrialState

    best = study.best_trial
    return BestParameters(
        parameters={**default_parameters(case, family), **best.params},
        loss=float(study.best_value),
        complete=len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])),
        pruned=len(study.get_trials(deepcopy=False, states=[TrialState.PRUNED])),
    )


def _finished(study: Study) -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE, TrialState.PRUNED]))


def _url(storage: Path) -> str:
    return f"sqlite:///{storage.resolve()}"


@contextlib.contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Turn off its log line for every trial."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)
