"""Address and login of MongoDB, from a URL and the settings; no secret is ever shown."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from event_backbone.errors import Fault, SettingsError
from event_backbone.settings import ConnectionSettings

DEFAULT_DATABASE = "streamgauge"


@dataclass(frozen=True)
class MongoAccess:
    """Address and login of a database. ``hosts`` is for people; ``url`` and ``options`` are never shown.

    ``retention_s``: time after which the database forgets records; 0 keeps them.
    """

    hosts: str
    database: str
    timeout_s: float
    retention_s: float
    url: str = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)


def mongo_access(url: str, settings: ConnectionSettings, *, timeout_s: float, place: str = "mongodb") -> MongoAccess:
    """Parse ``mongodb://host[:port][,host…][/database][?options]`` and the settings; nothing is connected.

    Raises:
        SettingsError: naming ``place``, and never what stands in the URL before its hosts.
    """
    from pymongo.errors import ConfigurationError, InvalidName
    from pymongo.uri_parser import parse_uri

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning would show the option's value
            parts = parse_uri(url)
    except (ConfigurationError, InvalidName, ValueError, TypeError):
        message = "is no URL of the form mongodb://host[:port][,host...][/database][?options]"
        raise SettingsError("settings", [Fault(place, "url", message)]) from None
    faults = _faults_of(parts, settings, place)
    if faults:
        raise SettingsError("settings", faults)
    return MongoAccess(
        hosts=",".join(f"{host}:{port}" for host, port in parts["nodelist"]),
        database=parts["database"] or DEFAULT_DATABASE,
        timeout_s=timeout_s,
        retention_s=settings.mongo_retention_s,
        url=url,
        options=_options(settings, timeout_s),
    )


def _faults_of(parts: Mapping[str, Any], settings: ConnectionSettings, place: str) -> list[Fault]:
    faults = []
    if parts["collection"] is not None:
        faults.append(Fault(place, "url", "names a collection; the path of the URL is a database"))
    if (settings.mongo_username is None) != (settings.mongo_password is None):
        faults.append(Fault("MONGO_USERNAME", "login", "MONGO_USERNAME and MONGO_PASSWORD belong together"))
    ca_file = settings.mongo_tls_ca_file
    if settings.mongo_tls and ca_file is not None and not ca_file.is_file():
        faults.append(Fault("MONGO_TLS_CA_FILE", "unreadable", f"{ca_file} is no file"))
    return faults


def _options(settings: ConnectionSettings, timeout_s: float) -> dict[str, Any]:
    timeout_ms = max(1, int(timeout_s * 1000))
    options: dict[str, Any] = {
        "appname": "streamgauge",
        "connect": False,
        "serverSelectionTimeoutMS": timeout_ms,
        "connectTimeoutMS": timeout_ms,
        "socketTimeoutMS": timeout_ms,
        # Every caller repeats what failed, and one that is tried twice in here would take twice the time.
        "retryWrites": False,
        "retryReads": False,
    }
    if settings.mongo_username is not None and settings.mongo_password is not None:
        options["username"] = settings.mongo_username
        options["password"] = settings.mongo_password.get_secret_value()
        options["authSource"] = settings.mongo_auth_source
    if settings.mongo_tls:
        options["tls"] = True
    if settings.mongo_tls and settings.mongo_tls_ca_file is not None:
        options["tlsCAFile"] = str(settings.mongo_tls_ca_file)
    return options
