"""References by the sha256 of their bundle, read once and kept prepared."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from event_backbone.bundle import BrokenBundleError, BundleShelf, open_bundle
from event_backbone.case import Case
from monitoring_service.drift import DriftReference
from monitoring_service.messages import ReferenceState

REFERENCE_FILE = "reference.parquet"
#: Around a change of champion two versions answer side by side.
KEPT = 2
#: A bundle that can't be read is looked for again after this time.
RETRY_S = 2.0


@dataclass(frozen=True)
class Reference:
    """The reference rows of one bundle (one list a column), and the same prepared for measuring."""

    columns: Mapping[str, Sequence[Any]]
    drift: DriftReference


@dataclass(frozen=True)
class Lookup:
    """A reference, or why there is none."""

    state: ReferenceState
    reference: Reference | None = None
    fault: str | None = None


class References:
    """Finds the reference that belongs to a prediction's bundle. Not thread-safe."""

    def __init__(self, case: Case, bundles_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._case = case
        self._shelf = BundleShelf(bundles_dir)
        self._clock = clock
        self._found: dict[str, Lookup] = {}
        self._read_at: dict[str, float] = {}

    def find(self, bundle_sha256: str) -> Lookup:
        """Never raises: a bundle that is not there, or not what its digests say, is an answer."""
        known = self._found.get(bundle_sha256)
        if known is None or (known.reference is None and self._clock() - self._read_at[bundle_sha256] >= RETRY_S):
            known = self._read(bundle_sha256)
            self._keep(bundle_sha256, known)
        return known

    def _keep(self, bundle_sha256: str, lookup: Lookup) -> None:
        self._found.pop(bundle_sha256, None)
        self._found[bundle_sha256] = lookup
        self._read_at[bundle_sha256] = self._clock()
        while len(self._found) > KEPT:
            oldest = next(iter(self._found))
            del self._found[oldest], self._read_at[oldest]

    def _read(self, bundle_sha256: str) -> Lookup:
        try:
            place = self._shelf.path_of(bundle_sha256)
            if not place.is_dir():
                return Lookup("missing", fault=f"bundle {bundle_sha256[:12]} is not on this machine")
            columns = _columns_of(open_bundle(place, bundle_sha256).read(REFERENCE_FILE))
        except BrokenBundleError as error:
            return Lookup("broken", fault=str(error))
        return Lookup("ok", Reference(columns, DriftReference(self._case, columns)))


def _columns_of(parquet: bytes) -> dict[str, list[Any]]:
    import pyarrow as pa
    from pyarrow.parquet import read_table

    try:
        table = read_table(io.BytesIO(parquet))
    except pa.ArrowInvalid as error:
        raise BrokenBundleError(f"{REFERENCE_FILE}: {error}") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}
