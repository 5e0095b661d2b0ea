"""The whole flow on made data, with the registry and the tracker in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from training_world import PLAN, TEST_ROWS, MemoryTracker, OpenGate, RawFiles, made_case, made_parts, silent

import training.fitting.challenger
import training.fitting.cross_validation
from event_backbone.case.records import RecordDecoder, faults_in
from event_backbone.case.schema import Case
from event_backbone.errors import SettingsError, StopError, TryAgainLaterError
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import open_bundle
from event_backbone.ports import RegisteredBundle
from training.data.rows import LabelledRows
from training.fitting.challenger import TrainingPlan
from training.fitting.cross_validation import FittedModel
from training.flow.training_flow import FlowOutcome, FlowParts, train
from training.quality.expectations import Part
from training.quality.gate import Inspection, Unmet

RAW = RawFiles()
CASE = made_case()


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowParts:
    # Drawing takes longer than all the rest on data this small; it has tests of its own.
    monkeypatch.setattr(training.fitting.challenger, "draw_pictures", lambda *_: {"roc.png": b"png"})
    return made_parts(tmp_path / "state", data_dir=RAW.write(tmp_path / "raw"))


def _train(parts: FlowParts, *, plan: TrainingPlan = PLAN, case: Case = CASE, **keeping: bool) -> FlowOutcome:
    return train(case, plan, parts, silent(), **keeping)


def _stream(parts: FlowParts) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (parts.splits_dir / "stream.jsonl").read_bytes().splitlines()]


def _numbers(rows: Sequence[Any]) -> set[int]:
    return {record["number"] for record in rows}


def test_the_champion_is_registered_and_is_in_the_bundle_store(parts: FlowParts) -> None:
    outcome = _train(parts)
    assert parts.registry.resolve("streamgauge-fruit", "champion") == outcome.champion
    assert parts.bundles.current() == outcome.champion
    bundle = open_bundle(parts.bundles.path_of(outcome.champion.bundle_sha256), outcome.champion.bundle_sha256)
    assert bundle.case == CASE


def test_the_run_is_written_down(parts: FlowParts) -> None:
    _train(parts)
    assert isinstance(parts.tracker, MemoryTracker)
    (run,) = parts.tracker.runs
    assert {"auc", "accuracy", "f1", "log_loss", "brier", "validation_auc"} <= set(run.metrics)
    assert {"seed", "rounds", "threshold", "max_depth", "fit_rows"} <= set(run.parameters)
    assert run.pictures == {"roc.png": b"png"}
    assert run.tags["data_source"] == "folder"


def test_nothing_but_the_fit_rows_enters_fitting(parts: FlowParts, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted_on: list[LabelledRows] = []
    real_fit = training.fitting.cross_validation.fit

    def spying_fit(case: Case, rows: LabelledRows, **settings: Any) -> FittedModel:
        fitted_on.append(rows)
        return real_fit(case, rows, **settings)

    monkeypatch.setattr(training.fitting.challenger, "fit", spying_fit)
    outcome = _train(parts)
    (rows,) = fitted_on
    fitted = _numbers(rows.records)
    bundle = open_bundle(parts.bundles.path_of(outcome.champion.bundle_sha256))
    reference = _reference_numbers(bundle.read("reference.parquet"))
    stream = _numbers([row["record"] for row in _stream(parts)])
    test = set(range(1000, 1000 + TEST_ROWS))
    gate = set(range(400)) - fitted - reference - stream
    assert [len(part) for part in (fitted, reference, gate, stream)] == [250, 100, 30, 20]
    assert not fitted & test


def _reference_numbers(parquet: bytes) -> set[int]:
    return set(pq.read_table(io.BytesIO(parquet))["number"].to_pylist())


def test_the_stream_holds_valid_records_and_their_labels(parts: FlowParts) -> None:
    _train(parts)
    decoder = RecordDecoder(CASE)
    for row in _stream(parts):
        assert faults_in(CASE, row["record"]) == []
        decoder.decode(json.dumps(row["record"]).encode())
        assert CASE.is_label(row["label"])
        assert type(row["record"]["weight"]) is int
    assert any(row["record"]["colour"] is None for row in _stream(parts))


def test_the_note_beside_the_stream_says_what_the_data_were(parts: FlowParts) -> None:
    _train(parts)
    note = json.loads((parts.splits_dir / "source.json").read_bytes())
    assert note["source"] == "folder"
    assert note["synthetic"] is False
    assert sorted(note["digests"]) == ["fruit.data", "fruit.test"]
    assert note["rows"] == {"fit": 250, "reference": 100, "gate": 30, "stream": 20, "test": TEST_ROWS}


def test_what_is_in_the_bundle_names_no_path_of_this_machine(parts: FlowParts, tmp_path: Path) -> None:
    outcome = _train(parts)
    for path in parts.bundles.path_of(outcome.champion.bundle_sha256).iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()


def test_a_champion_that_is_as_wanted_is_left_in_place(parts: FlowParts) -> None:
    first = _train(parts)
    again = _train(parts, if_needed=True)
    assert again.evaluated is None
    assert again.champion == first.champion


def test_training_anyway_makes_another_version_that_has_to_be_better(parts: FlowParts) -> None:
    assert _train(parts).champion.model.version == "1"
    again = _train(parts)
    assert (again.state, _version(again.challenger), _version(again.champion)) == ("refused", "2", "1")
    assert parts.registry.resolve("streamgauge-fruit", "challenger") == again.challenger
    assert parts.registry.resolve("streamgauge-fruit", "champion") == again.champion


def test_another_seed_asks_for_another_challenger_once(parts: FlowParts) -> None:
    _train(parts)
    other = replace(PLAN, seed=8)
    assert _version(_train(parts, plan=other, if_needed=True).challenger) == "2"
    assert _train(parts, plan=other, if_needed=True).state == "unchanged"


def test_a_refused_challenger_leaves_champion_pointer_and_stream_as_they_were(parts: FlowParts) -> None:
    first = _train(parts)
    before = _stream(parts)
    assert _train(parts, plan=replace(PLAN, seed=8)).state == "refused"
    assert parts.bundles.current() == first.champion
    assert _stream(parts) == before


def test_a_better_challenger_becomes_the_champion(parts: FlowParts) -> None:
    # 30 gate rows make nothing certain, so little is asked for.
    case = RAW.case(training={"promotion": {"confidence": 0.6, "calibration": 1, "segment": 1}})
    poor = replace(PLAN, candidates=[replace(PLAN.candidates[0], parameters={"max_depth": 1, "eta": 1e-6})])
    first = _train(parts, plan=poor, case=case)
    second = _train(parts, case=case)
    assert (second.state, _version(second.champion)) == ("promoted", "2")
    assert parts.bundles.current() == second.champion == parts.registry.resolve("streamgauge-fruit", "champion")
    assert parts.registry.resolve("streamgauge-fruit", "challenger") is None
    tags = {one.model.version: one.tags for one in parts.registry.versions("streamgauge-fruit")}["2"]
    assert tags["previous_champion"] == first.champion.model.version
    assert tags["promoted_by"] == "gate"
    assert float(tags["gate.auc_difference_lower"]) > float(tags["gate.margin"]) > 0


def test_the_run_has_a_card_that_says_why(parts: FlowParts) -> None:
    _train(parts)
    refused = _train(parts)
    assert isinstance(parts.tracker, MemoryTracker)
    first, second = (run.documents["model_card.md"].decode() for run in parts.tracker.runs)
    assert "**Promoted**, compared with no champion" in first
    assert "**Refused**, compared with version 1" in second
    assert refused.decision is not None
    assert f"- {refused.decision.reasons[0]}" in second
    assert "| auc | " in second
    assert "| gate rows | 30 |" in second


def _version(registered: RegisteredBundle | None) -> str | None:
    return None if registered is None else registered.model.version


def test_another_case_file_asks_for_another_champion(parts: FlowParts) -> None:
    _train(parts)
    assert _train(parts, case=RAW.case(title="Fruits"), if_needed=True).champion.model.version == "2"


def test_other_data_ask_for_another_champion(parts: FlowParts, tmp_path: Path) -> None:
    _train(parts)
    changed = RawFiles(train=RAW.train + b"\n")
    changed.write(tmp_path / "raw")
    assert _train(parts, case=changed.case(), if_needed=True).champion.model.version == "2"


def test_any_champion_of_the_case_file_is_kept_where_only_a_first_one_is_wanted(parts: FlowParts) -> None:
    first = _train(parts, plan=replace(PLAN, seed=8), if_none=True)
    before = _stream(parts)
    again = _train(parts, if_none=True)
    assert again.champion == first.champion
    assert again.evaluated is None
    assert _stream(parts) == before


def test_a_first_champion_is_made_for_another_case_file(parts: FlowParts) -> None:
    _train(parts)
    assert _train(parts, case=RAW.case(title="Fruits"), if_none=True).champion.model.version == "2"


def test_a_stream_that_was_deleted_is_written_again_without_training(parts: FlowParts) -> None:
    _train(parts)
    before = _stream(parts)
    (parts.splits_dir / "stream.jsonl").unlink()
    assert _train(parts, if_needed=True).evaluated is None
    assert _stream(parts) == before


def test_a_champion_that_is_broken_is_replaced(parts: FlowParts) -> None:
    first = _train(parts)
    assert isinstance(parts.registry, MemoryRegistry)
    _, files = parts.registry._versions["streamgauge-fruit"][0]
    files["model.onnx"] = b"broken"
    (parts.bundles.path_of(first.champion.bundle_sha256) / "model.onnx").write_bytes(b"broken")
    assert _train(parts, if_needed=True).champion.model.version == "2"


def test_a_registry_that_is_away_leaves_everything_as_it_was(parts: FlowParts) -> None:
    first = _train(parts)
    before = _stream(parts)
    assert isinstance(parts.registry, MemoryRegistry)
    parts.registry.away = True
    with pytest.raises(TryAgainLaterError):
        _train(parts, plan=replace(PLAN, seed=8))
    assert parts.bundles.current() == first.champion
    assert _stream(parts) == before


def test_a_conversion_that_scores_otherwise_registers_nothing(
    parts: FlowParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.fitting.challenger, "onnx_scores", lambda onnx, features: [0.5] * len(features))
    with pytest.raises(StopError, match="nothing is registered"):
        _train(parts)
    assert parts.registry.resolve("streamgauge-fruit", "champion") is None


class _ShutGate:
    """A quality gate that nothing passes."""

    def inspect(self, case: Case, parts: Mapping[Part, LabelledRows]) -> Inspection:
        unmet = Unmet("expect_miracles(weight)", "train", "critical", "none")
        return Inspection(tried=1, unmet=[unmet], folder=Path("kept"))


def test_rows_that_fail_an_expectation_register_nothing(parts: FlowParts) -> None:
    with pytest.raises(SettingsError, match=r"^validate: (.|\n)*expect_miracles\(weight\)"):
        _train(replace(parts, quality=_ShutGate()))
    assert parts.registry.versions("streamgauge-fruit") == []
    assert parts.bundles.current() is None


def test_every_row_that_a_model_comes_from_goes_through_the_quality_gate(parts: FlowParts) -> None:
    _train(parts)
    assert isinstance(parts.quality, OpenGate)
    assert [{part: len(rows) for part, rows in one.items()} for one in parts.quality.inspected] == [
        {"train": 400, "test": TEST_ROWS}
    ]


def test_a_champion_that_stays_needs_no_quality_gate(parts: FlowParts) -> None:
    _train(parts)
    _train(replace(parts, quality=_ShutGate()), if_needed=True)


def test_the_gate_s_results_are_kept_with_the_run(parts: FlowParts, tmp_path: Path) -> None:
    _train(parts)
    assert isinstance(parts.tracker, MemoryTracker)
    assert parts.tracker.runs[0].folders == {"quality": tmp_path / "state" / "quality"}


def test_it_says_where_the_data_came_from(parts: FlowParts, tmp_path: Path) -> None:
    said: list[str] = []
    train(CASE, PLAN, parts, said.append)
    assert said[0] == f"data: the files in {tmp_path / 'raw'}"
