"""Settings of training."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from event_backbone.settings import Settings


class TrainingSettings(Settings):
    """Settings of `train-model`; its options come before the environment."""

    # Make passes DATA_DIR on even when it was not given.
    model_config = SettingsConfigDict(env_ignore_empty=True)

    data_dir: Path | None = Field(
        default=None,
        description="folder of the case's raw files, or of a folder named as the case; no other source is tried",
    )
    training_seed: int = Field(default=7, ge=0, description="seed of the split, the folds and the fit")
    training_threads: int = Field(default=2, ge=1, le=64, description="models fitted at once")
    download_timeout_s: float = Field(
        default=3.0, gt=0, description="seconds until a download that doesn't connect gives way to the synthetic sample"
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="where models are registered; an SQLite file in the case's folder if not given"
    )

    mlflow_artifacts: str | None = Field(
        default=None,
        description="where files of runs go when no MLflow server keeps them: a folder, s3://bucket/path or "
        "gs://bucket/path; mlartifacts in the case's folder if not given",
    )

    @field_validator("mlflow_artifacts")
    @classmethod
    def _place_without_credentials(cls, value: str | None) -> str | None:
        """No credentials in an address: it is logged and kept in the database."""
        parts = urlsplit(value or "")
        if parts.scheme and (parts.scheme not in ("s3", "gs") or not parts.netloc):
            raise ValueError("must be a folder, s3://bucket/path or gs://bucket/path")
        if "@" in parts.netloc or parts.query:
            raise ValueError("holds credentials; they belong in the environment or in a file that it names")
        return value

    @property
    def tracking_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{(self.case_dir / 'mlflow.db').resolve()}"

    @property
    def artifacts_url(self) -> str:
        if self.mlflow_artifacts is None:
            return str((self.case_dir / "mlartifacts").resolve())
        if "://" in self.mlflow_artifacts:
            return f"{self.mlflow_artifacts.rstrip('/')}/{self.case}"
        return str((Path(self.mlflow_artifacts) / self.case).resolve())

    @property
    def raw_dir(self) -> Path | None:
        """The folder of the raw files: ``data_dir``, or the folder in it that is named as the case."""
        own = None if self.data_dir is None else self.data_dir / self.case
        return own if own is not None and own.is_dir() else self.data_dir

    @property
    def downloads_dir(self) -> Path:
        return self.case_dir / "downloads"

    @property
    def expectations_path(self) -> Path:
        return self.cases_dir / f"{self.case}.expectations.yaml"

    @property
    def quality_dir(self) -> Path:
        """The folder of the data quality gate's last results."""
        return self.case_dir / "quality"

    @property
    def sample_path(self) -> Path:
        return self.cases_dir / "samples" / f"{self.case}.json"
