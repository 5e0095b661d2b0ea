"""The champion in the server: what is broken or out of reach leaves the last good one answering."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from prediction_world import COLUMNS, MODEL, made_case, made_record, made_score, servable_parts, shelve
from prometheus_client import CollectorRegistry

from event_backbone.case.records import RecordDecoder
from event_backbone.events.schema import ModelRef, encode_json
from event_backbone.model.bundle import BundleStore
from event_backbone.ports import RegisteredBundle
from prediction_service.inference.champion import ServingChampion
from prediction_service.model_sync.sync_files import RegistryFault, SyncFiles
from prediction_service.serving.metrics import ServingMetrics


@pytest.fixture
def metrics() -> ServingMetrics:
    return ServingMetrics(CollectorRegistry(), made_case())


@pytest.fixture
def bundles_dir(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def champion(bundles_dir: Path, metrics: ServingMetrics) -> ServingChampion:
    return ServingChampion(BundleStore(bundles_dir), SyncFiles(bundles_dir), made_case(), metrics)


def point_at(bundles_dir: Path, registered: RegisteredBundle) -> None:
    BundleStore(bundles_dir).repoint(registered)


def score(champion: ServingChampion, record: dict[str, object]) -> float:
    assert champion.scorer is not None
    (value,) = champion.scorer.score([RecordDecoder(made_case()).convert(record)])
    return value


def failures(metrics: ServingMetrics) -> float:
    return metrics.registry.get_sample_value("prediction_model_load_failures_total") or 0.0


def reload_failed(metrics: ServingMetrics, step: str) -> float | None:
    return metrics.registry.get_sample_value("prediction_model_reload_failed", {"step": step})


def test_without_a_champion_there_is_no_scorer_and_a_reason(champion: ServingChampion) -> None:
    champion.refresh()
    assert champion.scorer is None
    assert champion.fault == "no champion has been fetched yet"


def test_a_champion_answers_as_its_model_does(champion: ServingChampion, bundles_dir: Path) -> None:
    point_at(bundles_dir, shelve(bundles_dir, made_case()))
    champion.refresh()
    assert champion.fault is None
    for leaves in (0, 30, 100, 5000):
        record = made_record(leaves=leaves)
        assert score(champion, record) == pytest.approx(made_score(record), abs=1e-6)
    assert [champion.scorer.decide(value) for value in (0.4, 0.505, 0.6)] == ["no", "yes", "yes"]


def test_an_unchanged_pointer_loads_nothing(champion: ServingChampion, bundles_dir: Path) -> None:
    point_at(bundles_dir, shelve(bundles_dir, made_case()))
    champion.refresh()
    first = champion.scorer
    champion.refresh()
    assert champion.scorer is first


def test_a_new_champion_takes_over_and_the_metric_names_only_it(
    champion: ServingChampion, bundles_dir: Path, metrics: ServingMetrics
) -> None:
    for version in ("1", "2"):
        point_at(bundles_dir, shelve(bundles_dir, made_case(), version=version))
        champion.refresh()
    assert champion.scorer.model == ModelRef(MODEL.name, "2")
    samples = [sample.labels["version"] for family in metrics.model_info.collect() for sample in family.samples]
    assert samples == ["2"]


def wrong_scores() -> bytes:
    golden = json.loads(servable_parts(made_case())["golden.json"])
    return encode_json({**golden, "scores": [value + 0.001 for value in golden["scores"]]})


def golden_of_other_columns() -> bytes:
    return encode_json({"records": [{"other": 1}], "scores": [0.5]})


def golden_of_other_types() -> bytes:
    return encode_json({"records": [made_record(leaves="many")], "scores": [0.5]})


def another_encoder() -> bytes:
    parts = servable_parts(made_case())
    return msgspec.json.encode({"format": 1, "columns": json.loads(parts["encoder.json"])["columns"][:2]})


def encoder_of_unknown_column() -> bytes:
    return msgspec.json.encode({"format": 1, "columns": [{"name": "unheard_of"}]})


BROKEN = {
    "golden scores that are not its own": {"golden_json": wrong_scores()},
    "golden rows of another case": {"golden_json": golden_of_other_columns()},
    "golden rows that are no records": {"golden_json": golden_of_other_types()},
    "more golden scores than rows": {"golden_json": encode_json({"records": [made_record()], "scores": [0.5] * 2})},
    "no golden rows at all": {"golden_json": encode_json({"records": [], "scores": []})},
    "no golden file": {"golden_json": None},
    "golden rows that are no JSON": {"golden_json": b"{"},
    "a model that is no ONNX": {"model_onnx": b"not a model"},
    "no model": {"model_onnx": None},
    "an encoder that is no JSON": {"encoder_json": b"{"},
    "an encoder that is no UTF-8": {"encoder_json": b'{"format": 1, "columns": [{"name": "\xff"}]}'},
    "an encoder of another width": {"encoder_json": another_encoder()},
    "an encoder of a column the case does not have": {"encoder_json": encoder_of_unknown_column()},
    "no threshold": {"decision_json": b"{}"},
    "a threshold that is no UTF-8": {"decision_json": b'{"threshold": "\xff"}'},
    "a threshold that is no number": {"decision_json": b'{"threshold": "half"}'},
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_bundle_is_refused_once_and_the_old_one_keeps_serving(
    champion: ServingChampion, bundles_dir: Path, metrics: ServingMetrics, parts: dict[str, bytes | None]
) -> None:
    point_at(bundles_dir, shelve(bundles_dir, made_case(), version="1"))
    champion.refresh()
    point_at(bundles_dir, shelve(bundles_dir, made_case(), version="2", **parts))
    for _ in range(3):
        champion.refresh()
    assert champion.scorer.model.version == "1"
    assert score(champion, made_record(leaves=30)) == pytest.approx(0.3, abs=1e-6)
    assert champion.fault is not None
    assert failures(metrics) == 1
    assert reload_failed(metrics, "load") == 1


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_bundle_does_not_stop_a_start(
    champion: ServingChampion, bundles_dir: Path, parts: dict[str, bytes | None]
) -> None:
    point_at(bundles_dir, shelve(bundles_dir, made_case(), **parts))
    champion.refresh()
    assert champion.scorer is None
    assert champion.fault is not None


def test_after_a_broken_one_the_next_good_one_is_taken(
    champion: ServingChampion, bundles_dir: Path, metrics: ServingMetrics
) -> None:
    point_at(bundles_dir, shelve(bundles_dir, made_case(), version="1", model_onnx=b"not a model"))
    champion.refresh()
    point_at(bundles_dir, shelve(bundles_dir, made_case(), version="2"))
    champion.refresh()
    assert (champion.scorer.model.version, champion.fault) == ("2", None)
    assert reload_failed(metrics, "load") == 0


def test_what_the_sidecar_noted_is_said_by_the_server(
    champion: ServingChampion, bundles_dir: Path, metrics: ServingMetrics
) -> None:
    refused = RegistryFault("check", "version 2 was refused: golden.json")
    for fault, fetch, check in ((None, 0, 0), (RegistryFault("fetch", "away"), 1, 0), (refused, 0, 1), (None, 0, 0)):
        SyncFiles(bundles_dir).write_fault(fault)
        champion.refresh()
        assert (reload_failed(metrics, "fetch"), reload_failed(metrics, "check")) == (fetch, check)
    assert failures(metrics) == 1


def test_a_bundle_for_another_case_file_is_refused(champion: ServingChampion, bundles_dir: Path) -> None:
    other = made_case(columns=[{**COLUMNS[0], "help": "Counted twice."}, *COLUMNS[1:]])
    point_at(bundles_dir, shelve(bundles_dir, other))
    champion.refresh()
    assert champion.scorer is None
    assert "made for another garden case file" in champion.fault


def test_a_file_changed_after_it_was_fetched_is_refused(champion: ServingChampion, bundles_dir: Path) -> None:
    registered = shelve(bundles_dir, made_case())
    (bundles_dir / registered.bundle_sha256 / "model.onnx").write_bytes(b"changed")
    point_at(bundles_dir, registered)
    champion.refresh()
    assert champion.scorer is None
    assert "model.onnx: sha256 is" in champion.fault


def test_a_pointer_to_nothing_keeps_the_old_one_serving(champion: ServingChampion, bundles_dir: Path) -> None:
    point_at(bundles_dir, shelve(bundles_dir, made_case()))
    champion.refresh()
    point_at(bundles_dir, RegisteredBundle(MODEL, "f" * 64))
    champion.refresh()
    assert champion.scorer.model == MODEL


@pytest.mark.parametrize(
    "pointer", [b"", b"{}", b'{"name": "\xff"}', b'{"bundle_sha256": "../../etc", "name": "n", "version": "1"}']
)
def test_a_pointer_nobody_can_read_keeps_the_old_one_serving(
    champion: ServingChampion, bundles_dir: Path, metrics: ServingMetrics, pointer: bytes
) -> None:
    point_at(bundles_dir, shelve(bundles_dir, made_case()))
    champion.refresh()
    (bundles_dir / "current").write_bytes(pointer)
    champion.refresh()
    assert champion.scorer.model == MODEL
    assert failures(metrics) == 1
