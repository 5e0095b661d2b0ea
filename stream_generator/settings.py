"""Settings of the generator; most have an option of the same meaning."""

from __future__ import annotations

from pydantic import Field

from event_backbone.settings import ClientSettings, ConnectionSettings


class GeneratorSettings(ClientSettings, ConnectionSettings):
    request_timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="the generator waits this long for an answer"
    )
    give_up_after_s: float = Field(
        default=30.0, gt=0, le=3600, description="the generator tries one request again for this long"
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="where models are registered; an SQLite file in the case's folder if not given"
    )

    @property
    def tracking_uri(self) -> str:
        return self.mlflow_tracking_uri or f"sqlite:///{(self.case_dir / 'mlflow.db').resolve()}"
