"""The sidecar follows an alias: only what was fetched, checked and tried becomes current."""

from __future__ import annotations

import json
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from monitoring_process import poll_until
from prediction_world import COLUMNS, MODEL, made_case, servable_parts
from prometheus_client import CollectorRegistry

from event_backbone.case.schema import Case
from event_backbone.errors import ConflictError, TryAgainLaterError
from event_backbone.events.schema import encode_json
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import BrokenBundleError, BundleStore, write_bundle
from event_backbone.ports import RegisteredBundle
from prediction_service.inference.champion import ServingChampion
from prediction_service.model_sync.alias_follower import AliasFollower
from prediction_service.model_sync.registry_watch import RegistryWatch
from prediction_service.model_sync.sync_files import SyncFiles
from prediction_service.serving.metrics import ServingMetrics
from prediction_service.serving.reloading import Reloading


class Registry(MemoryRegistry):
    """Counts how often bundles are fetched; ``damage`` is done to every folder that is."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.damage: Callable[[Path], None] = lambda _folder: None

    def fetch(self, registered: RegisteredBundle, destination: Path) -> None:
        self.fetched.append(registered.model.version)
        super().fetch(registered, destination)
        self.damage(destination)

    def release(self, folder: Path, case: Case, *, sha256: str | None = None, **parts: bytes) -> None:
        """Register a bundle as the champion, under its digest or another one; ``parts`` as ``golden_json=…``."""
        changed = {name.replace("_", "."): content for name, content in parts.items()}
        digest = write_bundle(folder, case, {**servable_parts(case), **changed})
        self.register(folder, sha256 or digest, name=MODEL.name, alias="champion", run_id="run")


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def bundles(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles")


@pytest.fixture
def follower(registry: Registry, bundles: BundleStore) -> AliasFollower:
    return AliasFollower(registry, bundles, made_case(), MODEL.name, "champion")


def current_version(bundles: BundleStore) -> str | None:
    registered = bundles.current()
    return registered.model.version if registered else None


def test_before_the_first_champion_nothing_happens(follower: AliasFollower, bundles: BundleStore) -> None:
    follower.follow()
    assert bundles.current() is None


def test_the_pointer_follows_the_alias(
    follower: AliasFollower, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    for version in ("1", "2"):
        registry.release(tmp_path / version, made_case())
        follower.follow()
        assert current_version(bundles) == version


def test_a_bundle_that_was_damaged_is_fetched_anew_at_a_start(
    follower: AliasFollower, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    current = bundles.current()
    assert current is not None
    (bundles.path_of(current.bundle_sha256) / "model.onnx").write_bytes(b"damaged")
    sync_files, metrics = SyncFiles(tmp_path / "bundles"), ServingMetrics(CollectorRegistry(), made_case())
    serving = ServingChampion(bundles, sync_files, made_case(), metrics)
    serving.refresh()
    assert serving.scorer is None

    AliasFollower(registry, bundles, made_case(), MODEL.name, "champion").follow()
    serving.refresh()
    assert serving.scorer is not None


def test_a_pointer_that_nobody_can_read_is_written_anew(
    follower: AliasFollower, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    (tmp_path / "bundles" / "current").write_bytes(b"{")
    follower.follow()
    assert current_version(bundles) == "1"


def test_a_champion_that_is_here_already_is_not_fetched_again(
    follower: AliasFollower, registry: Registry, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    for _ in range(3):
        follower.follow()
    assert registry.fetched == ["1"]


def test_an_outage_of_the_registry_is_one_line_at_its_beginning_and_one_at_its_end(
    registry: Registry, follower: AliasFollower
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
    follower: AliasFollower, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    registry.release(tmp_path / "2", made_case())
    registry.away = True
    follower.follow()
    assert current_version(bundles) == "1"
    assert follower.fault is not None
    assert follower.fault.step == "fetch"
    registry.away = False
    follower.follow()
    assert current_version(bundles) == "2"
    assert follower.fault is None


def test_a_bundle_that_is_not_what_was_registered_is_refused_once(
    follower: AliasFollower, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    registry.release(tmp_path / "1", made_case())
    follower.follow()
    registry.release(tmp_path / "2", made_case(), sha256="e" * 64)
    for _ in range(3):
        follower.follow()
    assert current_version(bundles) == "1"
    assert registry.fetched == ["1", "2"]
    assert follower.fault is not None
    assert follower.fault.text.startswith("version 2 was refused")
    registry.release(tmp_path / "3", made_case())
    follower.follow()
    assert current_version(bundles) == "3"
    assert follower.fault is None


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.trace),)


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)


@pytest.fixture
def with_champion(
    follower: AliasFollower, registry: Registry, tmp_path: Path
) -> Callable[[Callable[[], None]], AliasFollower]:
    """Version 1 is current; what a call releases then is looked at."""
    registry.release(tmp_path / "1", made_case())
    follower.follow()

    def after(release: Callable[[], None]) -> AliasFollower:
        release()
        follower.follow()
        return follower

    return after


AfterChampion = Callable[[Callable[[], None]], AliasFollower]


def refusal(follower: AliasFollower, bundles: BundleStore) -> str:
    assert current_version(bundles) == "1"
    assert follower.fault is not None
    assert follower.fault.step == "check"
    return follower.fault.text


def test_one_flipped_byte_is_refused_by_name(
    with_champion: AfterChampion, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    registry.damage = flip_a_byte
    follower = with_champion(lambda: registry.release(tmp_path / "2", made_case()))
    assert "model.onnx: sha256 is" in refusal(follower, bundles)


def test_a_pickle_is_refused_by_name_and_never_loaded(
    with_champion: AfterChampion, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    trace = tmp_path / "exploded"
    bomb = pickle.dumps(Bomb(trace))
    follower = with_champion(lambda: registry.release(tmp_path / "2", made_case(), encoder_json=bomb))
    assert "encoder.json: is a pickle" in refusal(follower, bundles)

    def plant(folder: Path) -> None:
        (folder / "model.pkl").write_bytes(bomb)

    registry.damage = plant
    follower = with_champion(lambda: registry.release(tmp_path / "3", made_case()))
    assert "model.pkl: is not in the manifest" in refusal(follower, bundles)
    assert not trace.exists()


def test_no_bundle_is_written_with_a_file_that_could_be_executed(tmp_path: Path) -> None:
    with pytest.raises(BrokenBundleError, match=r"model\.pkl: only"):
        write_bundle(tmp_path / "2", made_case(), {"model.pkl": b""})


def test_a_bundle_for_another_case_file_never_becomes_current(
    with_champion: AfterChampion, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    other = made_case(columns=[{**COLUMNS[0], "help": "Counted twice."}, *COLUMNS[1:]])
    follower = with_champion(lambda: registry.release(tmp_path / "2", other))
    assert "was made for another garden case file" in refusal(follower, bundles)


def test_golden_rows_are_scored_before_a_bundle_becomes_current(
    with_champion: AfterChampion, registry: Registry, bundles: BundleStore, tmp_path: Path
) -> None:
    golden = json.loads(servable_parts(made_case())["golden.json"])
    wrong = encode_json({**golden, "scores": [value + 0.001 for value in golden["scores"]]})
    follower = with_champion(lambda: registry.release(tmp_path / "2", made_case(), golden_json=wrong))
    assert "does not give the scores of its golden rows" in refusal(follower, bundles)


def test_a_version_that_is_no_bundle_is_refused(
    with_champion: AfterChampion, registry: Registry, bundles: BundleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_name: str, _alias: str) -> RegisteredBundle:
        raise BrokenBundleError("version 2 has no tag")

    follower = with_champion(lambda: monkeypatch.setattr(registry, "resolve", resolve))
    assert "version 2 has no tag" in refusal(follower, bundles)


# Asked to look --------------------------------------------------------------------------------------------------------


class Replica:
    """Both sides, with a sidecar that looks only when it is asked."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        bundles, self.sync_files = BundleStore(folder / "bundles"), SyncFiles(folder / "bundles")
        follower = AliasFollower(registry, bundles, made_case(), MODEL.name, "champion")
        metrics = ServingMetrics(CollectorRegistry(), made_case())
        self.champion = ServingChampion(bundles, self.sync_files, made_case(), metrics)
        self.reloading = Reloading(self.champion, self.sync_files, within_s=20)
        self._stop = threading.Event()
        watch = RegistryWatch(follower, self.sync_files)
        self._thread = threading.Thread(target=lambda: watch.run(self._stop, every_s=3600))

    def __enter__(self) -> Replica:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(20)


def test_a_reload_looks_at_once_and_says_what_answers_now(registry: Registry, tmp_path: Path) -> None:
    with Replica(tmp_path, registry) as replica:
        for version, previous in (("1", None), ("2", "1")):
            registry.release(tmp_path / version, made_case())
            said = replica.reloading.reload()
            model = {"name": MODEL.name, "version": version}
            assert said == {"model": model, "previous": previous, "changed": True}
        assert replica.reloading.reload()["changed"] is False


def test_a_reload_names_what_was_refused_and_tries_it_once_more(registry: Registry, tmp_path: Path) -> None:
    with Replica(tmp_path, registry) as replica:
        registry.release(tmp_path / "1", made_case())
        replica.reloading.reload()
        registry.damage = flip_a_byte
        registry.release(tmp_path / "2", made_case())
        with pytest.raises(ConflictError, match=r"version 2 was refused: .*model\.onnx.*; version 1 answers on"):
            replica.reloading.reload()
        registry.damage = lambda _folder: None  # what was damaged on its way came whole this time
        assert replica.reloading.reload()["model"]["version"] == "2"


def test_a_reload_while_the_registry_is_away_is_for_later(registry: Registry, tmp_path: Path) -> None:
    registry.away = True
    with Replica(tmp_path, registry) as replica, pytest.raises(TryAgainLaterError, match="registry is away"):
        replica.reloading.reload()


def test_a_look_that_fails_in_a_way_nobody_thought_of_is_said_and_the_next_one_is_made(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_name: str, _alias: str) -> RegisteredBundle:
        raise ZeroDivisionError

    registry.release(tmp_path / "1", made_case())
    with Replica(tmp_path, registry) as replica:
        with monkeypatch.context() as patch:
            patch.setattr(registry, "resolve", resolve)
            with pytest.raises(TryAgainLaterError, match="looking at it failed: ZeroDivisionError"):
                replica.reloading.reload()
        assert replica.reloading.reload()["model"] == {"name": MODEL.name, "version": "1"}


def test_a_disk_that_is_full_for_a_moment_ends_no_watch(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    registry.release(tmp_path / "1", made_case())
    with monkeypatch.context() as patch:
        patch.setattr(SyncFiles, "write_fault", full)
        replica = Replica(tmp_path, registry)
        with replica:
            poll_until(lambda: BundleStore(tmp_path / "bundles").current() is not None, 20)
            patch.undo()
            assert replica.reloading.reload()["model"] == {"name": MODEL.name, "version": "1"}


def test_a_reload_without_a_sidecar_is_for_later(registry: Registry, tmp_path: Path) -> None:
    replica = Replica(tmp_path, registry)
    reloading = Reloading(replica.champion, replica.sync_files, within_s=0.1)
    with pytest.raises(TryAgainLaterError, match="no sidecar looked"):
        reloading.reload()
