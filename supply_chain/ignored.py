"""Findings that are known and do not touch us: each with a reason, and for so long."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import msgspec

from supply_chain.locks import ROOT

IGNORED_FILE = ROOT / "supply_chain" / "ignored.toml"


class Ignored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A finding that counts again from ``until`` on."""

    id: str
    package: str
    reason: str
    until: datetime.date


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    ignored: list[Ignored] = []


def read_ignored(path: Path = IGNORED_FILE) -> list[Ignored]:
    """Raises :class:`msgspec.ValidationError` for a file of another shape."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Document).ignored
