"""Promotion and rollback in a registry, and the commands for them."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from training_world import PLAN, RawFiles, made_parts, silent

import training.fitting.challenger
from event_backbone.errors import SettingsError
from event_backbone.events.schema import ModelRef
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import BrokenBundleError
from event_backbone.ports import RegisteredVersion
from training.__main__ import main
from training.flow.training_flow import FlowParts, train
from training.promotion.gate import GateDecision
from training.promotion.registration import promote, record_decision, rollback
from training.versions.listing import print_versions
from training.versions.operations import VersionOperations

RAW = RawFiles()
CASE = RAW.case()
NAME = "streamgauge-fruit"


@pytest.fixture
def registry(tmp_path: Path) -> MemoryRegistry:
    """Four versions; none is champion."""
    registry = MemoryRegistry()
    (tmp_path / "bundle").mkdir()
    for number in range(4):
        registry.register(tmp_path / "bundle", f"{number}" * 64, name=NAME, alias="challenger", run_id="run")
    return registry


def champion(registry: MemoryRegistry) -> str | None:
    found = registry.resolve(NAME, "champion")
    return None if found is None else found.model.version


def tags(registry: MemoryRegistry, version: str) -> dict[str, str]:
    return dict(next(one.tags for one in registry.versions(NAME) if one.model.version == version))


def make_champion(registry: MemoryRegistry, *versions: str) -> None:
    for version in versions:
        promote(registry, ModelRef(NAME, version), by="tester", reason=f"because of {version}")


def test_a_promotion_says_who_when_why_and_what_was_there_before(registry: MemoryRegistry) -> None:
    make_champion(registry, "1", "3")
    assert champion(registry) == "3"
    said = tags(registry, "3")
    assert said.pop("promoted_at").endswith("Z")
    assert said == {"promoted_by": "tester", "promotion_reason": "because of 3", "previous_champion": "1"}
    assert "previous_champion" not in tags(registry, "1")


def test_a_promoted_challenger_is_no_challenger_any_more(registry: MemoryRegistry) -> None:
    make_champion(registry, "2")
    assert registry.resolve(NAME, "challenger") is not None
    make_champion(registry, "4")
    assert registry.resolve(NAME, "challenger") is None


def test_promoting_the_champion_again_keeps_what_was_before_it(registry: MemoryRegistry) -> None:
    make_champion(registry, "1", "2", "2")
    assert tags(registry, "2")["previous_champion"] == "1"


def test_a_rollback_goes_to_the_champion_before_and_again_to_the_one_before_that(registry: MemoryRegistry) -> None:
    make_champion(registry, "1", "3", "4")
    assert rollback(registry, NAME, by="tester", reason="bad") == ModelRef(NAME, "3")
    assert champion(registry) == "3"
    assert tags(registry, "4")["rolled_back_by"] == "tester"
    assert tags(registry, "4")["rollback_reason"] == "bad"
    assert rollback(registry, NAME, by="tester", reason="bad") == ModelRef(NAME, "1")
    with pytest.raises(SettingsError, match="no champion is recorded before version 1"):
        rollback(registry, NAME, by="tester", reason="bad")
    assert champion(registry) == "1"


def test_without_a_champion_there_is_nothing_to_roll_back(registry: MemoryRegistry) -> None:
    with pytest.raises(SettingsError, match="there is no champion"):
        rollback(registry, NAME, by="tester", reason="bad")


def test_the_champion_before_is_recorded_before_the_alias_moves(registry: MemoryRegistry) -> None:
    class DiesError(Exception):
        pass

    class DiesAtTheAlias(MemoryRegistry):
        def set_alias(self, model: ModelRef, alias: str) -> None:
            raise DiesError

    make_champion(registry, "1")
    registry.__class__ = DiesAtTheAlias
    with pytest.raises(DiesError):
        make_champion(registry, "2")
    assert champion(registry) == "1"
    assert tags(registry, "2")["previous_champion"] == "1"


def test_a_decision_is_kept_with_its_numbers(registry: MemoryRegistry) -> None:
    decision = GateDecision(False, ["too little", "too uneven"], {"auc_difference": -0.0123456789, "gate_rows": 2000.0})
    record_decision(registry, ModelRef(NAME, "2"), decision)
    said = tags(registry, "2")
    assert said["decision"] == "refused"
    assert said["decision_reasons"] == "too little; too uneven"
    assert said["gate.auc_difference"] == "-0.0123457"
    assert said["gate.gate_rows"] == "2000"


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowParts:
    """Version 1 is champion, version 2 was refused by the gate and is the challenger."""
    monkeypatch.setattr(training.fitting.challenger, "draw_pictures", lambda *_: {})
    parts = made_parts(tmp_path / "state", data_dir=RAW.write(tmp_path / "raw"))
    assert train(CASE, PLAN, parts, silent()).state == "promoted"
    assert train(CASE, replace(PLAN, seed=8), parts, silent()).state == "refused"
    return parts


def desk_of(parts: FlowParts) -> VersionOperations:
    return VersionOperations(CASE, parts.registry, parts.bundles, "tester")


def present(parts: FlowParts) -> tuple[str, str]:
    """The champion in the registry, and the one on this machine."""
    found, current = parts.registry.resolve(NAME, "champion"), parts.bundles.current()
    assert found is not None
    assert current is not None
    return found.model.version, current.model.version


def test_a_refused_version_takes_force_and_can_be_taken_back(parts: FlowParts) -> None:
    operations = desk_of(parts)
    with pytest.raises(SettingsError, match=r"version 2 was refused: auc changes by .* --force promotes it"):
        operations.promote(None, reason="by hand")
    assert present(parts) == ("1", "1")
    assert operations.promote(None, reason="by hand", force=True).version == "2"
    assert present(parts) == ("2", "2")
    assert operations.rollback(reason="it was worse").version == "1"
    assert present(parts) == ("1", "1")
    with pytest.raises(SettingsError, match="there is no challenger"):
        operations.promote(None, reason="by hand")
    with pytest.raises(SettingsError, match="there is no version 9"):
        operations.promote("9", reason="by hand")


def test_a_version_that_the_gate_let_pass_needs_no_force(parts: FlowParts) -> None:
    operations = desk_of(parts)
    operations.promote("2", reason="by hand", force=True)
    assert operations.promote("1", reason="by hand").version == "1"
    assert present(parts) == ("1", "1")


def test_a_broken_bundle_is_not_promoted_and_not_rolled_back_to(parts: FlowParts) -> None:
    operations = desk_of(parts)
    operations.promote("2", reason="by hand", force=True)
    assert isinstance(parts.registry, MemoryRegistry)
    sha256, files = parts.registry._versions[NAME][0]
    files["model.onnx"] = files["model.onnx"][:-1] + b"?"
    (parts.bundles.path_of(sha256) / "model.onnx").write_bytes(b"broken")
    for undo in (lambda: operations.promote("1", reason="by hand"), lambda: operations.rollback(reason="bad")):
        with pytest.raises(BrokenBundleError, match=r"model\.onnx"):
            undo()
        assert present(parts) == ("2", "2")


def test_a_version_for_another_case_file_is_not_promoted(parts: FlowParts) -> None:
    operations = replace(desk_of(parts), case=RAW.case(title="Fruits"))
    with pytest.raises(BrokenBundleError, match="another fruit case file"):
        operations.promote("2", reason="by hand", force=True)
    assert present(parts) == ("1", "1")


def listed(versions: list[RegisteredVersion]) -> list[str]:
    out = io.StringIO()
    print_versions(CASE, versions, Console(file=out, width=250, highlight=False))
    return out.getvalue().splitlines()


def test_versions_are_listed_with_what_the_gate_measured(parts: FlowParts) -> None:
    operations = desk_of(parts)
    title, head, second, first = listed(list(operations.versions()))
    assert title.strip() == "Fruit: 2 versions"
    assert head.split()[:5] == ["version", "is", "registered", "gate", "AUC"]
    assert second.split()[:2] == ["2", "challenger"]
    assert "refused" in second
    assert "the margin is 0.001" in second
    assert first.split()[:2] == ["1", "champion"]
    assert "promoted" in first
    assert first.rstrip().endswith("gate")
    assert listed([])[0].strip() == "Fruit: 0 versions"


def test_the_commands_say_in_a_line_what_can_not_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "fruit.yaml").write_text(CASE.model_dump_json(), encoding="utf-8")
    for name, value in {"CASES_DIR": tmp_path / "cases", "STATE_DIR": tmp_path / "var"}.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "var" / "fruit").mkdir(parents=True)
    for words, said in ((["promote"], "there is no challenger"), (["rollback"], "there is no champion")):
        monkeypatch.setattr(sys, "argv", ["train-model", *words, "--case", "fruit"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
