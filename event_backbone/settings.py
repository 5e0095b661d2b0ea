"""Settings of every service, read from the environment (and ``.env``); all faults are reported at once.

A secret may stand in a file instead: ``SECRETS_DIR`` names a folder whose files are called as the settings are, in
small letters, such as ``mongo_password``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from event_backbone.case.files import find_case
from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError

SomeSettings = TypeVar("SomeSettings", bound="Settings")

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class Settings(BaseSettings):
    """Settings common to every service. Field names in capitals are the environment variables."""

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
        """The folder of this case's state: the name of the case below ``state_dir``."""
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
    def kept_folders(self) -> tuple[Path, ...]:
        """Folders of ours; everything that is kept is in one of them. Those that are named may hold others' as well."""
        in_run_dir = [self.run_dir / name for name in ("journals", "monitoring", "training")] if self.run_dir else []
        return (self.case_dir, self.state_dir / "prefect", self.state_dir / "replays", *in_run_dir)

    @property
    def stream_path(self) -> Path:
        """The stream split, one JSON object a line: ``{"record": {...}, "label": ...}``."""
        return self.case_dir / "splits" / "stream.jsonl"


_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F:]+")


def words(value: object) -> object:
    """Words separated by commas."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


class ListeningSettings(Settings):
    """Settings of a service that listens: who may send requests."""

    api_keys_file: Path | None = Field(
        default=None, description="file of API keys (name:sha256[:expires] a line); with it, requests need a key"
    )
    allowed_hosts: Annotated[list[str], NoDecode] = Field(
        default=[], description="names and addresses that requests may call this service by, beside those of loopback"
    )

    _split_hosts = field_validator("allowed_hosts", mode="before")(words)

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _no_file(cls, value: object) -> object:
        return value or None

    @field_validator("allowed_hosts")
    @classmethod
    def _only_names(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not _HOST_NAME.fullmatch(host):
                raise ValueError(f"{host!r} is no host: give names or addresses without scheme, port or brackets")
        return [host.lower() for host in hosts]


def listening_host(host: str, info: ValidationInfo) -> str:
    """The rule for every address that a service with API keys listens on."""
    if host in LOOPBACK_HOSTS:
        return host
    lacking = [name.upper() for name in ("api_keys_file", "allowed_hosts") if not info.data.get(name, "faulty")]
    if lacking or not host:
        needed = " and ".join(lacking) or "an address"
        raise ValueError(f"{host!r} is not a loopback address; listening elsewhere needs {needed}")
    return host


class ClientSettings(Settings):
    """Address of a prediction service."""

    prediction_url: str = Field(default="http://127.0.0.1:9696", description="where the prediction service answers")
    api_key: SecretStr | None = Field(default=None, description="key to show to the prediction service")


class ConnectionSettings(Settings):
    """Logins of Kafka and MongoDB; their addresses are URLs elsewhere. Passwords are never shown."""

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


_BEGINS_URL = re.compile(r"\s*[a-z][a-z0-9+.-]*://")


def split_urls(value: object) -> object:
    """URLs separated by commas; a URL may hold commas itself, between the hosts of a cluster."""
    if not isinstance(value, str):
        return value
    urls: list[list[str]] = [[]]
    for part in value.split(","):
        if _BEGINS_URL.match(part):
            while urls[-1] and not urls[-1][-1].strip():
                urls[-1].pop()
            urls.append([])
        urls[-1].append(part)
    return [url for parts in urls if (url := ",".join(parts).strip())]


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
