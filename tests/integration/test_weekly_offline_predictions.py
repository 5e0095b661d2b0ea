"""Predicted offline or answered by the service: the same records get the same answers, into a file or MongoDB."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prediction_process import PredictionProcess, running
from prediction_world import install_champion, made_case, made_record
from pyarrow import parquet

from event_backbone.errors import StopError, TryAgainLaterError
from event_backbone.model.bundle import BundleStore, open_bundle
from event_backbone.model.scoring import Scorer
from event_backbone.mongodb.access import mongo_access
from event_backbone.mongodb.connection import MongoConnection
from event_backbone.settings import ConnectionSettings
from training.weekly.new_records import records_in_collection, records_in_file
from training.weekly.offline_prediction import predict
from training.weekly.predict_command import open_output, open_records

CASE = made_case()
RECORDS = [{"record_id": f"new-{number}", **made_record(number)} for number in range(1500)]
BAD = {"record_id": "bad", **made_record(1, leaves=-1)}
SAME = ("record_id", "prediction", "score")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PredictionProcess]:
    with running(tmp_path_factory.mktemp("garden")) as process:
        yield process


@pytest.fixture
def scorer(service: PredictionProcess) -> Scorer:
    """The champion that the service has."""
    return _scorer(service.log.parent / "state")


def _scorer(state_dir: Path) -> Scorer:
    bundles = BundleStore(state_dir / "garden" / "bundles")
    current = bundles.current()
    assert current is not None
    return Scorer(open_bundle(bundles.path_of(current.bundle_sha256)), current.model, CASE)


def _file_of(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "new.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_file_predicted_offline_has_what_the_service_answers(
    service: PredictionProcess, scorer: Scorer, tmp_path: Path
) -> None:
    source, out = _file_of(tmp_path, *RECORDS[:999], BAD), tmp_path / "out.parquet"
    answered = service.send_json("POST", "/predict/batch", [*RECORDS[:999], BAD]).json()["results"]
    alone = [service.predict(record).json() for record in RECORDS[:20]]
    predict(CASE, scorer, records_in_file(CASE, source), open_output(CASE, str(out)))
    written = parquet.read_table(out).to_pylist()
    assert [{name: row[name] for name in SAME} for row in written[:-1]] == [
        {name: one["answer"][name] for name in SAME} for one in answered[:-1]
    ]
    assert [row["score"] for row in written[:20]] == [one["score"] for one in alone]
    versions = {(row["model_name"], row["model_version"]) for row in written[:-1]}
    assert versions == {tuple(one["answer"]["model"].values()) for one in answered[:-1]}
    assert answered[-1]["status"] == 422
    assert written[-1]["prediction"] is None
    assert written[-1]["faults"] == [f"{fault['field']}: {fault['message']}" for fault in answered[-1]["faults"]]


def test_a_collection_is_predicted_page_by_page_and_once(
    service: PredictionProcess, scorer: Scorer, mongo_url: str, mongo_database: str
) -> None:
    url = f"{mongo_url.rstrip('/')}/{mongo_database}"
    connection = MongoConnection(mongo_access(url, ConnectionSettings(), timeout_s=30))
    connection.insert("applicants", [{"_id": record["record_id"], **record} for record in [*RECORDS, BAD]])
    answered = {record["record_id"]: service.predict(record).json() for record in RECORDS[::50]}
    for _ in range(2):
        done = predict(CASE, scorer, open_records(CASE, url, "applicants"), open_output(CASE, url))
        assert (done.records, done.refused) == (1501, 1)
    kept = {document["record_id"]: document for document in connection.find("garden.rescored", {})}
    assert kept.keys() == {record["record_id"] for record in RECORDS}
    for record_id, answer in answered.items():
        assert {name: kept[record_id][name] for name in (*SAME, "model")} == {
            name: answer[name] for name in (*SAME, "model")
        }
    connection.close()


def test_documents_that_no_order_reaches_are_missed_aloud(
    scorer: Scorer, mongo_url: str, mongo_database: str, tmp_path: Path
) -> None:
    access = mongo_access(f"{mongo_url.rstrip('/')}/{mongo_database}", ConnectionSettings(), timeout_s=30)
    connection = MongoConnection(access)
    mixed: list[Any] = ["a", "b", 1, 2]
    connection.insert("mixed", [{"_id": named, **RECORDS[0]} for named in mixed])
    connection.close()
    with pytest.raises(StopError, match="of another kind"):
        predict(
            CASE, scorer, records_in_collection(access, "mixed", page=2), open_output(CASE, str(tmp_path / "a.parquet"))
        )


def test_a_mongodb_that_is_away_is_named_without_its_login(tmp_path: Path) -> None:
    install_champion(tmp_path / "state", tmp_path / "cases")
    access = mongo_access("mongodb://me:secret@127.0.0.1:9", ConnectionSettings(), timeout_s=1, place="--in")
    scorer, records = _scorer(tmp_path / "state"), records_in_collection(access, "new")
    with pytest.raises(TryAgainLaterError, match=r"MongoDB at 127\.0\.0\.1:9") as caught:
        predict(CASE, scorer, records, open_output(CASE, str(tmp_path / "out.parquet")))
    assert "secret" not in str(caught.value)
