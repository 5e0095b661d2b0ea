"""Settings of the monitoring service, beside the ones every service has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from event_backbone.settings import ListeningSettings, listening_host


class MonitoringServiceSettings(ListeningSettings):
    """Field names in capitals are the environment variables. What counts as drift stands in the case file."""

    monitoring_host: str = Field(default="127.0.0.1", description="address to listen on")
    monitoring_port: int = Field(default=8085, ge=1, le=65535, description="port to listen on")
    monitoring_threads: int = Field(default=4, ge=2, le=64, description="requests worked on at once")
    monitoring_max_body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, description="largest request body")
    monitoring_max_backlog_rows: int = Field(
        default=20_000, ge=0, description="rows that may wait for their check; above it, 503"
    )
    monitoring_durability: Literal["process", "power"] = Field(
        default="process", description="what an accepted event survives: a dead process, or a power cut as well"
    )
    monitoring_retention_s: float = Field(
        default=30 * 86400, ge=60, description="ids are remembered this long, and labels may arrive this late"
    )
    monitoring_unmatched_after_s: float = Field(
        default=86400, ge=0, description="a label without its prediction is counted as unmatched after this time"
    )
    monitoring_evaluation_timeout_s: float = Field(
        default=30, gt=0, description="seconds until an evaluator that doesn't answer is replaced"
    )
    monitoring_stale_after_s: float = Field(
        default=15, gt=0, description="the condition stale holds when a due check has waited this long"
    )
    monitoring_history_checks: int = Field(default=2000, ge=10, le=100_000, description="checks kept for the charts")
    monitoring_report_every_rows: int = Field(default=1000, ge=1, description="rows between two Evidently reports")
    monitoring_report_every_s: float = Field(default=60, ge=0, description="seconds between two Evidently reports")
    monitoring_reports_kept: int = Field(default=5, ge=1, le=1000, description="Evidently reports kept")

    _listening_host = field_validator("monitoring_host")(listening_host)
