"""Addresses and login of Kafka; no client is imported here."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from event_backbone.errors import Fault, SettingsError
from event_backbone.settings import ConnectionSettings

DEFAULT_PORT = 9092
_SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,80}")


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Bootstrap servers, the namespace of topics and groups, and the login, which is never shown."""

    servers: tuple[str, ...]
    namespace: str | None = None
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls_ca_file: Path | None = None

    @property
    def shown(self) -> str:
        """For people: the URL, which holds no secrets."""
        return f"kafka://{','.join(self.servers)}{f'/{self.namespace}' if self.namespace else ''}"

    @property
    def client_options(self) -> dict[str, Any]:
        """Options that every client of kafka-python takes."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "security_protocol": self.security_protocol,
            # Away brokers are asked again soon: the library's own default waits for up to 30 s.
            "reconnect_backoff_max_ms": 1000,
        }
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        if self.tls_ca_file is not None:
            options["ssl_cafile"] = str(self.tls_ca_file)
        return options


def is_kafka(url: str) -> bool:
    """Whether an address is that of a Kafka; its parts may be wrong all the same."""
    return url.startswith("kafka:")


def kafka_access(url: str, settings: ConnectionSettings, *, place: str = "KAFKA_URL") -> KafkaAccess:
    """Read ``kafka://host:port,host2:port[/namespace]`` and the KAFKA settings.

    Raises:
        SettingsError: with every fault; ``place`` says where the URL stands. Neither login nor user info is shown.
    """
    faults = [*faults_in_kafka_url(url, place=place), *_faults_in_login(settings)]
    if faults:
        raise SettingsError("settings", faults)
    servers, _, namespace = url.removeprefix("kafka://").partition("/")
    password = settings.kafka_password
    return KafkaAccess(
        servers=tuple(_with_port(server) for server in servers.split(",")),
        namespace=namespace.strip("/") or None,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=password.get_secret_value() if password else None,
        tls_ca_file=settings.kafka_tls_ca_file,
    )


def _with_port(server: str) -> str:
    match = _SERVER.fullmatch(server)
    return server if match and match["port"] else f"{server}:{DEFAULT_PORT}"


def faults_in_kafka_url(url: str, *, place: str) -> list[Fault]:
    """Every fault of a URL; nothing of a user info is repeated."""
    if not url.startswith("kafka://"):
        return [Fault(place, "scheme", "must begin with kafka://")]
    servers, _, namespace = url.removeprefix("kafka://").partition("/")
    faults = []
    if "@" in servers:
        message = "must not hold a login; KAFKA_USERNAME and KAFKA_PASSWORD do"
        return [Fault(place, "login", message)]
    faults += [fault for server in servers.split(",") for fault in _faults_in_server(server, place)]
    if re.search(r"[?#]", namespace):
        faults.append(Fault(place, "options", "takes no options; the KAFKA settings do"))
    elif namespace.strip("/") and not _NAMESPACE.fullmatch(namespace.strip("/")):
        faults.append(Fault(place, "namespace", "its namespace must be 1 to 80 characters of A-Z a-z 0-9 . _ -"))
    return faults


def _faults_in_server(server: str, place: str) -> Iterator[Fault]:
    match = _SERVER.fullmatch(server)
    if not match:
        yield Fault(place, "host", f"{server!r} is no host:port" if server else "names no host")
    elif match["port"] and not 1 <= int(match["port"]) <= 65535:
        yield Fault(place, "port", f"{server!r}: a port is 1 to 65535")


def _faults_in_login(settings: ConnectionSettings) -> Iterator[Fault]:
    if settings.kafka_security_protocol.startswith("SASL"):
        for name in ("kafka_username", "kafka_password"):
            if not getattr(settings, name):
                yield Fault(name.upper(), "missing", f"is needed with {settings.kafka_security_protocol}")
    if settings.kafka_tls_ca_file is not None:
        try:
            ssl.create_default_context(cafile=settings.kafka_tls_ca_file)
        except OSError as error:  # a missing file, and a file that is none, as SSLError
            yield Fault("KAFKA_TLS_CA_FILE", "file", f"can't be read: {error.strerror or 'no certificates in PEM'}")
