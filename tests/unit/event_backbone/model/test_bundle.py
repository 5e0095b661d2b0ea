"""The model bundle and the bundle store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from event_backbone.case.files import find_case
from event_backbone.case.schema import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import ModelRef
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import BrokenBundleError, BundleStore, open_bundle, write_bundle
from event_backbone.ports import RegisteredBundle

PARTS = {"model.onnx": b"onnx bytes", "encoder.json": b"{}", "golden.json": b"[]"}
CASES = Path(__file__).parents[4] / "cases"
FILES = ["manifest.json", "case.yaml", *PARTS]


@pytest.fixture
def case() -> Case:
    return find_case("housing", CASES)


@pytest.fixture
def bundle_dir(case: Case, tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", case, PARTS)
    return tmp_path / "bundle"


def _register(registry: MemoryRegistry, bundle_dir: Path) -> RegisteredBundle:
    sha256 = open_bundle(bundle_dir).sha256
    model = registry.register(bundle_dir, sha256, name="streamgauge-housing", alias="champion", run_id="run")
    return RegisteredBundle(model, sha256)


def _flip_a_byte(path: Path) -> None:
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_bundle_reads_back_what_was_written(case: Case, tmp_path: Path) -> None:
    sha256 = write_bundle(tmp_path / "bundle", case, PARTS)
    bundle = open_bundle(tmp_path / "bundle", sha256)
    assert bundle.sha256 == sha256
    assert {name: bundle.read(name) for name in PARTS} == PARTS


@pytest.mark.parametrize("name", ["census", "housing"])
def test_a_bundle_carries_its_case(name: str, tmp_path: Path) -> None:
    case = find_case(name, CASES)
    write_bundle(tmp_path / "bundle", case, PARTS)
    carried = open_bundle(tmp_path / "bundle").case
    assert carried == case
    assert carried.sha256 == case.sha256


def test_the_manifest_says_what_the_bundle_is_for(case: Case, bundle_dir: Path) -> None:
    manifest = json.loads((bundle_dir / "manifest.json").read_bytes())
    assert manifest["format"] == 1
    assert manifest["case"] == "housing"
    assert manifest["task"] == "regression"
    assert manifest["case_sha256"] == case.sha256
    assert sorted(manifest["files"]) == sorted([*PARTS, "case.yaml"])


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_byte_is_named(bundle_dir: Path, name: str) -> None:
    sha256 = open_bundle(bundle_dir).sha256
    _flip_a_byte(bundle_dir / name)
    with pytest.raises(BrokenBundleError, match=name):
        open_bundle(bundle_dir, sha256)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle_dir: Path, name: str) -> None:
    (bundle_dir / name).unlink()
    with pytest.raises(BrokenBundleError, match=name):
        open_bundle(bundle_dir)


def test_a_file_that_changed_after_opening_is_not_read(bundle_dir: Path) -> None:
    bundle = open_bundle(bundle_dir)
    _flip_a_byte(bundle_dir / "model.onnx")
    with pytest.raises(BrokenBundleError, match=r"model\.onnx"):
        bundle.read("model.onnx")


def test_a_file_that_the_manifest_does_not_name_is_not_read(bundle_dir: Path) -> None:
    bundle = open_bundle(bundle_dir)
    (bundle_dir / "extra.json").write_bytes(b"{}")
    with pytest.raises(BrokenBundleError, match=r"extra\.json"):
        bundle.read("extra.json")
    with pytest.raises(BrokenBundleError, match=r"extra\.json: is not in the manifest"):
        open_bundle(bundle_dir)


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "manifest.json", ".hidden", ""])
def test_a_name_that_leads_elsewhere_is_refused(case: Case, bundle_dir: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokenBundleError, match="name of a file"):
        write_bundle(tmp_path / "other", case, {name: b""})
    manifest = json.loads((bundle_dir / "manifest.json").read_bytes())
    manifest["files"][name] = "0" * 64
    (bundle_dir / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BrokenBundleError, match="name of a file"):
        open_bundle(bundle_dir)


@pytest.mark.parametrize("body", [b"no json", b"{}", b"[]"])
def test_what_is_no_manifest_is_refused(bundle_dir: Path, body: bytes) -> None:
    (bundle_dir / "manifest.json").write_bytes(body)
    with pytest.raises(BrokenBundleError, match=r"manifest\.json"):
        open_bundle(bundle_dir)


def test_another_format_is_refused(bundle_dir: Path) -> None:
    manifest = json.loads((bundle_dir / "manifest.json").read_bytes())
    (bundle_dir / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(BrokenBundleError, match="format 2 is unknown"):
        open_bundle(bundle_dir)


def test_a_bundle_store_is_empty_at_first(tmp_path: Path) -> None:
    assert BundleStore(tmp_path / "bundles").current() is None


def test_an_installed_bundle_stands_under_its_digest(bundle_dir: Path, tmp_path: Path) -> None:
    registry, bundles = MemoryRegistry(), BundleStore(tmp_path / "bundles")
    registered = _register(registry, bundle_dir)
    bundle = bundles.install(registered, registry)
    assert bundle.path == bundles.path_of(registered.bundle_sha256) == tmp_path / "bundles" / registered.bundle_sha256
    assert bundle.read("model.onnx") == PARTS["model.onnx"]
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [registered.bundle_sha256]


def test_an_installed_bundle_is_on_disk_whole_before_it_has_its_name(
    bundle_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, bundles = MemoryRegistry(), BundleStore(tmp_path / "bundles")
    registered = _register(registry, bundle_dir)
    synced: list[tuple[Path, bool]] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path, bundles.path_of(registered.bundle_sha256).exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    bundles.install(registered, registry)
    before = {path.name for path, has_its_name in synced if not has_its_name}
    assert before >= {*FILES, "bundle"}
    assert [path for path, has_its_name in synced if has_its_name] == [tmp_path / "bundles"]


def test_an_installed_bundle_needs_no_registry_any_more(bundle_dir: Path, tmp_path: Path) -> None:
    registry, bundles = MemoryRegistry(), BundleStore(tmp_path / "bundles")
    registered = _register(registry, bundle_dir)
    bundles.install(registered, registry)
    registry.away = True
    assert bundles.install(registered, registry).sha256 == registered.bundle_sha256


def test_a_damaged_copy_is_replaced(bundle_dir: Path, tmp_path: Path) -> None:
    registry, bundles = MemoryRegistry(), BundleStore(tmp_path / "bundles")
    registered = _register(registry, bundle_dir)
    _flip_a_byte(bundles.install(registered, registry).path / "model.onnx")
    assert bundles.install(registered, registry).read("model.onnx") == PARTS["model.onnx"]


def test_a_bundle_that_was_tampered_with_in_the_registry_is_not_installed(bundle_dir: Path, tmp_path: Path) -> None:
    registry, bundles = MemoryRegistry(), BundleStore(tmp_path / "bundles")
    sha256 = open_bundle(bundle_dir).sha256
    _flip_a_byte(bundle_dir / "model.onnx")
    model = registry.register(bundle_dir, sha256, name="streamgauge-housing", alias="champion", run_id="run")
    with pytest.raises(BrokenBundleError, match=r"model\.onnx"):
        bundles.install(RegisteredBundle(model, sha256), registry)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_a_bundle_can_not_pass_for_another(bundle_dir: Path, tmp_path: Path) -> None:
    registry, bundles = MemoryRegistry(), BundleStore(tmp_path / "bundles")
    model = _register(registry, bundle_dir).model
    with pytest.raises(BrokenBundleError, match=r"manifest\.json: sha256 is"):
        bundles.install(RegisteredBundle(model, "c" * 64), registry)


def test_nothing_is_left_when_the_registry_is_away(bundle_dir: Path, tmp_path: Path) -> None:
    registry, bundles = MemoryRegistry(), BundleStore(tmp_path / "bundles")
    registered = _register(registry, bundle_dir)
    registry.away = True
    with pytest.raises(TryAgainLaterError):
        bundles.install(registered, registry)
    assert list((tmp_path / "bundles").iterdir()) == []


def test_the_pointer_names_the_current_bundle(tmp_path: Path) -> None:
    bundles = BundleStore(tmp_path / "bundles")
    for version in ("1", "2"):
        bundles.repoint(RegisteredBundle(ModelRef("streamgauge-housing", version), "a" * 64))
    assert bundles.current() == RegisteredBundle(ModelRef("streamgauge-housing", "2"), "a" * 64)
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["current"]
    pointer = json.loads((tmp_path / "bundles" / "current").read_bytes())
    assert pointer == {"bundle_sha256": "a" * 64, "name": "streamgauge-housing", "version": "2"}


def test_a_broken_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / "current").write_bytes(b"half a li")
    with pytest.raises(BrokenBundleError, match="current"):
        BundleStore(tmp_path).current()


@pytest.mark.parametrize("name", ["..", "../../elsewhere", "A" * 64, ""])
def test_a_bundle_name_that_is_no_digest_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokenBundleError, match="must be a sha256"):
        BundleStore(tmp_path).path_of(name)


def test_what_is_said_of_a_digest_is_short(bundle_dir: Path) -> None:
    with pytest.raises(BrokenBundleError) as caught:
        open_bundle(bundle_dir, "a" * 100_000)
    assert len(str(caught.value)) < 2_000
