"""ONNX gives XGBoost's scores."""

from __future__ import annotations

import numpy as np
import pytest
from training_world import made_case, made_rows, priced_rows, regression_case

from event_backbone.case.schema import Case
from event_backbone.errors import StopError
from training.data.rows import LabelledRows
from training.fitting.cross_validation import CANDIDATES, fit
from training.fitting.onnx import check_parity, largest_difference, onnx_scores, to_onnx


@pytest.mark.parametrize(
    ("case", "rows"), [(made_case(), made_rows(250)), (regression_case(), priced_rows(200))], ids=["binary", "values"]
)
def test_onnx_repeats_xgboost_on_missing_and_unseen_values_too(case: Case, rows: LabelledRows) -> None:
    model = fit(case, rows, seed=7, threads=1, candidates=CANDIDATES[:1])
    features = model.encoder.encode_rows(rows.records)
    features[::3, 0] = np.nan
    features[::4, :] = np.nan
    onnx = to_onnx(model)
    assert check_parity(case, onnx_scores(onnx, features), model.model.scores(features)) < 1e-6


def test_no_rows_have_no_scores() -> None:
    model = fit(regression_case(), priced_rows(200), seed=7, threads=1, candidates=CANDIDATES[:1])
    assert onnx_scores(to_onnx(model), model.encoder.encode_rows([])).shape == (0,)


def test_a_model_that_scores_otherwise_is_stopped() -> None:
    with pytest.raises(StopError, match=r"differ by 0\.0001"):
        check_parity(made_case(), np.array([0.5, 0.6]), np.array([0.5, 0.6001]))


def test_a_score_that_is_no_number_is_stopped() -> None:
    with pytest.raises(StopError):
        check_parity(made_case(), np.array([np.nan]), np.array([0.5]))


def test_values_are_compared_relative_to_their_size() -> None:
    assert largest_difference(regression_case(), np.array([200_001.0]), np.array([200_000.0])) == pytest.approx(5e-6)
