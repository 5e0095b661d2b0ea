"""Training with its artifacts on S3: moto's server in this process, MLflow's own client, no file left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from s3_server import s3_server
from training_world import PLAN, RawFiles, made_parts, silent

import training.fitting.challenger
from event_backbone.errors import SettingsError
from event_backbone.model.bundle import BundleStore
from event_backbone.model.mlflow_registry import MlflowRegistry, mlflow_client
from training.fitting.tracking import MlflowTracker, RunRecord
from training.flow.training_flow import FlowParts, train
from training.versions.operations import VersionOperations

RAW = RawFiles()
CASE = RAW.case()
NAME = "streamgauge-fruit"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A bucket called ``models``; its credentials are in a file, as boto3 reads them."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = made-up\naws_secret_access_key = very-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    with s3_server() as url:
        yield boto3.resource("s3", endpoint_url=url).Bucket("models")


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowParts:
    monkeypatch.setattr(training.fitting.challenger, "draw_pictures", lambda *_: {"roc.png": b"png"})
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    made = made_parts(tmp_path / "state", data_dir=RAW.write(tmp_path / "raw"))
    return replace(made, registry=MlflowRegistry(uri), tracker=MlflowTracker(uri, "s3://models/runs/fruit"))


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_champion_whose_files_are_on_s3_is_trained_fetched_replaced_and_rolled_back(
    bucket: Any, parts: FlowParts, tmp_path: Path
) -> None:
    outcome = train(CASE, PLAN, parts, silent())
    names = {item.key.rpartition("/")[2] for item in bucket.objects.all()}
    assert {"model.onnx", "manifest.json", "model_card.md", "roc.png"} <= names
    assert all(item.key.startswith("runs/fruit/") for item in bucket.objects.all())

    elsewhere = BundleStore(tmp_path / "another-machine")
    assert elsewhere.install(outcome.champion, parts.registry).sha256 == outcome.champion.bundle_sha256

    assert train(CASE, replace(PLAN, seed=8), parts, silent()).state == "refused"
    operations = VersionOperations(CASE, parts.registry, elsewhere, "tester")
    assert operations.promote(None, reason="tried by hand", force=True).version == "2"
    assert operations.rollback(reason="it was worse").version == "1"
    assert [sorted(one.aliases) for one in operations.versions()] == [["champion"], []]
    tags = operations.versions()[1].tags
    assert (tags["decision"], tags["rolled_back_by"]) == ("refused", "tester")
    assert float(tags["gate.gate_rows"]) == 30

    client = mlflow_client(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run_id = client.get_model_version(NAME, "2").run_id
    card = Path(client.download_artifacts(run_id, "model_card.md", str(tmp_path))).read_text()
    assert "**Refused**, compared with version 1" in card
    assert b"very-secret" not in (tmp_path / "mlflow.db").read_bytes()


def test_runs_that_were_begun_elsewhere_are_not_split_over_two_places(tmp_path: Path, bucket: Any) -> None:
    uri, run = f"sqlite:///{tmp_path / 'mlflow.db'}", RunRecord({}, {}, {})
    MlflowTracker(uri, str(tmp_path / "mlartifacts")).record("runs", run)
    with pytest.raises(SettingsError, match=r"they stay there"):
        MlflowTracker(uri, "s3://models/elsewhere").record("runs", run)
    assert list(bucket.objects.filter(Prefix="elsewhere")) == []
