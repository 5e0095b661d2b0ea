"""Makes every secret of the stack in containers, once, and gives each service those it needs as files.

Standard library and bcrypt only. What was made stays in ``master/``; each other folder is the volume of one service
and holds copies, or what follows from them, such as digests of API keys. Running it again changes nothing; a secret
that was removed from ``master/`` is made anew::

    python make_secrets.py [--root /secrets] [make]
    python make_secrets.py show operator_api_key
    python make_secrets.py set alert_webhook_url < file
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import bcrypt

MASTER = "master"
#: Where a service's container has its folder.
MOUNTED = "/run/streamgauge-secrets"
#: The name that Prometheus and Alertmanager let in, people and services.
LOGIN_NAME = "streamgauge"
LOGIN_PASSWORDS = ("prometheus_password", "alertmanager_password")
#: bcrypt reads 72 bytes, and Grafana takes a dollar sign for the beginning of a variable.
_LOGIN_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,72}")
#: Owner and group read; the group is how images of others, which run as users of their own, may read theirs.
FILE_MODE = 0o440


def _key() -> str:
    return secrets.token_urlsafe(32)


def _keyfile() -> str:
    """What members of a MongoDB replica set know each other by: at most 1024 characters of base64."""
    return base64.b64encode(secrets.token_bytes(756)).decode("ascii")


def _salt() -> str:
    """Kept, so that the same password has the same hash whenever files are made."""
    return bcrypt.gensalt(rounds=10).decode("ascii")


#: Every secret, and how it is made. An empty one is given by people, or not at all.
MADE: Mapping[str, Callable[[], str]] = {
    "operator_api_key": _key,
    "generator_api_key": _key,
    "monitoring_api_key": _key,
    "training_api_key": _key,
    "alert_training_key": _key,
    "kafka_password": _key,
    "mongo_password": _key,
    "mongo_root_password": _key,
    "mongo_keyfile": _keyfile,
    "grafana_admin_password": _key,
    "prometheus_password": _key,
    "prometheus_salt": _salt,
    "alertmanager_password": _key,
    "alertmanager_salt": _salt,
    "alert_webhook_url": str,
    "alert_slack_url": str,
    "alert_smtp_password": str,
}


def keys_file(known: Mapping[str, str], holders: Mapping[str, str]) -> str:
    """Lines ``name:sha256`` of an API keys file; ``holders`` maps who has a key to the secret that it is."""
    lines = (f"{name}:{hashlib.sha256(known[secret].encode()).hexdigest()}" for name, secret in holders.items())
    return "".join(f"{line}\n" for line in lines)


def login_files(known: Mapping[str, str], service: str) -> dict[str, str]:
    """Password, ``--web.config.file`` of Prometheus or Alertmanager, and ``--http.config.file`` of their own tools.

    See https://prometheus.io/docs/prometheus/latest/configuration/https/; YAML takes JSON.
    """
    name = f"{service}_password"
    hashed = bcrypt.hashpw(known[name].encode(), known[f"{service}_salt"].encode()).decode("ascii")
    headers = {"X-Frame-Options": "deny", "X-Content-Type-Options": "nosniff"}
    asks = {"basic_auth_users": {LOGIN_NAME: hashed}, "http_server_config": {"headers": headers}}
    shows = {"basic_auth": {"username": LOGIN_NAME, "password_file": f"{MOUNTED}/{name}"}}
    return {name: known[name], "web.yml": f"{json.dumps(asks)}\n", "client.yml": f"{json.dumps(shows)}\n"}


def files_for(known: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Service → file → content. Files are called as the settings that read them."""
    prediction_keys = {"operator": "operator_api_key", "generator": "generator_api_key"}
    monitoring_keys = {"operator": "operator_api_key", "replica": "monitoring_api_key"}
    training_keys = {
        "operator": "operator_api_key",
        "monitoring": "training_api_key",
        "alertmanager": "alert_training_key",
    }
    return {
        "replica": {
            **{name: known[name] for name in ("kafka_password", "mongo_password", "monitoring_api_key")},
            "api_keys": keys_file(known, prediction_keys),
        },
        "monitoring": {
            **{name: known[name] for name in ("kafka_password", "training_api_key")},
            "api_keys": keys_file(known, monitoring_keys),
        },
        "training": {"mongo_password": known["mongo_password"], "api_keys": keys_file(known, training_keys)},
        "generator": {"api_key": known["generator_api_key"]},
        "kafka": {"kafka_password": known["kafka_password"]},
        "mongo": {name: known[name] for name in ("mongo_keyfile", "mongo_root_password", "mongo_password")},
        "grafana": {name: known[name] for name in ("grafana_admin_password", "prometheus_password")},
        "prometheus": {
            "alertmanager_password": known["alertmanager_password"],
            **login_files(known, "prometheus"),
        },
        "alertmanager": {
            **{
                name: known[name]
                for name in ("alert_webhook_url", "alert_slack_url", "alert_smtp_password", "alert_training_key")
            },
            **login_files(known, "alertmanager"),
        },
    }


def write_secret(path: Path, content: str) -> None:
    """Replace the file durably and in one step, unless it says so already: databases are made with what it says."""
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        os.fchmod(file.fileno(), FILE_MODE)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make(root: Path) -> None:
    """Make what is missing and give every service its files."""
    known: dict[str, str] = {}
    for name, maker in MADE.items():
        path = root / MASTER / name
        known[name] = path.read_text(encoding="utf-8") if path.is_file() else maker()
        write_secret(path, known[name])
    for service, files in files_for(known).items():
        for name, content in files.items():
            write_secret(root / service / name, content)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path("/secrets"), help="folder of the volumes")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("make", help="make what is missing; the default")
    for name, text in (("show", "print one"), ("set", "take one from standard input and give it to its services")):
        commands.add_parser(name, help=text).add_argument("name", choices=MADE)
    options = parser.parse_args(arguments)
    if options.command == "show":
        sys.stdout.write(f"{(options.root / MASTER / options.name).read_text(encoding='utf-8')}\n")
        return 0
    if options.command == "set":
        given = sys.stdin.read().strip()
        if options.name in LOGIN_PASSWORDS and not _LOGIN_PASSWORD.fullmatch(given):
            parser.error(f"{options.name} takes 16 to 72 letters, digits, - and _")
        write_secret(options.root / MASTER / options.name, given)
    make(options.root)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
