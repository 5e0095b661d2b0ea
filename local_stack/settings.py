"""Settings of ``make run``."""

from __future__ import annotations

import secrets
from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from event_backbone.settings import Settings

#: Comfortable on two cores, with the evaluator at work beside the services.
BOUNDED_RATE = 300.0
#: Slow enough to watch.
ENDLESS_RATE = 50.0


class StackSettings(Settings):
    # `make run` passes RECORDS= and the like on when they are not given.
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    records: int | None = Field(
        default=None, ge=1, description="make run: end after so many records and check that all are accounted for"
    )
    data_dir: Path | None = Field(default=None, description="folder with the case's raw files")
    seed: int | None = Field(
        default=None, ge=0, description="make run: seed of the stream; 0 with RECORDS, drawn without, if not given"
    )
    rate: float | None = Field(
        default=None, gt=0, description="make run: records a second; 300 with RECORDS, 50 without, if not given"
    )
    scenario: str = Field(default="sudden-shift", description="make run: drift to inject")
    prediction_host: str = Field(default="127.0.0.1", description="address to listen on")
    prediction_port: int = Field(default=9696, ge=1, le=65535, description="port to listen on")
    monitoring_host: str = Field(default="127.0.0.1", description="address to listen on")
    monitoring_port: int = Field(default=8085, ge=1, le=65535, description="port to listen on")
    training_host: str = Field(default="127.0.0.1", description="address to listen on")
    training_port: int = Field(default=8090, ge=1, le=65535, description="port to listen on")
    retraining: bool = Field(
        default=False, description="make run: start the training server as well, and retrain when the model loses"
    )

    @property
    def records_per_s(self) -> float:
        return self.rate or (ENDLESS_RATE if self.records is None else BOUNDED_RATE)

    @property
    def stream_seed(self) -> int:
        """Drawn for a run without end: on the state of the run before, the same records again would look like drift."""
        if self.seed is not None:
            return self.seed
        return 0 if self.records is not None else secrets.randbelow(1_000_000)

    @property
    def prediction_url(self) -> str:
        return f"http://{self.prediction_host}:{self.prediction_port}"

    @property
    def monitoring_url(self) -> str:
        return f"http://{self.monitoring_host}:{self.monitoring_port}"

    @property
    def training_url(self) -> str:
        return f"http://{self.training_host}:{self.training_port}"

    @property
    def kept_in(self) -> Path:
        """The folder of this run's state."""
        return self.run_dir or self.case_dir

    @property
    def summary_path(self) -> Path:
        return self.kept_in / "sent.json"
