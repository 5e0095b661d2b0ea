"""Settings of training."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from event_backbone.settings import Settings


class TrainingSettings(Settings):
    """What `train-model` needs to know; its options come before the environment."""

    # Make passes DATA_DIR on even when it was not given.
    model_config = SettingsConfigDict(env_ignore_empty=True)

    data_dir: Path | None = Field(default=None, description="folder of the case's raw files; no other source is tried")
    training_seed: int = Field(default=7, ge=0, description="seed of the split, the folds and the fit")
    training_threads: int = Field(default=2, ge=1, le=64, description="models fitted at once")
    download_timeout_s: float = Field(
        default=3.0, gt=0, description="seconds until a download that doesn't connect gives way to the synthetic sample"
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="where models are registered; an SQLite file in the case's folder if not given"
    )

    @property
    def tracking_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{(self.case_dir / 'mlflow.db').resolve()}"

    @property
    def artifacts_dir(self) -> Path:
        return self.case_dir / "mlartifacts"

    @property
    def downloads_dir(self) -> Path:
        return self.case_dir / "downloads"

    @property
    def sample_path(self) -> Path:
        return self.cases_dir / "samples" / f"{self.case}.json"
