"""The files of a bundle."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from training_world import COLOURS, made_case, made_rows

from event_backbone.case.records import faults_in
from event_backbone.model.calibration import expected_at
from event_backbone.model.reference_profile import PROFILE_FILE, CategoryProfile, NumberProfile, decode_profile
from training.data.rows import LabelledRows
from training.fitting.artifacts import bundle_parts, decide
from training.fitting.cross_validation import CANDIDATES, FittedModel, fit
from training.fitting.onnx import onnx_scores, to_onnx

CASE = made_case()
REFERENCE = made_rows(100, first=500, seed=5)


@pytest.fixture(scope="module")
def model() -> FittedModel:
    return fit(CASE, made_rows(250), seed=7, threads=1, candidates=CANDIDATES[:1])


@pytest.fixture(scope="module")
def parts(model: FittedModel) -> dict[str, bytes]:
    return bundle_parts(CASE, model, to_onnx(model), REFERENCE, {"metrics.json": {"test": 1.0}})


def test_nothing_is_missing(parts: dict[str, bytes]) -> None:
    assert sorted(parts) == [
        "decision.json",
        "encoder.json",
        "golden.json",
        "metrics.json",
        "model.onnx",
        "model.ubj",
        "reference.parquet",
        "reference_profile.json",
    ]


def test_the_reference_holds_the_raw_rows(parts: dict[str, bytes]) -> None:
    rows = pq.read_table(io.BytesIO(parts["reference.parquet"])).to_pylist()
    assert [{name: row[name] for name in CASE.column_names} for row in rows] == list(REFERENCE.records)
    assert [row["ripe"] for row in rows] == list(REFERENCE.labels)


def test_the_reference_holds_score_and_prediction(parts: dict[str, bytes], model: FittedModel) -> None:
    table = pq.read_table(io.BytesIO(parts["reference.parquet"]))
    assert set(table["prediction"].to_pylist()) == {"yes", "no"}
    above = [score >= model.threshold for score in table["score"].to_pylist()]
    assert [prediction == "yes" for prediction in table["prediction"].to_pylist()] == above


def test_golden_rows_get_their_scores(parts: dict[str, bytes], model: FittedModel) -> None:
    golden = json.loads(parts["golden.json"])
    scores = onnx_scores(parts["model.onnx"], model.encoder.encode_rows(golden["records"]))
    np.testing.assert_array_equal(scores, golden["scores"])
    assert 60 <= len(golden["records"]) <= 70


def test_golden_rows_are_valid_and_some_hold_unknown_values(parts: dict[str, bytes]) -> None:
    records: list[dict[str, Any]] = json.loads(parts["golden.json"])["records"]
    assert [faults_in(CASE, record) for record in records if faults_in(CASE, record)] == []
    assert any(record["colour"] not in [*COLOURS, None] and record["sugar"] is None for record in records)


def test_golden_rows_cover_the_range_of_scores(parts: dict[str, bytes]) -> None:
    golden, table = json.loads(parts["golden.json"]), pq.read_table(io.BytesIO(parts["reference.parquet"]))
    scores = table["score"].to_pylist()
    assert golden["scores"][0] == min(scores)
    assert max(golden["scores"][:60]) == max(scores)


def test_the_profile_holds_every_column_as_it_was(parts: dict[str, bytes]) -> None:
    profile = decode_profile(parts[PROFILE_FILE])
    colours = [record["colour"] for record in REFERENCE.records]
    assert profile.rows == 100
    assert profile.columns["colour"] == CategoryProfile(
        {"green": colours.count("green"), "red": colours.count("red"), "yellow": colours.count("yellow")},
        colours.count(None),
    )
    assert profile.columns["weight"] == NumberProfile(sorted(record["weight"] for record in REFERENCE.records), 0)
    sugars = [record["sugar"] for record in REFERENCE.records if record["sugar"] is not None]
    assert profile.columns["sugar"] == NumberProfile(sorted(sugars), 100 - len(sugars))


def test_the_profile_holds_scores_predictions_labels_and_how_good_they_were(parts: dict[str, bytes]) -> None:
    profile = decode_profile(parts[PROFILE_FILE])
    rows = pq.read_table(io.BytesIO(parts["reference.parquet"])).to_pylist()
    assert profile.scores == NumberProfile(sorted(row["score"] for row in rows), 0)
    predicted = [row["prediction"] for row in rows]
    assert profile.predictions == CategoryProfile({"no": predicted.count("no"), "yes": predicted.count("yes")}, 0)
    labels = list(REFERENCE.labels)
    assert profile.labels == CategoryProfile({"no": labels.count("no"), "yes": labels.count("yes")}, 0)
    right = sum(row["prediction"] == row["ripe"] for row in rows)
    assert profile.performance["accuracy"] == pytest.approx(right / 100)
    assert {"precision", "recall", "f1", "auc", "log_loss", "calibration_error"} <= profile.performance.keys()


def test_what_scores_led_to_is_known_from_the_reference_and_from_the_folds(
    parts: dict[str, bytes], model: FittedModel
) -> None:
    expectation = decode_profile(parts[PROFILE_FILE]).expectation
    assert expectation is not None
    assert expectation.rows == 100 + 250
    scores = np.concatenate([decode_profile(parts[PROFILE_FILE]).scores.sorted_values, model.chosen.scores])
    positives = REFERENCE.targets(CASE).sum() + model.targets.sum()
    assert expected_at(expectation, scores).sum() == pytest.approx(positives), "it keeps their number"


def test_the_decision_is_the_threshold(parts: dict[str, bytes], model: FittedModel) -> None:
    assert json.loads(parts["decision.json"]) == {"threshold": model.threshold}


def test_a_score_at_the_threshold_is_positive() -> None:
    assert decide(CASE, np.array([0.3, 0.5, 0.7]), 0.5) == ["no", "yes", "yes"]


def test_a_regression_predicts_its_score() -> None:
    assert decide(CASE, np.array([1.5]), None) == [1.5]


def test_a_reference_that_repeats_itself_has_the_same_distributions_in_fewer_rows(model: FittedModel) -> None:
    rows = made_rows(100)
    onnx = to_onnx(model)
    once, thrice = (
        decode_profile(bundle_parts(CASE, model, onnx, given, {}, independent_rows=100)[PROFILE_FILE])
        for given in (rows, LabelledRows(rows.records * 3, rows.labels * 3))
    )
    assert thrice.rows == 100
    assert thrice.columns == once.columns
    assert (thrice.scores, thrice.predictions, thrice.labels) == (once.scores, once.predictions, once.labels)
