"""The stages over folders: each reads what the one before it left, and all of them do what the flow does."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from training_world import PLAN, TEST_ROWS, RawFiles, made_case, made_parts, made_rows, silent

import training.fitting.challenger
import training.pipeline.stages
from event_backbone.errors import SettingsError
from event_backbone.model.bundle import open_bundle
from training.fitting.cross_validation import CANDIDATES
from training.fitting.onnx import onnx_scores
from training.flow.training_flow import FlowParts, train
from training.pipeline import command
from training.pipeline.command import _parameters, _with_parameters
from training.pipeline.folders import PipelineFolders, load_data
from training.pipeline.model_on_disk import load_model
from training.pipeline.stages import (
    evaluate_model,
    register_model,
    retrieve_data,
    train_model,
    transform_data,
    validate_data,
)

CASE = made_case()
ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing takes longer than all the rest on data this small; it has tests of its own.
    for module in (training.fitting.challenger, training.pipeline.stages):
        monkeypatch.setattr(module, "draw_pictures", lambda *_: {"roc.png": b"png"})


@pytest.fixture
def parts(tmp_path: Path) -> FlowParts:
    return made_parts(tmp_path / "state", data_dir=RawFiles().write(tmp_path / "raw"))


def _run(folders: PipelineFolders, parts: FlowParts) -> None:
    """Every stage but the last."""
    retrieve_data(CASE, folders, parts.places, parts.fetch, silent())
    validate_data(CASE, folders, parts.quality, silent())
    transform_data(CASE, folders, PLAN.seed, silent())
    train_model(CASE, folders, PLAN, silent())
    evaluate_model(CASE, folders, silent())


def test_the_stages_give_the_model_and_the_metrics_of_the_flow(tmp_path: Path, parts: FlowParts) -> None:
    folders = PipelineFolders(tmp_path / "pipeline")
    _run(folders, parts)
    staged = register_model(CASE, folders, parts, silent())
    flowed = train(CASE, PLAN, made_parts(tmp_path / "other", data_dir=tmp_path / "raw"), silent())
    assert staged.evaluated is not None
    assert flowed.evaluated is not None
    assert json.loads(folders.metrics.read_bytes())["test"] == flowed.evaluated.test_metrics
    assert staged.evaluated.onnx == flowed.evaluated.onnx
    assert staged.evaluated.parity == flowed.evaluated.parity


def test_the_last_stage_registers_a_bundle_as_the_flow_does(tmp_path: Path, parts: FlowParts) -> None:
    folders = PipelineFolders(tmp_path / "pipeline")
    _run(folders, parts)
    outcome = register_model(CASE, folders, parts, silent())
    assert outcome.state == "promoted"
    assert parts.bundles.current() == outcome.champion
    bundle = open_bundle(parts.bundles.path_of(outcome.champion.bundle_sha256), outcome.champion.bundle_sha256)
    assert {"model.onnx", "model.ubj", "encoder.json", "reference.parquet", "golden.json"} <= set(bundle.files)
    assert (parts.splits_dir / "stream.jsonl").is_file()


def test_the_same_run_gives_the_same_metrics(tmp_path: Path, parts: FlowParts) -> None:
    first, second = PipelineFolders(tmp_path / "first"), PipelineFolders(tmp_path / "second")
    _run(first, parts)
    _run(second, parts)
    assert first.metrics.read_bytes() == second.metrics.read_bytes()
    assert (first.model / "model.onnx").read_bytes() == (second.model / "model.onnx").read_bytes()


def test_rows_are_split_without_a_loss(tmp_path: Path, parts: FlowParts) -> None:
    folders = PipelineFolders(tmp_path / "pipeline")
    _run(folders, parts)
    data = load_data(folders.splits)
    assert data.sizes() == {"fit": 250, "reference": 100, "gate": 30, "stream": 20, "test": TEST_ROWS}
    numbers = [
        record["number"] for part in (data.fit, data.reference, data.gate, data.stream) for record in part.records
    ]
    assert sorted(numbers) == list(range(400))


def test_a_model_that_was_stored_scores_as_it_did(tmp_path: Path, parts: FlowParts) -> None:
    folders = PipelineFolders(tmp_path / "pipeline")
    _run(folders, parts)
    plan, converted = load_model(folders.model)
    features = converted.model.encoder.encode_rows(made_rows(50, seed=9).records)
    assert np.array_equal(converted.model.model.scores(features), onnx_scores(converted.onnx, features))
    assert plan.seed == PLAN.seed
    assert list(plan.candidates) == list(PLAN.candidates)
    assert converted.model.chosen in converted.model.compared


def test_curves_are_points_that_dvc_plots(tmp_path: Path, parts: FlowParts) -> None:
    folders = PipelineFolders(tmp_path / "pipeline")
    _run(folders, parts)
    with (folders.plots / "roc.csv").open() as file:
        points = [(float(row["false_positive_rate"]), float(row["true_positive_rate"])) for row in csv.DictReader(file)]
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert sorted(points) == points
    with (folders.plots / "classes.csv").open() as file:
        assert {row["actual"] for row in csv.DictReader(file)} == {"yes", "no"}


@pytest.mark.parametrize(
    ("stage", "missing"), [("validate", "retrieve"), ("transform", "validate"), ("train", "transform")]
)
def test_a_stage_without_the_one_before_it_names_that_one(
    tmp_path: Path, parts: FlowParts, stage: str, missing: str
) -> None:
    folders = PipelineFolders(tmp_path / "pipeline")
    run = {
        "validate": lambda: validate_data(CASE, folders, parts.quality, silent()),
        "transform": lambda: transform_data(CASE, folders, 7, silent()),
        "train": lambda: train_model(CASE, folders, PLAN, silent()),
    }
    with pytest.raises(SettingsError, match=f"train-model {missing}"):
        run[stage]()


def test_a_parameter_may_be_set_for_every_candidate() -> None:
    changed = _with_parameters(CANDIDATES, _parameters(["max_depth=3", "eta=0.5"]))
    assert [(one.parameters["max_depth"], one.parameters["eta"]) for one in changed] == [(3, 0.5)] * len(CANDIDATES)


@pytest.mark.parametrize("given", ["max_depth", "max_depth=deep", "depth=3"])
def test_a_parameter_that_is_none_is_refused(given: str) -> None:
    from click import BadParameter

    with pytest.raises(BadParameter, match="depth"):
        _parameters([given])


@pytest.mark.parametrize(("family", "is_told"), [("forest", True), ("xgboost", False), ("best", False)])
def test_it_is_told_when_a_parameter_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family: str, is_told: bool
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(training.pipeline.stages, "train_model", lambda *_: None)
    arguments = ["--case", "census", "--folder", str(tmp_path), "--family", family, "--set", "max_depth=3"]
    ended = CliRunner().invoke(command.train, arguments)
    assert ended.exit_code == 0
    assert ("--set is not used" in ended.output) is is_told


@pytest.mark.parametrize("name", ["census", "housing"])
def test_the_shipped_parameters_are_those_of_train_model(name: str) -> None:
    shipped = yaml.safe_load((ROOT / "params.yaml").read_text())["cases"][name]
    parameters = {one: shipped[one] for one in ("max_depth", "eta")}
    assert _with_parameters(CANDIDATES, parameters) == list(CANDIDATES)
    assert (shipped["source"], shipped["seed"], shipped["family"]) == ("auto", 7, "xgboost")
