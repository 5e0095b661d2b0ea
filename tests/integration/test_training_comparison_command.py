"""`train-model compare` as people run it, with MLflow in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from weekly_world import write_small_cases

from event_backbone.model.mlflow_registry import mlflow_client

ROOT = Path(__file__).parents[2]


def run_compare(state_dir: Path, *options: str, cases_dir: Path = ROOT / "cases") -> str:
    environment = {**os.environ, "STATE_DIR": str(state_dir), "CASES_DIR": str(cases_dir)}
    command = [sys.executable, "-m", "training", "compare", *options]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def document_of(state_dir: Path, case: str, protocol: str) -> dict[str, Any]:
    path = state_dir / case / "comparison" / protocol / "comparison.json"
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


@pytest.mark.long
def test_it_prints_the_table_and_keeps_nested_runs(tmp_path: Path) -> None:
    cases_dir = write_small_cases(tmp_path / "cases")
    options = ("--case", "housing", "--synthetic", "--family", "linear", "--family", "boosting")
    printed = run_compare(tmp_path, *options, cases_dir=cases_dir)
    assert "SYNTHETIC" in printed
    assert "gradient boosting (chosen)" in printed
    assert "R²" in printed
    client = mlflow_client(f"sqlite:///{tmp_path / 'housing' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("streamgauge-housing-comparison")
    runs = client.search_runs([experiment.experiment_id])
    (whole,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    families = {
        run.data.params["family"] for run in runs if run.data.tags.get("mlflow.parentRunId") == whole.info.run_id
    }
    assert families == {"linear", "boosting"}
    files = {file.path for file in client.list_artifacts(whole.info.run_id)}
    assert {"comparison.json", "comparison.md", "pictures"} <= files


@pytest.mark.long
@pytest.mark.timeout(290)
def test_the_official_protocol_reaches_what_was_published(census_data_dir: Path, tmp_path: Path) -> None:
    """The best published on this split is AUC 0.9283 and accuracy 0.8742; far above that a leak is likelier."""
    options = ("--protocol", "official", "--family", "xgboost", "--balance", "none")
    run_compare(tmp_path, "--case", "census", "--data-dir", str(census_data_dir), *options)
    document = document_of(tmp_path, "census", "official")
    assert document["rows"] == {"fit": 32_561, "test": 16_281}
    assert 0.9275 <= document["test"]["auc"] < 0.931
    assert document["test"]["accuracy"] >= 0.8725
    assert document["test"]["log_loss"] <= 0.2765


@pytest.mark.long
def test_housing_is_explained_on_the_held_out_fifth(housing_data_dir: Path, tmp_path: Path) -> None:
    options = ("--family", "xgboost", "--data-dir", str(housing_data_dir))
    run_compare(tmp_path, "--case", "housing", *options)
    assert document_of(tmp_path, "housing", "split")["test"]["r2"] >= 0.82
