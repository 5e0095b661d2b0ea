"""Reading of raw data into rows and faults: the first half of the stage ``validate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from event_backbone.case.records import faults_in
from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from training.data.parsing import ParsedFile, listed, read_file
from training.data.raw import TEST_ROWS_FILE, TRAIN_ROWS_FILE, DataOrigin, Raw, faults_of_digest
from training.data.rows import LabelledRows
from training.data.rows_on_disk import rows_in_lines


@dataclass(frozen=True)
class Retrieved:
    """The rows of the train files in their order, and of the test files; ``test`` is empty where there are none."""

    source: DataOrigin
    train: LabelledRows
    test: LabelledRows


def read_raw(case: Case, raw: Raw) -> Retrieved:
    """The rows of raw data in which nothing is wrong.

    Raises:
        SettingsError: with every fault by file and line.
    """
    retrieved, faults = look_at(case, raw)
    if faults:
        raise bad_data(faults)
    return retrieved


def bad_data(faults: Sequence[Fault]) -> SettingsError:
    """The error of data that don't match the case file, whoever found it."""
    return SettingsError("validate: the data are not what the case file says", faults)


def look_at(case: Case, raw: Raw) -> tuple[Retrieved, list[Fault]]:
    """Readable records and faults; with faults, values may be such that the case refuses."""
    parts: dict[str, list[LabelledRows]] = {"train": [], "test": []}
    faults: list[Fault] = []
    for name, role, reading, of_digest in _readings(case, raw):
        parts[role].append(reading.rows)
        faults += [Fault(f"{name}, {fault.place}", fault.reason, fault.message) for fault in listed(reading.faults)]
        faults += of_digest
    return Retrieved(raw.source, _joined(parts["train"]), _joined(parts["test"])), faults


def _readings(case: Case, raw: Raw) -> list[tuple[str, str, ParsedFile, list[Fault]]]:
    """Name, role, content and fault of the digest of each file."""
    if not raw.source.has_files:
        roles = ((TRAIN_ROWS_FILE, "train"), (TEST_ROWS_FILE, "test"))
        return [(name, role, _read_rows(case, raw.files.get(name, b"")), []) for name, role in roles]
    return [
        (file.name, file.role, read_file(case, file, content), faults_of_digest(file, content))
        for file in case.data.files
        for content in [raw.files.get(file.name, b"")]
    ]


def _read_rows(case: Case, content: bytes) -> ParsedFile:
    records: list[Mapping[str, Any]] = []
    labels: list[Any] = []
    faults: list[Fault] = []
    for number, row in enumerate(rows_in_lines(content), start=1):
        if row is None:
            faults.append(Fault(f"line {number}", "json", 'must be {"record": {...}, "label": ...}'))
            continue
        found = faults_in(case, row.record)
        if not case.is_label(row.label):
            found.append(Fault(case.target.name, "label", "is no label of this case"))
        faults += [Fault(f"line {number}", fault.reason, f"{fault.place} {fault.message}") for fault in found]
        records.append({name: row.record.get(name) for name in case.column_names})
        labels.append(row.label)
    return ParsedFile(LabelledRows(records, labels), faults)


def _joined(parts: Sequence[LabelledRows]) -> LabelledRows:
    records = [record for part in parts for record in part.records]
    return LabelledRows(records, [label for part in parts for label in part.labels])
