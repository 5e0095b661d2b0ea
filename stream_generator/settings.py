"""Settings of the generator; most have an option of the same meaning."""

from __future__ import annotations

from pydantic import Field

from event_backbone.settings import ClientSettings


class GeneratorSettings(ClientSettings):
    request_timeout_s: float = Field(
        default=10.0, gt=0, le=300, description="the generator waits this long for an answer"
    )
    give_up_after_s: float = Field(
        default=30.0, gt=0, le=3600, description="the generator tries one request again for this long"
    )
