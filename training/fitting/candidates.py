"""Candidates of a comparison: each family with default parameters, each as it is and balanced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, assert_never, get_args

from event_backbone.case.schema import Case
from training.families.balancing import Balance
from training.families.catalog import FamilyName
from training.fitting.cross_validation import CANDIDATES, Candidate

#: ``split``: the case file's fit rows, as the champion has them; ``official``: every row that is no test row.
EvaluationProtocol = Literal["split", "official"]

FAMILY_NAMES: tuple[FamilyName, ...] = get_args(FamilyName)
BALANCES: tuple[Balance, ...] = get_args(Balance)

_BALANCED = {"none": "as they are", "weights": "class weights", "smote": "SMOTE"}

_FOREST = {"n_estimators": 200, "max_features": 0.35, "n_jobs": 1}
_BOOSTING = {
    "max_iter": 250,
    "learning_rate": 0.07,
    "max_leaf_nodes": 24,
    "l2_regularization": 5.0,
    "max_features": 0.5,
    "early_stopping": False,
}


#: The families' names for people; logistic regression is ridge regression where a number is predicted.
_TITLES: Mapping[FamilyName, str] = {
    "linear": "logistic regression",
    "forest": "random forest",
    "boosting": "gradient boosting",
    "xgboost": "XGBoost",
}


def title_of(case: Case, family: FamilyName) -> str:
    """The family's display name."""
    return "ridge regression" if family == "linear" and not case.is_binary else _TITLES[family]


def balances_of(case: Case) -> Sequence[Balance]:
    """Only classes can be balanced."""
    return BALANCES if case.is_binary else BALANCES[:1]


def default_parameters(case: Case, family: FamilyName) -> Mapping[str, Any]:
    """Parameters by hand; ``train-model search`` finds others."""
    if family == "linear":
        return {"C": 1.0, "max_iter": 1000} if case.is_binary else {"alpha": 1.0}
    if family == "forest":
        return {**_FOREST, "min_samples_leaf": 5 if case.is_binary else 3}
    if family == "boosting":
        return _BOOSTING
    if family == "xgboost":
        return _best_by_hand(case).parameters
    assert_never(family)


def _best_by_hand(case: Case) -> Candidate:
    """XGBoost's candidate that cross-validation preferred on the case's kind of task."""
    return CANDIDATES[0] if case.is_binary else CANDIDATES[1]


def candidates_of(
    case: Case, families: Sequence[FamilyName] = FAMILY_NAMES, balances: Sequence[Balance] | None = None
) -> Iterator[Candidate]:
    """Every family with every balancing that the case knows."""
    for family in families:
        for balance in balances_of(case) if balances is None else balances:
            yield made_candidate(case, family, balance, default_parameters(case, family))


def champion_candidates(case: Case, family: FamilyName | Literal["best"]) -> Sequence[Candidate]:
    """Candidates for a champion: one family, or with ``best`` all of them. None is balanced."""
    if family == "xgboost":
        return CANDIDATES
    if family == "best":
        return [*CANDIDATES, *(one for one in candidates_of(case, balances=["none"]) if one.family != "xgboost")]
    return list(candidates_of(case, [family], ["none"]))


def made_candidate(
    case: Case, family: FamilyName, balance: Balance, parameters: Mapping[str, Any], remark: str = ""
) -> Candidate:
    """Codes are ordered by the mean label: a linear model does not care, and trees gain."""
    balancing = f", {_BALANCED[balance]}" if case.is_binary else ""
    return Candidate(f"{title_of(case, family)}{balancing}{remark}", "label_mean", parameters, family, balance)
