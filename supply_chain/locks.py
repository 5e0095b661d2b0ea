"""The lock files, and what they pin."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
#: A pin; its environment marker and its hashes follow.
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


class Pin(NamedTuple):
    """A package in one version, both as PEP 503 and PEP 440 normalise them."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def lock_files() -> list[Path]:
    """Every lock: of the environment, of each image, of the tools."""
    return sorted([*ROOT.glob("*.lock"), *ROOT.glob("containers/locks/*.lock"), *ROOT.glob("supply_chain/*.lock")])


def pins_of(locks: Iterable[Path]) -> dict[Pin, list[str]]:
    """Each pin, for every platform, with the names of the locks that hold it."""
    pins: dict[Pin, list[str]] = {}
    for lock in locks:
        for name, version in _PIN.findall(lock.read_text(encoding="utf-8")):
            pins.setdefault(Pin(canonicalize_name(name), str(Version(version))), []).append(lock.name)
    return dict(sorted(pins.items()))
