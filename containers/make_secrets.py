"""Makes every secret of the stack in containers, once, and gives each service those it needs as files.

Standard library only. What was made stays in ``master/``; each other folder is the volume of one service and holds
copies, or what follows from them, such as digests of API keys. Running it again changes nothing; a secret that was
removed from ``master/`` is made anew::

    python make_secrets.py [--root /secrets] [make]
    python make_secrets.py show operator_api_key
    python make_secrets.py set alert_webhook_url < file
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

MASTER = "master"
#: Owner and group read; the group is how images of others, which run as users of their own, may read theirs.
FILE_MODE = 0o440


def _key() -> str:
    return secrets.token_urlsafe(32)


def _keyfile() -> str:
    """What members of a MongoDB replica set know each other by: at most 1024 characters of base64."""
    return base64.b64encode(secrets.token_bytes(756)).decode("ascii")


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
    "alert_webhook_url": str,
    "alert_slack_url": str,
    "alert_smtp_password": str,
}


def keys_file(known: Mapping[str, str], holders: Mapping[str, str]) -> str:
    """Lines ``name:sha256`` of an API keys file; ``holders`` maps who has a key to the secret that it is."""
    lines = (f"{name}:{hashlib.sha256(known[secret].encode()).hexdigest()}" for name, secret in holders.items())
    return "".join(f"{line}\n" for line in lines)


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
        "grafana": {"grafana_admin_password": known["grafana_admin_password"]},
        "alertmanager": {
            name: known[name]
            for name in ("alert_webhook_url", "alert_slack_url", "alert_smtp_password", "alert_training_key")
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
        write_secret(options.root / MASTER / options.name, sys.stdin.read().strip())
    make(options.root)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
