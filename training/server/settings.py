"""Settings of the training server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from event_backbone.settings import ListeningSettings, listening_host, words
from training.settings import TrainingSettings


class TrainingServerSettings(ListeningSettings, TrainingSettings):
    """Settings of `train-model serve` beside those of every training."""

    training_host: str = Field(default="127.0.0.1", description="address to listen on")
    training_port: int = Field(default=8090, ge=1, le=65535, description="port to listen on")
    training_log: str | None = Field(
        default=None,
        description="where labelled predictions are: mongodb://host[/database]; the first journal here if not given",
    )
    retraining_alerts: Annotated[list[str], NoDecode] = Field(
        default=["ConceptDrift", "RealisedLoss"], description="alerts that start a retraining"
    )
    retraining_rows: int = Field(
        default=10_000, ge=100, description="newest labelled records that a retraining fits, refers to and decides on"
    )
    retraining_wait_s: float = Field(
        default=600,
        ge=0,
        description="an alert's retraining waits this long for that many records from after the alert began",
    )
    retraining_cooldown_s: float = Field(
        default=3600, ge=0, description="seconds after a retraining in which no other begins"
    )
    retraining_timeout_s: float = Field(default=3600, gt=0, description="a retraining that takes longer is ended")

    _listening_host = field_validator("training_host")(listening_host)
    _split_alerts = field_validator("retraining_alerts", mode="before")(words)

    @property
    def server_dir(self) -> Path:
        """The folder of the runs file."""
        return (self.run_dir or self.case_dir) / "training"

    @property
    def log_url(self) -> str:
        return self.training_log or str(self.journals_dir / "00" / "journal.sqlite")
