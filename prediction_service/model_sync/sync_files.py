"""Files by which the two processes of a replica agree about models, beside the bundles; each is replaced in one step.

The sidecar writes why the registry's champion can't be used, and which version shadows; the server asks it to read the
registry at once, and sees when that was done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import uuid_utils
from msgspec import Struct

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.process.files import replace_file

SomeStatus = TypeVar("SomeStatus", bound=Struct)


class RegistryFault(Struct, frozen=True):
    """``fetch``: the registry is away; ``check``: what it holds was refused."""

    step: Literal["fetch", "check"]
    text: str


class ShadowStatus(Struct, frozen=True):
    """The shadow's version, if there is one, and why it is not the version that has the alias."""

    version: str | None
    fault: str | None


class SyncFiles:
    """Thread-safe, and safe between processes: the last write stands."""

    def __init__(self, bundles_dir: Path) -> None:
        self._fault = bundles_dir / "registry-fault"
        self._shadow = bundles_dir / "shadow-note"
        self._request = bundles_dir / "look-asked"
        self._acknowledged = bundles_dir / "look-answered"

    def write_fault(self, fault: RegistryFault | None) -> None:
        """Write why the registry's champion can't be used, or ``None`` where nothing is wrong."""
        _write(self._fault, fault)

    def fault(self) -> RegistryFault | None:
        """The fault written last; ``None`` when all is well, or nobody follows the registry."""
        return _status_in(self._fault, RegistryFault)

    def write_shadow(self, shadow: ShadowStatus | None) -> None:
        """Write the shadow's status, or ``None`` where no shadow is configured."""
        _write(self._shadow, shadow)

    def shadow(self) -> ShadowStatus | None:
        return _status_in(self._shadow, ShadowStatus)

    def request_sync(self) -> str:
        """Ask the sidecar to read the registry now; the token that :meth:`acknowledged` gives once that was done."""
        token = str(uuid_utils.uuid7())
        replace_file(self._request, token.encode(), durable=True)
        return token

    def pending_request(self) -> str | None:
        """The token of a request that is not acknowledged yet."""
        asked = _read(self._request)
        return asked.decode(errors="replace") if asked and asked != _read(self._acknowledged) else None

    def acknowledge(self, token: str) -> None:
        replace_file(self._acknowledged, token.encode(), durable=True)

    def acknowledged(self) -> str | None:
        body = _read(self._acknowledged)
        return body.decode(errors="replace") if body else None


def _write(path: Path, note: Struct | None) -> None:
    """Only when it changes: this is called every few seconds."""
    body = None if note is None else msgspec.json.encode(note)
    if body is None:
        path.unlink(missing_ok=True)
    elif body != _read(path):
        replace_file(path, body, durable=True)


def _status_in(path: Path, kind: type[SomeStatus]) -> SomeStatus | None:
    body = _read(path)
    try:
        return decode_bounded(body, kind) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # of another version of this program; written anew within seconds


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
