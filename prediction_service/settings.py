"""Settings of the prediction service and its sidecar."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from event_backbone.settings import ClientSettings, ConnectionSettings, ListeningSettings, listening_host, split_urls


class ReplicaSettings(ConnectionSettings):
    """Settings of both processes of a replica."""

    sinks: Annotated[list[str], NoDecode] = Field(
        default=["http://127.0.0.1:8085"], description="URLs the journal is relayed to, separated by commas"
    )

    sink_timeout_s: float = Field(default=10.0, gt=0, description="seconds until a sink that doesn't answer is away")

    _split = field_validator("sinks", mode="before")(split_urls)


class ServingSettings(ListeningSettings, ReplicaSettings):
    """Settings of the WSGI server."""

    prediction_host: str = Field(default="127.0.0.1", description="address to listen on")
    prediction_port: int = Field(default=9696, ge=1, le=65535, description="port to listen on")
    durability: Literal["process", "power"] = Field(
        default="process", description="what an answered prediction survives: a dead process, or a power cut as well"
    )
    lane: bool = Field(default=True, description="answer POST /predict in front of Flask")
    max_in_flight: int = Field(default=64, ge=1, le=1000, description="requests in flight at once; above it, 503")
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, description="largest request body")
    max_batch_records: int = Field(default=1000, ge=1, description="most records in one batch")
    journal_max_bytes: int = Field(default=2 * 1024**3, ge=64 * 1024, description="journal size at which 503 begins")
    journal_retention_s: float = Field(
        default=7 * 86400, ge=0, description="delivered rows are kept this long, for repeated ids and replay"
    )
    journal_retention_bytes: int = Field(
        default=1024**3, ge=0, description="delivered rows are trimmed earlier above this journal size"
    )

    prediction_log: str = Field(
        default="",
        description="where GET /predictions reads: this replica's journal if not given, or mongodb://host[/database], "
        "which has what all replicas and workers stored",
    )
    server_threads: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="threads that answer requests; POST /predict has one of its own",
    )

    _listening_host = field_validator("prediction_host")(listening_host)


class WorkerSettings(ListeningSettings, ReplicaSettings):
    """Settings of the Kafka worker."""

    worker_host: str = Field(default="127.0.0.1", description="address of the worker's probes and metrics")
    worker_port: int = Field(default=9697, ge=1, le=65535, description="port of the worker's probes and metrics")
    worker_batch_records: int = Field(
        default=1000, ge=1, le=10_000, description="most messages in one batch; at most three batches are in flight"
    )
    worker_max_invalid_in_a_row: int = Field(
        default=1000, ge=1, description="invalid messages in a row in one partition at which the worker stops"
    )
    worker_session_timeout_s: float = Field(
        default=10.0, ge=1, description="seconds until a worker without heartbeats loses its partitions"
    )

    _listening_host = field_validator("worker_host")(listening_host)


class SidecarSettings(ReplicaSettings):
    """Settings of the sidecar."""

    mlflow_tracking_uri: str | None = Field(
        default=None, description="where models are registered; an SQLite file in the case's folder if not given"
    )
    follow_interval_s: float = Field(default=2.0, gt=0, description="seconds between two reads of the champion alias")
    shadow_alias: str = Field(
        default="",
        pattern="^[A-Za-z0-9_-]{0,100}$",
        description="alias of a version, such as challenger, that scores what is answered as well; none if not given",
    )
    shadow_sinks: Annotated[list[str], NoDecode] = Field(
        default=[], description="URLs that get shadow predictions, separated by commas; SINKS but Kafka if not given"
    )
    relay_batch_rows: int = Field(default=500, ge=1, le=10_000, description="most rows delivered at once")

    _split_shadow_sinks = field_validator("shadow_sinks", mode="before")(split_urls)


class ErasingSettings(ClientSettings, SidecarSettings):
    """Settings of the command that erases: the replica, its key and the sinks."""
