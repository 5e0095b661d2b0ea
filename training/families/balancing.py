"""Balancing of a rare class, in rows that a model is fitted to and in no others."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from event_backbone.case.schema import Case
from training.data.rows import Floats
from training.families.family import EncodedRows, Features

#: ``weights``: each class counts the same; ``smote``: made-up rows of the rare class until there are as many.
Balance = Literal["none", "weights", "smote"]


def balanced(case: Case, rows: EncodedRows, balance: Balance, seed: int) -> EncodedRows:
    """``rows`` as a model is fitted to them. Only a binary case has classes to balance."""
    if balance == "weights":
        from sklearn.utils.class_weight import compute_sample_weight

        return EncodedRows(rows.features, rows.targets, compute_sample_weight("balanced", rows.targets))
    return _with_made_rows(case, rows, seed) if balance == "smote" else rows


def _with_made_rows(case: Case, rows: EncodedRows, seed: int) -> EncodedRows:
    """The rows as they are, missing values included, and SMOTE's rows behind them.

    Chawla et al. (2002), SMOTE, Journal of Artificial Intelligence Research 16; SMOTE-NC for mixed columns. A number
    that is an integer in every real row is one in the made rows, too: else a tree tells them apart by the fraction.
    """
    from sklearn.impute import SimpleImputer

    # Neighbours need every value. No column is dropped, whatever it lacks.
    complete = SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(rows.features)
    features, targets = _sampler(case, seed).fit_resample(complete, rows.targets)
    made: Features = np.asarray(features[len(rows.features) :], dtype=np.float32)
    whole = [place for place, column in enumerate(case.features) if column.kind == "integer"]
    made[:, whole] = np.round(made[:, whole])
    made_targets: Floats = targets[len(rows.targets) :]
    return EncodedRows(np.vstack([rows.features, made]), np.concatenate([rows.targets, made_targets]))


def _sampler(case: Case, seed: int) -> Any:
    from imblearn.over_sampling import SMOTE, SMOTENC

    categories = [place for place, column in enumerate(case.features) if column.is_category]
    return SMOTENC(categories, random_state=seed) if categories else SMOTE(random_state=seed)
