"""References that a person accepted: the profile of a window that stands in for the bundle's own from then on.

Each is a file named by its sha256; which of them is in force, and who decided that, is a document of the inbox. A
profile joins no two values of one record and holds no id, so an erasure changes none.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import ConflictError
from event_backbone.model.bundle import BrokenBundleError
from event_backbone.model.reference_profile import Profile, decode_profile, encode_profile
from event_backbone.process.files import replace_file

log = structlog.get_logger()

DOCUMENT = "accepted_references"
#: Older entries of the history are forgotten, and their profiles with them.
KEPT = 50
_SHA256 = re.compile(r"[0-9a-f]{64}")


class AcceptanceDecision(Struct, frozen=True):
    """A decision: who, when, why, and after how many rows."""

    at: str
    by: str
    note: str
    row: int


class AcceptedReference(Struct, frozen=True):
    """One accepted window of ``rows`` rows; ``reverted`` says who took it back."""

    sha256: str
    bundle_sha256: str
    version: str
    rows: int
    labelled_rows: int
    accepted: AcceptanceDecision
    reverted: AcceptanceDecision | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """The reference in force for a bundle: an accepted one, or its own (``None``).

    ``since_row``: the rows counted when that was decided, 0 when nobody ever did.
    """

    accepted: AcceptedReference | None = None
    since_row: int = 0

    @property
    def sha256(self) -> str | None:
        return self.accepted.sha256 if self.accepted else None


class ReferenceDocuments(Protocol):
    """Keeps small documents by name; what was kept is durable on return (the inbox)."""

    def keep_document(self, name: str, body: bytes) -> None: ...

    def document(self, name: str) -> bytes | None: ...


class AcceptedReferences:
    """The history of decisions, oldest first; thread-safe.

    A profile is on the disk before the decision that names it, so a process that dies in between leaves a file that
    nobody asks for, and never a decision without its file.
    """

    def __init__(self, documents: ReferenceDocuments, directory: Path) -> None:
        self._documents = documents
        self._dir = directory
        self._lock = threading.Lock()
        kept = documents.document(DOCUMENT)
        self._history = _decode_history(kept) if kept else ()

    @property
    def history(self) -> Sequence[AcceptedReference]:
        return self._history

    def in_force(self, bundle_sha256: str) -> InForce:
        """The accepted reference of a bundle, if one is in force, and the last row it was decided at.

        A new champion's windows are compared with its own, whatever was accepted for the last one.
        """
        of_bundle = [one for one in self._history if one.bundle_sha256 == bundle_sha256]
        state = [one for one in of_bundle if one.reverted is None]
        decided = [decision.row for one in of_bundle for decision in (one.accepted, one.reverted) if decision]
        return InForce(state[-1] if state else None, max(decided, default=0))

    def accept(
        self, profile: Profile, *, bundle_sha256: str, version: str, labelled_rows: int, decision: AcceptanceDecision
    ) -> AcceptedReference:
        with self._lock:
            sha256 = write_accepted(self._dir, profile)
            accepted = AcceptedReference(sha256, bundle_sha256, version, profile.rows, labelled_rows, decision)
            self._keep((*self._history, accepted))
        log.info("reference_accepted", sha256=sha256[:12], by=decision.by, row=decision.row)
        return accepted

    def revert(self, bundle_sha256: str, decision: AcceptanceDecision) -> AcceptedReference:
        """Take back the reference in force for this bundle: the one before it is in force again.

        Raises :class:`ConflictError` when the bundle's own is.
        """
        with self._lock:
            last = self.in_force(bundle_sha256).accepted
            if last is None:
                raise ConflictError("The bundle's own reference is in force: there is nothing to take back.")
            reverted = replace(last, reverted=decision)
            self._keep(tuple(reverted if one is last else one for one in self._history))
        log.info("reference_reverted", sha256=last.sha256[:12], by=decision.by, row=decision.row)
        return reverted

    def _keep(self, history: tuple[AcceptedReference, ...]) -> None:
        kept = history[-KEPT:]
        self._documents.keep_document(DOCUMENT, msgspec.json.encode(kept))
        self._history = kept
        for forgotten in {one.sha256 for one in history} - {one.sha256 for one in kept}:
            with contextlib.suppress(OSError):
                _path(self._dir, forgotten).unlink()


def _decode_history(body: bytes) -> tuple[AcceptedReference, ...]:
    try:
        return decode_bounded(body, tuple[AcceptedReference, ...])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Of another version of this program: each bundle's own reference is always a safe choice.
        log.warning("accepted_references_not_understood", reason=str(error))
        return ()


def write_accepted(directory: Path, profile: Profile) -> str:
    """Write the profile durably and whole; return its sha256, which is its name."""
    body = encode_profile(profile)
    sha256 = hashlib.sha256(body).hexdigest()
    replace_file(_path(directory, sha256), body, durable=True)
    return sha256


def read_accepted(directory: Path, sha256: str) -> Profile:
    """Raises :class:`BrokenBundleError` when the file is not there, or not what its name says."""
    try:
        body = _path(directory, sha256).read_bytes()
        profile: Profile = decode_profile(body)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenBundleError(f"accepted reference {sha256[:12]}: {error}") from None
    if hashlib.sha256(body).hexdigest() != sha256:
        raise BrokenBundleError(f"accepted reference {sha256[:12]} is not what its name says")
    return profile


def _path(directory: Path, sha256: str) -> Path:
    if not _SHA256.fullmatch(sha256):
        raise BrokenBundleError("an accepted reference's name must be a sha256 in hexadecimal")
    return directory / f"{sha256}.json"
