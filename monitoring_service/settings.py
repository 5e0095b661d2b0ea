"""Settings of the monitoring service, beside those of every service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from event_backbone.kafka.access import KafkaAccess, faults_in_kafka_url, kafka_access
from event_backbone.settings import ConnectionSettings, ListeningSettings, listening_host

HTTP_ONLY = "http"

#: Where the runbook is, if no setting says otherwise: a path in the repository.
RUNBOOK = "docs/runbook.md"


class MonitoringServiceSettings(ListeningSettings, ConnectionSettings):
    """Field names in capitals are the environment variables. Limits of drift stand in the case file."""

    monitoring_host: str = Field(default="127.0.0.1", description="address to listen on")
    monitoring_port: int = Field(default=8085, ge=1, le=65535, description="port to listen on")
    monitoring_threads: int = Field(default=4, ge=2, le=64, description="requests worked on at once")
    monitoring_events: str = Field(
        default="http",
        description="where events come from beside POST /events: http (nowhere else), or kafka://HOST:PORT[/NAMESPACE]",
    )
    monitoring_unreadable_limit: int = Field(
        default=100, ge=1, description="unreadable messages in a row in one partition that stop the service"
    )
    monitoring_max_body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, description="largest request body")
    monitoring_max_backlog_rows: int = Field(
        default=20_000, ge=0, description="rows that may wait for their check; above it, 503, and no reading"
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
        default=30,
        gt=0,
        description="seconds of CPU time, or without progress, until an evaluator that doesn't answer is replaced",
    )
    monitoring_scores_every_s: float = Field(
        default=5, ge=0, description="seconds between two computations of Evidently's scores; no verdict needs them"
    )
    monitoring_stale_after_s: float = Field(
        default=15, gt=0, description="the condition stale holds when a due check has waited this long"
    )
    monitoring_history_checks: int = Field(default=2000, ge=10, le=100_000, description="checks kept for the charts")
    monitoring_report_every_rows: int = Field(default=1000, ge=1, description="rows between two Evidently reports")
    monitoring_report_every_s: float = Field(default=60, ge=0, description="seconds between two Evidently reports")
    monitoring_reports_kept: int = Field(
        default=5, ge=1, le=1000, description="Evidently reports kept of each kind: on schedule, on alerts, on demand"
    )
    monitoring_report_retention_s: float = Field(
        default=30 * 86400, ge=60, description="no Evidently report is kept for longer"
    )

    monitoring_webhook_url: SecretStr | None = Field(
        default=None,
        description="where alerts are posted as Alertmanager does; nowhere if not given; through HTTPS_PROXY or "
        "HTTP_PROXY, unless it is on this machine, at TRAINING_URL's host and port or named in NO_PROXY",
    )
    monitoring_alert_time_scale: float = Field(
        default=1, gt=0, le=1, description="shortens every time of the alerts, for tests and demonstrations"
    )
    monitoring_runbook_url: str = Field(default=RUNBOOK, description="where alerts say the runbook is")
    training_url: str | None = Field(
        default=None, description="where the training server is; without it the page can't ask for a retraining"
    )
    training_api_key: SecretStr | None = Field(default=None, description="key to show to the training server")
    retrain_on_alerts: bool = Field(
        default=False, description="notify the training server of alerts; where Alertmanager runs, it does"
    )
    monitoring_public_url: str | None = Field(
        default=None, description="where people reach this service, for links in alerts; host and port if not given"
    )

    _listening_host = field_validator("monitoring_host")(listening_host)

    @field_validator("monitoring_webhook_url")
    @classmethod
    def _http_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if urlsplit(value.get_secret_value()).scheme not in ("http", "https"):
            raise ValueError("must be a URL that begins with http:// or https://")
        return value

    @field_validator("training_url")
    @classmethod
    def _http_training(cls, value: str | None) -> str | None:
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must be a URL that begins with http:// or https://")
        return value or None

    @field_validator("monitoring_events")
    @classmethod
    def _http_or_kafka(cls, value: str) -> str:
        if value == HTTP_ONLY:
            return value
        if not value.startswith("kafka://"):
            raise ValueError("must be http or a URL that begins with kafka://")
        if faults := faults_in_kafka_url(value, place="MONITORING_EVENTS"):
            raise ValueError("; ".join(fault.message for fault in faults))
        return value

    @property
    def kafka(self) -> KafkaAccess | None:
        """The Kafka to read from, if any. Raises :class:`SettingsError` when the login lacks something."""
        if self.monitoring_events == HTTP_ONLY:
            return None
        return kafka_access(self.monitoring_events, self, place="MONITORING_EVENTS")

    @property
    def public_url(self) -> str:
        return self.monitoring_public_url or f"http://{self.monitoring_host}:{self.monitoring_port}/"

    @property
    def accepted_references_dir(self) -> Path:
        return self.monitoring_dir / "references"

    @property
    def reports_dir(self) -> Path:
        return self.monitoring_dir / "reports"
