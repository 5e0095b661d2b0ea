"""Where artifacts go, and which folders are ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_backbone.errors import SettingsError
from event_backbone.settings import read_settings
from training.server.settings import TrainingServerSettings
from training.settings import TrainingSettings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CASE", "fruit")
    return monkeypatch


def test_artifacts_are_in_the_cases_folder_unless_said_otherwise(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert read_settings(TrainingSettings).artifacts_url == str(tmp_path / "fruit" / "mlartifacts")
    environment.setenv("MLFLOW_ARTIFACTS", str(tmp_path / "elsewhere"))
    assert read_settings(TrainingSettings).artifacts_url == str(tmp_path / "elsewhere" / "fruit")


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_bucket_has_a_folder_for_each_case(environment: pytest.MonkeyPatch, scheme: str) -> None:
    environment.setenv("MLFLOW_ARTIFACTS", f"{scheme}://models/streamgauge/")
    assert read_settings(TrainingSettings).artifacts_url == f"{scheme}://models/streamgauge/fruit"


@pytest.mark.parametrize("place", ["http://models/x", "s3:/models", "s3://", "file:///models"])
def test_a_place_of_another_kind_is_refused(environment: pytest.MonkeyPatch, place: str) -> None:
    environment.setenv("MLFLOW_ARTIFACTS", place)
    with pytest.raises(SettingsError, match="must be a folder, s3://bucket/path or gs://bucket/path"):
        read_settings(TrainingSettings)


@pytest.mark.parametrize("place", ["s3://key:very-secret@models/x", "s3://models/x?secret=very-secret"])
def test_credentials_in_an_address_are_refused_and_not_repeated(environment: pytest.MonkeyPatch, place: str) -> None:
    environment.setenv("MLFLOW_ARTIFACTS", place)
    with pytest.raises(SettingsError, match="holds credentials") as raised:
        read_settings(TrainingSettings)
    assert "very-secret" not in str(raised.value)


@pytest.mark.parametrize("run_dir", ["", "runs"])
def test_whatever_is_kept_is_in_a_folder_that_is_closed_to_others(
    environment: pytest.MonkeyPatch, tmp_path: Path, run_dir: str
) -> None:
    environment.setenv("RUN_DIR", run_dir and str(tmp_path / run_dir))
    settings = read_settings(TrainingServerSettings)
    closed = settings.kept_folders
    kept = (
        *(settings.journals_dir, settings.monitoring_dir, settings.server_dir),
        *(settings.bundles_dir, settings.stream_path, settings.downloads_dir, settings.quality_dir),
        *(settings.state_dir / name for name in ("prefect", "replays")),
    )
    assert [path for path in kept if not any(path.is_relative_to(folder) for folder in closed)] == []
    assert not {settings.state_dir, settings.run_dir} & set(closed)
