"""Served scores are the training side's: every row of the official test file, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from prediction_process import PredictionProcess, running

from event_backbone.case.files import find_case
from event_backbone.model.bundle import Bundle, BundleStore, open_bundle
from event_backbone.model.encoder import Encoder
from training.data.parsing import parse_file
from training.data.rows import LabelledRows

pytestmark = pytest.mark.long
CASES_DIR = Path(__file__).parents[2] / "cases"
CENSUS = find_case("census", CASES_DIR)
TOLERANCE = 1e-5
BATCH = 1000


@pytest.fixture(scope="module")
def official_test_rows(census_data_dir: Path) -> LabelledRows:
    file = next(file for file in CENSUS.data.files if file.role == "test")
    return parse_file(CENSUS, file, (census_data_dir / file.name).read_bytes())


@pytest.fixture(scope="module")
def bundle(census_champion_state: Path) -> Bundle:
    bundles = BundleStore(census_champion_state / "census" / "bundles")
    current = bundles.current()
    assert current is not None
    return open_bundle(bundles.path_of(current.bundle_sha256), current.bundle_sha256)


@pytest.fixture(scope="module")
def expected(bundle: Bundle, official_test_rows: LabelledRows) -> Any:
    """XGBoost's own scores, from the model as it was trained."""
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(bundle.read("model.ubj")))
    features = Encoder.from_json(bundle.read("encoder.json")).encode_rows(official_test_rows.records)
    return booster.inplace_predict(features)


@pytest.fixture(scope="module")
def server(census_champion_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionProcess]:
    folder = tmp_path_factory.mktemp("census")
    places = {"CASE": "census", "CASES_DIR": str(CASES_DIR), "STATE_DIR": str(census_champion_state)}
    with running(folder, **places, RUN_DIR=str(folder / "run")) as process:
        yield process


def with_ids(rows: LabelledRows, prefix: str) -> list[dict[str, Any]]:
    return [{"record_id": f"{prefix}-{number}", **record} for number, record in enumerate(rows.records)]


def test_every_row_of_the_official_test_file_gets_the_training_sides_score(
    server: PredictionProcess, official_test_rows: LabelledRows, expected: Any
) -> None:
    records = with_ids(official_test_rows, "batch")
    answers: list[Any] = []
    for start in range(0, len(records), BATCH):
        answer = server.send_json("POST", "/predict/batch", records[start : start + BATCH])
        assert answer.status == 200
        answers += answer.json()["results"]
    assert {result["status"] for result in answers} == {200}
    assert [result["answer"]["record_id"] for result in answers] == [record["record_id"] for record in records]
    scores = np.array([result["answer"]["score"] for result in answers])
    assert len(scores) == 16_281
    assert np.abs(scores - expected).max() <= TOLERANCE


def test_one_record_at_a_time_gets_the_same_score_and_the_class_of_the_threshold(
    server: PredictionProcess, official_test_rows: LabelledRows, expected: Any, bundle: Bundle
) -> None:
    threshold = msgspec.json.decode(bundle.read("decision.json"))["threshold"]
    for number, record in list(enumerate(with_ids(official_test_rows, "single")))[::80]:
        answer = server.predict(record)
        assert answer.status == 200
        score = answer.json()["score"]
        assert score == pytest.approx(expected[number], abs=TOLERANCE)
        positive = answer.json()["prediction"] == CENSUS.target.positive
        assert positive == (score >= threshold)


def test_what_was_stored_is_what_was_answered(
    server: PredictionProcess, official_test_rows: LabelledRows, expected: Any
) -> None:
    number = len(official_test_rows) - 1
    record = with_ids(official_test_rows, "stored")[number]
    answer = server.predict(record).json()
    stored = server.send("GET", f"/predictions/stored-{number}").json()
    assert stored["record"] == official_test_rows.records[number]
    assert (stored["score"], stored["prediction"]) == (answer["score"], answer["prediction"])
    assert stored["score"] == pytest.approx(expected[number], abs=TOLERANCE)
