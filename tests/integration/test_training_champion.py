"""The champion of the real files: its performance, its bundle, and what stands around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from event_backbone.case.files import find_case
from event_backbone.case.records import RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.model.bundle import Bundle, BundleStore, open_bundle
from event_backbone.model.encoder import Encoder
from event_backbone.model.mlflow_registry import MlflowRegistry, mlflow_client
from event_backbone.ports import RegisteredBundle
from training.data.parsing import parse_file
from training.data.retrieval import DataLocations, http_fetch, retrieve_real
from training.data.rows import LabelledRows
from training.data.splitting import split_rows
from training.fitting.evaluation import evaluate
from training.fitting.onnx import TOLERANCE, largest_difference, onnx_scores

pytestmark = pytest.mark.long
CASES = Path(__file__).parents[2] / "cases"
CENSUS, HOUSING = find_case("census", CASES), find_case("housing", CASES)


def _current(state: Path, case: Case) -> tuple[RegisteredBundle, Bundle]:
    bundles = BundleStore(state / case.name / "bundles")
    current = bundles.current()
    assert current is not None
    return current, open_bundle(bundles.path_of(current.bundle_sha256), current.bundle_sha256)


def _scores(bundle: Bundle, rows: LabelledRows) -> Any:
    features = Encoder.from_json(bundle.read("encoder.json")).encode_rows(rows.records)
    return onnx_scores(bundle.read("model.onnx"), features)


def _xgboost_scores(bundle: Bundle, rows: LabelledRows) -> Any:
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(bundle.read("model.ubj")))
    features = Encoder.from_json(bundle.read("encoder.json")).encode_rows(rows.records)
    return booster.inplace_predict(features)


@pytest.fixture(scope="module")
def official_test_rows(census_data_dir: Path) -> LabelledRows:
    file = next(file for file in CENSUS.data.files if file.role == "test")
    return parse_file(CENSUS, file, (census_data_dir / file.name).read_bytes())


@pytest.fixture(scope="module")
def held_out_rows(housing_data_dir: Path, housing_champion_state: Path) -> LabelledRows:
    """The 20 % that housing's champion never saw, drawn with the seed it was trained with."""
    places = DataLocations(housing_data_dir, Path("unused"), Path("unused"))
    rows = retrieve_real(HOUSING, places, http_fetch(1.0)).train
    seed = json.loads(_current(housing_champion_state, HOUSING)[1].read("provenance.json"))["seed"]
    return rows.take(split_rows(len(rows), HOUSING.data.split, seed).test)


@pytest.mark.timeout(600)
def test_the_census_champion_ranks_the_official_test_rows(
    census_champion_state: Path, official_test_rows: LabelledRows
) -> None:
    scores = _scores(_current(census_champion_state, CENSUS)[1], official_test_rows)
    assert evaluate(CENSUS, official_test_rows.targets(CENSUS), scores, 0.5)["auc"] >= 0.925


def test_its_scores_are_probabilities(census_champion_state: Path, official_test_rows: LabelledRows) -> None:
    scores = _scores(_current(census_champion_state, CENSUS)[1], official_test_rows)
    targets = official_test_rows.targets(CENSUS)
    assert scores.mean() == pytest.approx(targets.mean(), abs=0.01)
    for low, high in [(0.05, 0.15), (0.25, 0.4), (0.6, 0.8), (0.9, 1.0)]:
        inside = (scores >= low) & (scores < high)
        assert targets[inside].mean() == pytest.approx(scores[inside].mean(), abs=0.06)


@pytest.mark.timeout(600)
def test_the_housing_champion_explains_the_held_out_rows(
    housing_champion_state: Path, held_out_rows: LabelledRows
) -> None:
    scores = _scores(_current(housing_champion_state, HOUSING)[1], held_out_rows)
    assert evaluate(HOUSING, held_out_rows.targets(HOUSING), scores, None)["r2"] >= 0.80


def test_onnx_repeats_xgboost_on_the_whole_official_test_file(
    census_champion_state: Path, official_test_rows: LabelledRows
) -> None:
    bundle = _current(census_champion_state, CENSUS)[1]
    scores, others = _scores(bundle, official_test_rows), _xgboost_scores(bundle, official_test_rows)
    assert len(scores) == 16_281
    assert largest_difference(CENSUS, scores, others) <= TOLERANCE


def test_onnx_repeats_xgboost_on_values_of_hundreds_of_thousands(
    housing_champion_state: Path, held_out_rows: LabelledRows
) -> None:
    bundle = _current(housing_champion_state, HOUSING)[1]
    difference = largest_difference(HOUSING, _scores(bundle, held_out_rows), _xgboost_scores(bundle, held_out_rows))
    assert difference <= TOLERANCE


def test_the_bundle_says_what_was_measured(census_champion_state: Path, official_test_rows: LabelledRows) -> None:
    bundle = _current(census_champion_state, CENSUS)[1]
    threshold = json.loads(bundle.read("decision.json"))["threshold"]
    measured = evaluate(
        CENSUS, official_test_rows.targets(CENSUS), _scores(bundle, official_test_rows), threshold=threshold
    )
    assert json.loads(bundle.read("metrics.json"))["test"] == pytest.approx(measured)


@pytest.mark.parametrize("case", [CENSUS, HOUSING], ids=["census", "housing"])
def test_golden_rows_get_their_scores(case: Case, request: pytest.FixtureRequest) -> None:
    bundle = _current(request.getfixturevalue(f"{case.name}_champion_state"), case)[1]
    golden = json.loads(bundle.read("golden.json"))
    scores = _scores(bundle, LabelledRows(golden["records"], []))
    np.testing.assert_allclose(scores, golden["scores"], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("case", [CENSUS, HOUSING], ids=["census", "housing"])
def test_the_stream_holds_valid_records_with_labels(case: Case, request: pytest.FixtureRequest) -> None:
    state: Path = request.getfixturevalue(f"{case.name}_champion_state")
    decoder = RecordDecoder(case)
    lines = (state / case.name / "splits" / "stream.jsonl").read_bytes().splitlines()
    assert len(lines) == {"census": 3061, "housing": 3012}[case.name]
    for line in lines:
        row = json.loads(line)
        decoder.decode(json.dumps(row["record"]).encode())
        assert case.is_label(row["label"])


def test_mlflow_holds_the_run_and_the_registered_bundle(census_champion_state: Path, tmp_path: Path) -> None:
    current, bundle = _current(census_champion_state, CENSUS)
    uri = f"sqlite:///{census_champion_state / 'census' / 'mlflow.db'}"
    registry = MlflowRegistry(uri)
    assert registry.resolve("streamgauge-census", "champion") == current
    registry.fetch(current, tmp_path / "fetched")
    assert open_bundle(tmp_path / "fetched", current.bundle_sha256).files == bundle.files
    client = mlflow_client(uri)
    version = client.get_model_version(current.model.name, current.model.version)
    run = client.get_run(version.run_id)
    assert {"auc", "accuracy", "f1", "log_loss", "brier"} <= set(run.data.metrics)
    assert {"seed", "rounds", "threshold", "candidate", "eta"} <= set(run.data.params)
    pictures = {Path(file.path).name for file in client.list_artifacts(version.run_id, "pictures")}
    assert pictures == {"roc.png", "calibration.png", "confusion.png"}


def test_mlflow_holds_the_decision_and_a_model_card(census_champion_state: Path, tmp_path: Path) -> None:
    current, _ = _current(census_champion_state, CENSUS)
    client = mlflow_client(f"sqlite:///{census_champion_state / 'census' / 'mlflow.db'}")
    version = client.get_model_version(current.model.name, current.model.version)
    assert version.tags["decision"] == "promoted"
    assert version.tags["promoted_by"] == "gate"
    assert float(version.tags["gate.challenger_auc"]) >= 0.9
    assert float(version.tags["gate.gate_rows"]) == 2000
    card = Path(client.download_artifacts(version.run_id, "model_card.md", str(tmp_path))).read_text()
    assert card.startswith("# " + CENSUS.title)
    for heading in ("## Model", "## Data", "## Test rows", "## Gate"):
        assert heading in card


def test_no_pickle_is_registered(census_champion_state: Path) -> None:
    files = [path for path in (census_champion_state / "census" / "mlartifacts").rglob("*") if path.is_file()]
    in_bundles = {path.suffix for path in files if path.parent.name == "bundle"}
    assert in_bundles <= {".json", ".yaml", ".onnx", ".ubj", ".parquet"}
    # Every pickle of the protocols in use since 2003 begins with this byte.
    assert [path for path in files if path.read_bytes()[:1] == b"\x80"] == []
