"""What the two sides of a replica leave for each other beside the bundles: small files, durable in one step.

The sidecar notes why the registry's champion can't be had, and which version shadows; the server asks it to look at the
registry at once, and reads when it has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import uuid_utils
from msgspec import Struct

from event_backbone.process.files import replace_file

SomeNote = TypeVar("SomeNote", bound=Struct)


class RegistryFault(Struct, frozen=True):
    """``fetch``: the registry is away; ``check``: what it holds was refused."""

    step: Literal["fetch", "check"]
    text: str


class ShadowNote(Struct, frozen=True):
    """The version that shadows, if any does, and why it is not the one that has the alias."""

    version: str | None
    fault: str | None


class SyncFiles:
    """Thread-safe, and safe between processes: the last word stands."""

    def __init__(self, bundles_dir: Path) -> None:
        self._fault = bundles_dir / "registry-fault"
        self._shadow = bundles_dir / "shadow-note"
        self._asked = bundles_dir / "look-asked"
        self._answered = bundles_dir / "look-answered"

    def write_fault(self, fault: RegistryFault | None) -> None:
        """Say why the registry's champion can't be had, or that nothing stands in its way."""
        _note(self._fault, fault)

    def fault(self) -> RegistryFault | None:
        """What the sidecar said last; ``None`` when all is well, or nobody follows the registry."""
        return _noted(self._fault, RegistryFault)

    def note_shadow(self, shadow: ShadowNote | None) -> None:
        """Say who shadows, or that nobody is meant to."""
        _note(self._shadow, shadow)

    def shadow(self) -> ShadowNote | None:
        return _noted(self._shadow, ShadowNote)

    def ask(self) -> str:
        """Ask for a look at the registry; the token that :meth:`answered` gives once that was done."""
        token = str(uuid_utils.uuid7())
        replace_file(self._asked, token.encode(), durable=True)
        return token

    def open_request(self) -> str | None:
        """The token of a look that was asked for and not made yet."""
        asked = _read(self._asked)
        return asked.decode(errors="replace") if asked and asked != _read(self._answered) else None

    def answer(self, token: str) -> None:
        replace_file(self._answered, token.encode(), durable=True)

    def answered(self) -> str | None:
        body = _read(self._answered)
        return body.decode(errors="replace") if body else None


def _note(path: Path, note: Struct | None) -> None:
    """Written when it changes only: it is said every few seconds."""
    body = None if note is None else msgspec.json.encode(note)
    if body is None:
        path.unlink(missing_ok=True)
    elif body != _read(path):
        replace_file(path, body, durable=True)


def _noted(path: Path, kind: type[SomeNote]) -> SomeNote | None:
    body = _read(path)
    try:
        return msgspec.json.decode(body, type=kind) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # of another version of this program; the next look says it anew


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
