"""The champion on both sides of a replica: what is broken or out of reach leaves the last good one answering."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import structlog
from prediction_world import COLUMNS, MODEL, made_case, made_record, made_score, servable_parts, shelve
from prometheus_client import CollectorRegistry

from event_backbone.bundle import BundleShelf, write_bundle
from event_backbone.case import Case
from event_backbone.events import ModelRef, encode_json
from event_backbone.memory_registry import MemoryRegistry
from event_backbone.ports import RegisteredBundle
from event_backbone.validation import RecordDecoder
from prediction_service.champion import ChampionFollower, ServingChampion
from prediction_service.metrics import ServingMetrics


class Registry(MemoryRegistry):
    """Counts how often bundles are fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def fetch(self, registered: RegisteredBundle, destination: Path) -> None:
        self.fetched.append(registered.model.version)
        super().fetch(registered, destination)

    def release(self, folder: Path, case: Case, *, sha256: str | None = None) -> None:
        """Register a bundle as the champion, under its digest or another one."""
        digest = write_bundle(folder, case, servable_parts(case))
        self.register(folder, sha256 or digest, name=MODEL.name, alias="champion", run_id="run")


# The sidecar's side ---------------------------------------------------------------------------------------------------


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def shelf(tmp_path: Path) -> BundleShelf:
    return BundleShelf(tmp_path / "bundles")


@pytest.fixture
def follower(registry: Registry, shelf: BundleShelf) -> ChampionFollower:
    return ChampionFollower(registry, shelf, MODEL.name)


def current_version(shelf: BundleShelf) -> str | None:
    registered = shelf.current()
    return registered.model.version if registered else None


def test_before_the_first_champion_nothing_happens(follower: ChampionFollower, shelf: BundleShelf) -> None:
    follower.follow()
    assert shelf.current() is None


def test_the_pointer_follows_the_alias(
    follower: ChampionFollower, registry: Registry, shelf: BundleShelf, tmp_path: Path
) -> None:
    for version in ("1", "2"):
        registry.release(tmp_path / version, made_case())
        follower.follow()
        assert current_version(shelf) == version


def test_a_bundle_that_was_damaged_is_fetched_anew_at_a_start(
    follower: ChampionFollower, registry: Registry, shelf: BundleShelf, tmp_path: Path, metrics: ServingMetrics
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    current = shelf.current()
    assert current is not None
    (shelf.path_of(current.bundle_sha256) / "model.onnx").write_bytes(b"damaged")
    serving = ServingChampion(shelf, made_case(), metrics)
    serving.refresh()
    assert serving.scorer is None

    ChampionFollower(registry, shelf, MODEL.name).follow()
    serving.refresh()
    assert serving.scorer is not None


def test_a_pointer_that_nobody_can_read_is_written_anew(
    follower: ChampionFollower, registry: Registry, shelf: BundleShelf, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    (tmp_path / "bundles" / "current").write_bytes(b"{")
    follower.follow()
    assert current_version(shelf) == "1"


def test_a_champion_that_is_here_already_is_not_fetched_again(
    follower: ChampionFollower, registry: Registry, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    for _ in range(3):
        follower.follow()
    assert registry.fetched == ["1"]


def test_an_outage_of_the_registry_is_one_line_at_its_beginning_and_one_at_its_end(
    registry: Registry, follower: ChampionFollower
) -> None:
    with structlog.testing.capture_logs() as logs:
        registry.away = True
        for _ in range(3):
            follower.follow()
        registry.away = False
        for _ in range(2):
            follower.follow()
    assert [line["event"] for line in logs] == ["registry_away", "registry_back"]


def test_a_registry_that_is_away_leaves_the_last_champion_in_place(
    follower: ChampionFollower, registry: Registry, shelf: BundleShelf, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    registry.release(tmp_path / "2", made_case())
    registry.away = True
    follower.follow()
    assert current_version(shelf) == "1"
    assert shelf.registry_fault()
    registry.away = False
    follower.follow()
    assert current_version(shelf) == "2"
    assert shelf.registry_fault() is None


def test_a_bundle_that_is_not_what_was_registered_is_refused_once(
    follower: ChampionFollower, registry: Registry, shelf: BundleShelf, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    registry.release(tmp_path / "2", made_case(), sha256="e" * 64)
    for _ in range(3):
        follower.follow()
    assert current_version(shelf) == "1"
    assert registry.fetched == ["1", "2"]
    assert (shelf.registry_fault() or "").startswith("version 2 was refused")
    registry.release(tmp_path / "3", made_case())
    follower.follow()
    assert current_version(shelf) == "3"
    assert shelf.registry_fault() is None


# The server's side ----------------------------------------------------------------------------------------------------


@pytest.fixture
def metrics() -> ServingMetrics:
    return ServingMetrics(CollectorRegistry(), made_case())


@pytest.fixture
def bundles_dir(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


@pytest.fixture
def champion(bundles_dir: Path, metrics: ServingMetrics) -> ServingChampion:
    return ServingChampion(BundleShelf(bundles_dir), made_case(), metrics)


def point_at(bundles_dir: Path, registered: RegisteredBundle) -> None:
    BundleShelf(bundles_dir).repoint(registered)


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


def test_a_champion_that_the_sidecar_cant_fetch_is_said_by_the_server(
    champion: ServingChampion, bundles_dir: Path, metrics: ServingMetrics
) -> None:
    assert reload_failed(metrics, "fetch") == 0
    for fault, failed in (("version 2 was refused", 1), (None, 0)):
        BundleShelf(bundles_dir).note_registry_fault(fault)
        champion.refresh()
        assert reload_failed(metrics, "fetch") == failed


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
