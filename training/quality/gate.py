"""The stage ``validate``: raw data are read and every expectation is tried before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from event_backbone.case import Case
from event_backbone.errors import Fault
from training.quality.expectations import Part
from training.raw import Raw
from training.reading import Retrieved, bad_data, look_at
from training.rows import LabelledRows


@dataclass(frozen=True)
class Unmet:
    """An expectation that rows did not meet. ``message`` holds counts, and never a record's value."""

    expectation: str
    part: Part
    severity: str
    message: str


@dataclass(frozen=True)
class Inspection:
    """What came of a suite: ``folder`` holds ``results.json`` and the pages of ``docs/index.html``."""

    tried: int
    unmet: Sequence[Unmet]
    folder: Path

    @property
    def failures(self) -> list[Unmet]:
        return [unmet for unmet in self.unmet if unmet.severity == "critical"]

    @property
    def warnings(self) -> list[Unmet]:
        return [unmet for unmet in self.unmet if unmet.severity != "critical"]

    @property
    def sentence(self) -> str:
        met = self.tried - len(self.unmet)
        warned = "".join(f"; warning: {unmet.part}: {unmet.expectation}" for unmet in self.warnings)
        return f"{met} of {self.tried} expectations met{warned}"


class QualityGate(Protocol):
    """Tries every expectation on the rows of each part, and keeps the results in files.

    Raises :class:`~event_backbone.errors.SettingsError` where the expectations themselves are wrong.
    """

    def inspect(self, case: Case, parts: Mapping[Part, LabelledRows]) -> Inspection: ...


def validate(case: Case, raw: Raw, gate: QualityGate) -> tuple[Retrieved, Inspection]:
    """The rows of raw data with which nothing is wrong.

    Raises:
        SettingsError: with every fault by file and line, and every expectation that failed by its name.
    """
    retrieved, faults = look_at(case, raw)
    parts: dict[Part, LabelledRows] = {"train": retrieved.train, "test": retrieved.test}
    there = {part: rows for part, rows in parts.items() if len(rows)}
    if not there:
        raise bad_data(faults)
    inspection = gate.inspect(case, there)
    faults += faults_of(inspection)
    if faults:
        raise bad_data([*faults, Fault("results", "kept", f"are in {inspection.folder}")])
    return retrieved, inspection


def check_rows(case: Case, rows: LabelledRows, gate: QualityGate) -> Inspection:
    """The same for rows that were records already; raises :class:`SettingsError` naming what failed."""
    inspection = gate.inspect(case, {"train": rows})
    if faults := faults_of(inspection):
        raise bad_data([*faults, Fault("results", "kept", f"are in {inspection.folder}")])
    return inspection


def faults_of(inspection: Inspection) -> list[Fault]:
    return [
        Fault(f"{unmet.part} rows", "expectation", f"{unmet.expectation}: {unmet.message}")
        for unmet in inspection.failures
    ]
