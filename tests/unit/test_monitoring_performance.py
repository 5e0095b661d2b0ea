"""Quality figures against values worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from monitoring_world import case_content, made_case
from sklearn import metrics

from event_backbone.case import Case, case_from_dict
from monitoring_service.performance import performance


def regression_case() -> Case:
    content = case_content()
    content["task"] = "regression"
    content["target"] = {"name": "returned", "title": "Value"}
    return case_from_dict(content, subject="regression case")


def test_binary_figures_by_hand() -> None:
    labels = ["yes", "yes", "no", "no"]
    predictions = ["yes", "no", "yes", "no"]
    # One true positive, one false, one missed; scores order 3 of the 4 (positive, negative) pairs rightly.
    found = performance(made_case(), [0.9, 0.4, 0.6, 0.1], predictions, labels)
    assert found == {"accuracy": 0.5, "f1": 0.5, "auc": 0.75}


def test_auc_with_ties_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    actual = rng.random(500) < 0.3
    scores = (actual * 0.3 + rng.random(500)).round(1)
    labels = ["yes" if one else "no" for one in actual]
    found = performance(made_case(), list(scores), ["no"] * 500, labels)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(actual, scores), abs=1e-12)


def test_one_class_only_has_no_auc_and_no_f1() -> None:
    assert performance(made_case(), [0.1, 0.2], ["no", "no"], ["no", "no"]) == {"accuracy": 1.0}


def test_missing_every_positive_is_an_f1_of_zero() -> None:
    assert performance(made_case(), [0.1, 0.2], ["no", "no"], ["yes", "no"])["f1"] == 0.0


def test_no_labels_no_figures() -> None:
    assert performance(made_case(), [], [], []) == {}


def test_regression_figures_by_hand() -> None:
    # Errors 1, -1, 2: MAE 4/3, RMSE sqrt(2); spread of the labels around 2 is 2, squared errors are 6.
    found = performance(regression_case(), [2.0, 1.0, 5.0], [2.0, 1.0, 5.0], [1.0, 2.0, 3.0])
    assert found == pytest.approx({"mae": 4 / 3, "rmse": 2**0.5, "r2": -2.0})


def test_equal_labels_have_no_r2() -> None:
    assert performance(regression_case(), [1.0, 2.0], [1.0, 2.0], [1.0, 1.0]).keys() == {"mae", "rmse"}
