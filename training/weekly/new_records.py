"""New records to predict: from a CSV, Parquet or JSONL file, or from a MongoDB collection.

Whatever is no column of the case is left out, so that files with a label or a note in them can be scored as they are.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from event_backbone.case.records import Record, RecordDecoder, fault_in_record_id
from event_backbone.case.schema import Case, Column
from event_backbone.decoding.lenient_json import decode_lenient
from event_backbone.errors import Fault, RejectedError, SettingsError, StopError
from event_backbone.mongodb.access import MongoAccess

_PAGE = 1000

#: A row as its source holds it, or why it can't be read.
Row = Mapping[str, Any] | Fault


@dataclass(frozen=True)
class NewRecord:
    """Place in the source, from 0; ``record`` is ``None`` where ``faults`` say why it can't be scored."""

    row: int
    record_id: str
    record: Record | None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class NewRecords:
    """A source that can be read from its beginning; ``name`` gives records without an id one that stays the same."""

    name: str
    rows: Callable[[], Iterator[Row]]

    def read(self, case: Case) -> Iterator[NewRecord]:
        """Every row, in order, checked as the service checks a request."""
        decoder = RecordDecoder(case)
        for number, row in enumerate(self.rows()):
            yield _new_record(case, decoder, number, row, f"{self.name}-{number}")


def _new_record(case: Case, decoder: RecordDecoder, number: int, row: Row, default_id: str) -> NewRecord:
    if isinstance(row, Fault):
        return NewRecord(number, default_id, None, (row,))
    values, given = _values_of(case, row), _id_of(row)
    if (fault := fault_in_record_id(given)) is not None:
        return NewRecord(number, default_id, None, (fault,))
    try:
        return NewRecord(number, given or default_id, decoder.convert(values))
    except RejectedError as error:
        return NewRecord(number, given or default_id, None, error.faults)


def _values_of(case: Case, row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row; one written as ``{"record": …}`` holds them below it."""
    held = row.get("record")
    values = held if isinstance(held, Mapping) else row
    return {name: values[name] for name in case.column_names if name in values}


def _id_of(row: Mapping[str, Any]) -> Any:
    """``record_id`` of the row or of the record in it, or what a database calls it by."""
    held = row.get("record")
    inside = held.get("record_id") if isinstance(held, Mapping) else None
    named = row.get("record_id") or inside
    return named if named or "_id" not in row else str(row["_id"])


def records_in_file(case: Case, path: Path) -> NewRecords:
    """A ``.csv`` with a header, a ``.parquet``, or a ``.jsonl`` with one record a line.

    Raises:
        SettingsError: there is no such file, or its name ends otherwise.
    """
    if path.suffix not in _READERS:
        message = f"ends in {path.suffix or 'nothing'}; there are: {', '.join(_READERS)}"
        raise SettingsError(str(path), [Fault("--in", "format", message)])
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _unreadable(path, error.strerror or "can't be read") from None
    return NewRecords(digest[:16], lambda: _READERS[path.suffix](case, path))


def _unreadable(path: Path, message: str) -> SettingsError:
    return SettingsError(str(path), [Fault("--in", "unreadable", message.lower())])


def _lines_of_json(_: Case, path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for line in filter(None, map(bytes.strip, file)):
            payload, fault = decode_lenient(line)
            yield fault or (payload if isinstance(payload, Mapping) else Fault("(body)", "type", "is no JSON object"))


def _rows_of_csv(case: Case, path: Path) -> Iterator[Row]:
    missing = frozenset({"", *case.data.format.missing})
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file, skipinitialspace=True)
            _check_header(case, path, lines.fieldnames or ())
            for line in lines:
                yield _row_of_line(case, line, missing)
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, f"is no CSV in UTF-8: {type(error).__name__}") from None


def _row_of_line(case: Case, line: Mapping[str | None, Any], missing: Collection[str]) -> Row:
    # The reader calls surplus fields None, and gives None to what a short line lacks.
    if None in line or None in line.values():
        return Fault("(line)", "fields", f"has other than {len(line) - (None in line)} fields")
    texts = {name: text.strip() for name, text in line.items() if name is not None}
    return _typed(case, {name: None if text in missing else text for name, text in texts.items()})


def _rows_of_parquet(case: Case, path: Path) -> Iterator[Row]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except ArrowInvalid:
        raise _unreadable(path, "is no Parquet file") from None
    with file:
        _check_header(case, path, file.schema_arrow.names)
        wanted = [name for name in (*case.column_names, "record_id") if name in file.schema_arrow.names]
        for batch in file.iter_batches(_PAGE, columns=wanted):
            for row in batch.to_pylist():
                yield _typed(case, row)


def _check_header(case: Case, path: Path, names: Iterable[str]) -> None:
    absent = [name for name in case.column_names if name not in set(names)]
    if absent:
        raise SettingsError(str(path), [Fault("header", "missing", f"has no field {name!r}") for name in absent])


def _typed(case: Case, row: Mapping[str, Any]) -> Row:
    """Values of a table, where texts may stand for numbers, and whole numbers may be written with a point."""
    typed = {column.name: _value(column, row[column.name]) for column in case.columns}
    named = row.get("record_id")
    return {**typed, "record_id": str(named) if isinstance(named, int) else named}


def _value(column: Column, value: Any) -> Any:
    """The value as its column has it; one that is no such thing stays as it is, for the validator to name."""
    if column.is_category or value is None or isinstance(value, bool):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    if math.isnan(number):
        return None
    return (
        int(value if isinstance(value, int) else number) if column.kind == "integer" and number.is_integer() else number
    )


def records_in_collection(access: MongoAccess, collection: str, *, page: int = _PAGE) -> NewRecords:
    """Every document of a MongoDB collection, in the order of ``_id``, page by page.

    Reading raises :class:`~event_backbone.errors.TryAgainLaterError` when MongoDB is away, and :class:`StopError` when
    the ids are of several kinds: those are in no common order.
    """
    return NewRecords(collection, lambda: _documents(access, collection, page))


def _documents(access: MongoAccess, collection: str, at_once: int) -> Iterator[Row]:
    from event_backbone.mongodb.connection import MongoConnection

    connection = MongoConnection(access)
    try:
        left = connection.count(collection, {})
        query: dict[str, Any] = {}
        while page := connection.find(collection, query, order=("_id",), limit=at_once):
            yield from page
            left -= len(page)
            query = {"_id": {"$gt": page[-1]["_id"]}}
        if left > 0:
            raise StopError(f"{left:,} documents of {collection} have an _id of another kind than the others")
    finally:
        connection.close()


#: How a file's name ends → what reads it.
_READERS: Mapping[str, Callable[[Case, Path], Iterator[Row]]] = {
    ".csv": _rows_of_csv,
    ".parquet": _rows_of_parquet,
    ".jsonl": _lines_of_json,
}
