"""Settings every service has, read from the environment (and ``.env``); all faults are reported at once.

A secret may stand in a file instead: ``SECRETS_DIR`` names a folder whose files are called as the settings are, in
small letters, such as ``mongo_password``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from event_backbone.case import Case, find_case
from event_backbone.errors import Fault, SettingsError

SomeSettings = TypeVar("SomeSettings", bound="Settings")

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


def loopback_only(host: str) -> str:
    """The rule for every address that a service listens on."""
    if host not in LOOPBACK_HOSTS:
        raise ValueError(
            f"{host!r} is not a loopback address; listening elsewhere needs API keys, "
            "which this version does not have yet"
        )
    return host


class Settings(BaseSettings):
    """What every service needs to know. Field names in capitals are the environment variables."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    case: str = Field(default="census", description="name of the case file, without .yaml")
    cases_dir: Path = Field(default=Path("cases"), description="folder of the case files")
    state_dir: Path = Field(default=Path("var"), description="folder for everything the services keep")
    run_dir: Path | None = Field(
        default=None,
        description="folder for journals and monitoring state; the case's folder below STATE_DIR if not given",
    )
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level logged")

    @field_validator("run_dir", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        """``RUN_DIR=`` must not mean the working directory."""
        return value or None

    def load_case(self) -> Case:
        return find_case(self.case, self.cases_dir)

    @property
    def case_dir(self) -> Path:
        """Where this case's state lives: the name of the case below ``state_dir``."""
        return self.state_dir / self.case

    @property
    def bundles_dir(self) -> Path:
        return self.case_dir / "bundles"

    @property
    def journals_dir(self) -> Path:
        return (self.run_dir or self.case_dir) / "journals"

    @property
    def monitoring_dir(self) -> Path:
        return (self.run_dir or self.case_dir) / "monitoring"

    @property
    def stream_path(self) -> Path:
        """The stream split, one JSON object a line: ``{"record": {...}, "label": ...}``."""
        return self.case_dir / "splits" / "stream.jsonl"


class ConnectionSettings(Settings):
    """How to reach Kafka and MongoDB; their addresses are URLs elsewhere. Passwords are never shown."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how to talk to Kafka's brokers"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how to log in to Kafka, with SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_username: str | None = Field(default=None, description="name to log in to Kafka with")
    kafka_password: SecretStr | None = Field(default=None, description="password to log in to Kafka with")
    kafka_tls_ca_file: Path | None = Field(
        default=None, description="certificates that sign Kafka's, in PEM; the system's if not given"
    )
    mongo_username: str | None = Field(default=None, description="name to log in to MongoDB with")
    mongo_password: SecretStr | None = Field(default=None, description="password to log in to MongoDB with")
    mongo_auth_source: str = Field(default="admin", description="database that knows the MongoDB user")
    mongo_tls: bool = Field(default=False, description="talk to MongoDB over TLS")
    mongo_tls_ca_file: Path | None = Field(
        default=None, description="certificates that sign MongoDB's, in PEM; the system's if not given"
    )
    mongo_retention_s: float = Field(
        default=0.0, ge=0, description="MongoDB forgets predictions and labels after this time; 0 keeps them"
    )
    monitoring_api_key: SecretStr | None = Field(
        default=None, description="key that the sidecar shows to a monitoring service"
    )


_BETWEEN_URLS = re.compile(r"(?:\s*,)+(?=\s*[a-z][a-z0-9+.-]*://)")


def split_urls(value: object) -> object:
    """URLs separated by commas; a URL may hold commas itself, between the hosts of a cluster."""
    return [url.strip() for url in _BETWEEN_URLS.split(value) if url.strip()] if isinstance(value, str) else value


def read_settings(kind: type[SomeSettings]) -> SomeSettings:
    """Build settings from the environment; raise :class:`SettingsError` with every fault by variable name."""
    try:
        return kind(_secrets_dir=os.environ.get("SECRETS_DIR") or None)  # type: ignore[call-arg]  # pydantic-settings'
    except ValidationError as error:
        faults = [
            Fault(
                "_".join(str(step) for step in item["loc"]).upper(),
                item["type"],
                item["msg"].removeprefix("Value error, "),
            )
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise SettingsError("settings", faults) from None
