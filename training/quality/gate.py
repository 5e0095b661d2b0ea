"""The stage ``validate``: raw data are read and every expectation is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from event_backbone.case.schema import Case
from event_backbone.errors import Fault
from training.data.raw import Raw
from training.data.reading import Retrieved, bad_data, look_at
from training.data.rows import LabelledRows
from training.quality.expectations import Part


@dataclass(frozen=True)
class Unmet:
    """An expectation that rows did not meet. ``message`` holds counts, and never a record's value."""

    expectation: str
    part: Part
    severity: str
    message: str


@dataclass(frozen=True)
class Inspection:
    """Results of a suite: ``folder`` holds ``results.json`` and the pages of ``docs/index.html``."""

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
    retrieved = read_or_explain(case, raw, gate)
    return retrieved, inspect_rows(case, retrieved.train, retrieved.test, gate)


def read_or_explain(case: Case, raw: Raw, gate: QualityGate) -> Retrieved:
    """The rows; the expectations are tried only where there are faults, for the error to name those that failed, too.

    Raises :class:`SettingsError` as :func:`validate` does.
    """
    retrieved, faults = look_at(case, raw)
    if faults and len(retrieved.train):
        faults += _faults_of(_inspected(case, retrieved.train, retrieved.test, gate))
    if faults:
        raise bad_data(faults)
    return retrieved


def inspect_rows(case: Case, train: LabelledRows, test: LabelledRows, gate: QualityGate) -> Inspection:
    """Try every expectation on rows that were read; raises :class:`SettingsError` naming those that failed."""
    inspection = _inspected(case, train, test, gate)
    if inspection.failures:
        raise bad_data(_faults_of(inspection))
    return inspection


def _inspected(case: Case, train: LabelledRows, test: LabelledRows, gate: QualityGate) -> Inspection:
    parts: dict[Part, LabelledRows] = {"train": train, "test": test}
    return gate.inspect(case, {part: rows for part, rows in parts.items() if len(rows)})


def _faults_of(inspection: Inspection) -> list[Fault]:
    """One fault for each failure, and where the results are."""
    failed = [
        Fault(f"{unmet.part} rows", "expectation", f"{unmet.expectation}: {unmet.message}")
        for unmet in inspection.failures
    ]
    return [*failed, Fault("results", "kept", f"are in {inspection.folder}")]
