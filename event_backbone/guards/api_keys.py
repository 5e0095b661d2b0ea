"""API keys: a file of their digests, read again when it changes, and the check of a presented key.

A line is ``name:sha256-in-hex`` or ``name:sha256-in-hex:expires``; blank lines and those that begin with ``#`` say
nothing. A name may have several keys, so a key is replaced in three steps without a gap: add the new one, give it to
whoever uses the old one, take the old one out. Only digests are kept: a key is 32 random bytes, which nobody finds by
trying, so a plain sha256 is enough. A key itself is never in a file, a log, an error or a metric of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import parse_utc

log = structlog.get_logger()

KEY_BYTES = 32
#: How long a file that changed may go unnoticed.
CHECK_EVERY_S = 1.0

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class HashedKey:
    """One line: the key's name, its sha256, and the time (seconds since 1970) from which it is refused."""

    name: str
    digest: bytes
    expires_at: float = _NEVER


class KeyCheck(Protocol):
    """Whether a presented key is valid. Thread-safe."""

    def accepts(self, presented: str) -> bool: ...


def new_key() -> str:
    """A fresh key: 32 random bytes in the alphabet of URLs."""
    return secrets.token_urlsafe(KEY_BYTES)


def line_for(name: str, key: str) -> str:
    """The line of a keys file for ``key``; raises :class:`SettingsError` for a name that is not allowed."""
    if not _NAME.fullmatch(name):
        raise SettingsError("keys", [Fault("--name", "name", "must be 1 to 64 characters of A-Z a-z 0-9 . _ -")])
    return f"{name}:{_digest(key).hex()}"


def append_line(path: Path, line: str) -> None:
    """Add a line to a keys file, made for its owner alone if needed. Raises :class:`SettingsError` when it can't be."""
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "rb+") as file:
            text = file.read()
            # In one write: a service that reads the file meanwhile sees all of it or nothing.
            file.write(b"\n" * (bool(text) and not text.endswith(b"\n")) + line.encode() + b"\n")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SettingsError("keys", [Fault("--append", "file", f"{path}: {reason}")]) from None


def parse_keys(text: str, place: str) -> list[HashedKey]:
    """The keys of a file's text; raises :class:`SettingsError` with every fault by line, also when no key is live."""
    keys: list[HashedKey] = []
    faults: list[Fault] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            key, found = _parse_line(line.strip(), f"line {number}", {key.digest for key in keys})
            keys += [key] if key is not None else []
            faults += found
    if not faults and not any(key.expires_at > time.time() for key in keys):
        message = "holds no live key; `prediction-service keys new --name NAME --append FILE` makes one"
        faults.append(Fault("(file)", "no_key", message))
    if faults:
        raise SettingsError(place, faults)
    return keys


def _parse_line(line: str, place: str, known: set[bytes]) -> tuple[HashedKey | None, list[Fault]]:
    # What a line holds is never shown: somebody may have put the key itself there.
    name, _, rest = line.partition(":")
    digest, _, expires = rest.partition(":")
    faults = list(_faults_in(name, digest, place))
    try:
        expires_at = _moment(expires) if expires else _NEVER
    except ValueError:
        faults.append(Fault(place, "expires", "the third part must be a day or an RFC 3339 time with an offset"))
        expires_at = _NEVER
    if not faults and bytes.fromhex(digest) in known:
        faults.append(Fault(place, "twice", "the same key stands in a line above"))
    return (None if faults else HashedKey(name, bytes.fromhex(digest), expires_at)), faults


def _faults_in(name: str, digest: str, place: str) -> Iterator[Fault]:
    if not _NAME.fullmatch(name):
        yield Fault(place, "name", "must begin with a name of 1 to 64 characters of A-Z a-z 0-9 . _ - and a colon")
    if not _DIGEST.fullmatch(digest):
        yield Fault(place, "digest", "the second part must be a sha256: 64 characters of 0-9 a-f")
    elif bytes.fromhex(digest) == _digest(""):
        yield Fault(place, "empty", "is the digest of no key at all")


def _moment(text: str) -> float:
    """Seconds since 1970; a day alone means its first moment in UTC."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    return parse_utc(text).timestamp()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class ApiKeys:
    """The keys of one file, reloaded as it changes. Thread-safe.

    A file that can't be used as it is now leaves the keys of before in force, and says so in the log, once for each
    change: a slip in an editor must not lock everybody out.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Raises :class:`SettingsError` when the file can't be used or holds no live key."""
        self._path = path
        self._clock = clock
        self._seen = _identity(path)
        self._keys: Sequence[HashedKey] = _read(path)
        self._check_at = clock() + CHECK_EVERY_S

    def accepts(self, presented: str) -> bool:
        """Takes constant time whichever key it is, or none."""
        now = self._clock()
        # A clock that was set back must not keep a file from being read.
        if not self._check_at - CHECK_EVERY_S <= now < self._check_at:
            self._check_at = now + CHECK_EVERY_S
            self._reload_if_changed()
        digest = _digest(presented)
        accepted = False
        for key in self._keys:
            accepted |= hmac.compare_digest(digest, key.digest) & (key.expires_at > now)
        return accepted

    def _reload_if_changed(self) -> None:
        seen = _identity(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = _read(self._path)
        except SettingsError as error:
            log.error("api_keys_file_broken", kept_keys=len(self._keys), error=str(error))
        else:
            log.info("api_keys_read", keys=len(self._keys))


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read(path: Path) -> list[HashedKey]:
    try:
        return parse_keys(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SettingsError("settings", [Fault("API_KEYS_FILE", "file", f"{path}: {reason}")]) from None
    except UnicodeDecodeError:
        raise SettingsError("settings", [Fault("API_KEYS_FILE", "file", f"{path}: is no text")]) from None
