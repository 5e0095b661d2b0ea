"""Parsing of raw files into valid records, in the format of the case file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from event_backbone.case.records import fault_in_value
from event_backbone.case.schema import Case, Column, DataFile, FileFormat
from event_backbone.errors import Fault, SettingsError
from training.data.rows import LabelledRows

#: A file that is wrong throughout must not fill the screen.
MOST_FAULTS_LISTED = 20

#: The reader takes no longer field; a quotation mark without its end makes one of a whole line.
_LONGEST_LINE = csv.field_size_limit()

NumberedFields = tuple[int, list[str]]


@dataclass(frozen=True)
class ParsedFile:
    """The readable records of a file, and all of its faults.

    ``rows`` are the records whose fields could be told apart. Where there are faults, values and labels may be such
    that the case file refuses them.
    """

    rows: LabelledRows
    faults: Sequence[Fault]


def parse_file(case: Case, file: DataFile, content: bytes) -> LabelledRows:
    """Every record of a raw file with its label.

    Raises:
        SettingsError: the file is not what the case file says, with the lines and columns that differ.
    """
    reading = read_file(case, file, content)
    if reading.faults:
        raise SettingsError(file.name, listed(reading.faults))
    return reading.rows


def read_file(case: Case, file: DataFile, content: bytes) -> ParsedFile:
    """The same without raising: faults and readable records."""
    try:
        numbered = list(_fields_of(file, case.data.format, _lines_of(file, content)))
        names = _names_of_fields(case, file, numbered)
    except SettingsError as error:
        return ParsedFile(LabelledRows([], []), error.faults)
    rows, faults = _parse_rows(case, file, names, numbered)
    if not faults and len(rows) != file.rows:
        faults = [Fault("(file)", "rows", f"holds {len(rows):,} records, expected {file.rows:,}")]
    return ParsedFile(rows, faults)


def _lines_of(file: DataFile, content: bytes) -> list[str]:
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise _wrong(file, "(file)", "encoding", f"is no UTF-8 text: {error.reason}") from None


def _wrong(file: DataFile, place: str, reason: str, *messages: str) -> SettingsError:
    return SettingsError(file.name, [Fault(place, reason, message) for message in messages])


def _fields_of(file: DataFile, written: FileFormat, lines: Sequence[str]) -> Iterator[NumberedFields]:
    """Line numbers and stripped fields; blank lines and comments are no records."""
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (written.comment_prefix and line.startswith(written.comment_prefix)):
            continue
        if len(line) > _LONGEST_LINE:
            raise _wrong(file, f"line {number}", "length", f"has more than {_LONGEST_LINE:,} characters")
        fields = next(csv.reader([line], skipinitialspace=True))
        yield number, [field.strip() for field in fields]


def _names_of_fields(case: Case, file: DataFile, numbered: list[NumberedFields]) -> Sequence[str]:
    """Field names from the case file, or from a header, which is taken off ``numbered``."""
    written = case.data.format
    if not numbered:
        raise _wrong(file, "(file)", "empty", "is empty")
    if written.header:
        names = numbered.pop(0)[1]
        _check_header(case, file, names)
    else:
        names = written.fields or []
    if numbered and all(len(fields) != len(names) for _, fields in numbered):
        counts = sorted({len(fields) for _, fields in numbered})
        found = ", ".join(str(count) for count in counts[:5])
        message = f"has {found} fields, expected {len(names)}: {', '.join(names)}"
        raise _wrong(file, "(every line)", "fields", message)
    return names


def _check_header(case: Case, file: DataFile, names: Sequence[str]) -> None:
    """Where the case file lists the fields, the header must be that list: names that moved may have left values."""
    missing = [name for name in (*case.column_names, case.target.name) if name not in names]
    if missing:
        raise _wrong(file, "header", "missing", *(f"has no field {name!r}" for name in missing))
    wanted = case.data.format.fields
    if wanted is not None and list(names) != wanted:
        raise _wrong(file, "header", "order", f"is not the case file's: it must be {', '.join(wanted)}, in this order")


def _parse_rows(
    case: Case, file: DataFile, names: Sequence[str], numbered: Sequence[NumberedFields]
) -> tuple[LabelledRows, list[Fault]]:
    parsers = [_ColumnParser(column, case.data.format.missing) for column in case.columns]
    records, labels, faults = [], [], []
    for number, fields in numbered:
        if len(fields) != len(names):
            faults.append(Fault(f"line {number}", "fields", f"has {len(fields)} fields, expected {len(names)}"))
            continue
        texts = dict(zip(names, fields, strict=True))
        cells = {parser.name: parser.parse(texts[parser.name]) for parser in parsers}
        label, fault_of_label = _parse_label(case, file, texts[case.target.name])
        found = [fault for fault in (*(fault for _, fault in cells.values()), fault_of_label) if fault is not None]
        faults += [Fault(f"line {number}", fault.reason, f"{fault.place} {fault.message}") for fault in found]
        records.append({name: value for name, (value, _) in cells.items()})
        labels.append(label)
    return LabelledRows(records, labels), faults  # type: ignore[arg-type]  # a label that is None is among the faults


class _ColumnParser:
    """Texts of one column into values and faults; each different text is parsed once."""

    def __init__(self, column: Column, missing: Sequence[str]) -> None:
        self.name = column.name
        self._column = column
        self._missing = frozenset(missing)
        self._known: dict[str, tuple[Any, Fault | None]] = {}

    def parse(self, text: str) -> tuple[Any, Fault | None]:
        if text not in self._known:
            value = self._value(text)
            self._known[text] = value, fault_in_value(self._column, value)
        return self._known[text]

    def _value(self, text: str) -> Any:
        """The typed value; a text that is no number stays text, for the validator to name."""
        if text in self._missing:
            return None
        if self._column.is_category:
            return text
        try:
            return int(text) if self._column.kind == "integer" else float(text)
        except ValueError:
            return text


def _parse_label(case: Case, file: DataFile, text: str) -> tuple[str | float | None, Fault | None]:
    """The label without the file's suffix; a label that lacks it is a fault."""
    suffix = file.target_suffix or ""
    if not text.endswith(suffix):
        return None, Fault(case.target.name, "label", f"must end with {suffix!r} in this file")
    label = _label_of(case, text.removesuffix(suffix))
    return label, None if label is not None else Fault(case.target.name, "label", "is no label of this case")


def _label_of(case: Case, text: str) -> str | float | None:
    if case.is_binary:
        return text if case.is_label(text) else None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if case.is_label(value) else None


def listed(faults: Sequence[Fault]) -> list[Fault]:
    """The first faults of a file, and how many there are beside them."""
    more = len(faults) - MOST_FAULTS_LISTED
    rest = [Fault("(more)", "more", f"{more:,} faults more")] if more > 0 else []
    return [*faults[:MOST_FAULTS_LISTED], *rest]
