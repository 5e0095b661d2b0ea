"""The store of references: what the windows of a bundle are compared with, read once and kept prepared.

The profile is read at once; the reference's rows, which only reports need, when somebody asks for them.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from event_backbone.case.schema import Case
from event_backbone.model.bundle import BrokenBundleError, BundleStore, read_part
from event_backbone.model.reference_profile import PROFILE_FILE, CategoryProfile, NumberProfile, Profile, decode_profile
from monitoring_service.drift.univariate import DriftReference
from monitoring_service.messages import ReferenceState
from monitoring_service.references.accepted import read_accepted

REFERENCE_FILE = "reference.parquet"
#: Around a change of champion two versions answer side by side.
KEPT = 2
#: A bundle that can't be read is looked for again after this time.
RETRY_S = 2.0


class WindowReference:
    """The reference of one bundle's windows.

    ``profile`` has its columns, scores and predictions from the accepted window where one is in force; what such a
    window can't say comes from the bundle.
    """

    def __init__(self, case: Case, profile: Profile, read_rows: Callable[[], Mapping[str, Sequence[Any]]]) -> None:
        self._case = case
        self._read_rows = read_rows
        self.profile = profile

    @cached_property
    def id(self) -> str:
        """Digest of the columns' samples: bundles with the same reference rows have one id, whatever their models."""
        return hashlib.sha256(msgspec.json.encode(self.profile.columns)).hexdigest()

    @cached_property
    def drift(self) -> DriftReference:
        """The columns and the scores, prepared for measuring."""
        return DriftReference(self._case, self.profile)

    @cached_property
    def rows(self) -> Mapping[str, Sequence[Any]]:
        """The bundle's reference rows with ``score``, ``prediction`` and the target, one list a column.

        Raises :class:`BrokenBundleError`.
        """
        return self._read_rows()


def columns_of(profile: Profile) -> dict[str, list[Any]]:
    """Each column's values without their order, missing ones last: values in one place don't belong to one row."""
    return {name: values_of(column) for name, column in profile.columns.items()}


def values_of(profile: NumberProfile | CategoryProfile) -> list[Any]:
    """The values that a profile was made of, in no order of theirs."""
    if isinstance(profile, NumberProfile):
        return [*profile.sorted_values, *[None] * profile.missing]
    present = [name for name, count in profile.counts.items() for _ in range(count)]
    return [*present, *[None] * profile.missing]


@dataclass(frozen=True)
class Lookup:
    """A reference, or why there is none."""

    state: ReferenceState
    reference: WindowReference | None = None
    fault: str | None = None


class References:
    """Finds the reference that belongs to a prediction's bundle; thread-safe."""

    def __init__(
        self,
        case: Case,
        bundles_dir: Path,
        accepted_dir: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._case = case
        self._bundles = BundleStore(bundles_dir)
        self._accepted_dir = accepted_dir
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str | None], Lookup] = {}
        self._read_at: dict[tuple[str, str | None], float] = {}

    def find(self, bundle_sha256: str, accepted_sha256: str | None = None) -> Lookup:
        """The bundle's own reference, or the accepted one named here in its place.

        Never raises: a bundle that is not there, or not what its digests say, is an answer.
        """
        key = bundle_sha256, accepted_sha256
        with self._lock:
            known = self._found.get(key)
            if known is None or (known.reference is None and self._clock() - self._read_at[key] >= RETRY_S):
                known = self._read(*key)
                self._keep(key, known)
        return known

    def _keep(self, key: tuple[str, str | None], lookup: Lookup) -> None:
        self._found.pop(key, None)
        self._found[key] = lookup
        self._read_at[key] = self._clock()
        while len(self._found) > KEPT:
            oldest = next(iter(self._found))
            del self._found[oldest], self._read_at[oldest]

    def _read(self, bundle_sha256: str, accepted_sha256: str | None) -> Lookup:
        try:
            place = self._bundles.path_of(bundle_sha256)
            if not place.is_dir():
                return Lookup("missing", fault=f"bundle {bundle_sha256[:12]} is not on this machine")
            profile = _profile_in(read_part(place, bundle_sha256, PROFILE_FILE))
            if accepted_sha256 is not None:
                profile = instead_of(profile, read_accepted(self._accepted_dir, accepted_sha256))
        except BrokenBundleError as error:
            return Lookup("broken", fault=str(error))
        return Lookup("ok", WindowReference(self._case, profile, partial(_rows_of, place, bundle_sha256)))


def instead_of(bundles: Profile, accepted: Profile) -> Profile:
    """The accepted profile; what scores lead one to expect is the model's, and so is what too few labels left out."""
    return replace(
        accepted,
        labels=accepted.labels or bundles.labels,
        performance=accepted.performance or bundles.performance,
        expectation=bundles.expectation,
    )


def _profile_in(body: bytes) -> Profile:
    try:
        return decode_profile(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenBundleError(f"{PROFILE_FILE}: {error}") from None


def _rows_of(place: Path, bundle_sha256: str) -> dict[str, list[Any]]:
    import pyarrow as pa
    from pyarrow.parquet import read_table

    parquet = read_part(place, bundle_sha256, REFERENCE_FILE)
    try:
        table = read_table(io.BytesIO(parquet))
    except pa.ArrowInvalid as error:
        raise BrokenBundleError(f"{REFERENCE_FILE}: {error}") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}
