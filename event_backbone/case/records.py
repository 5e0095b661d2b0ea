"""Validation of records: a fast check for the hot path, and every fault for the answer when it fails.

The fast path is one msgspec decode into a struct made from the case file. It stops at the first fault, so when it
refuses, :func:`faults_in` lists all of them. A property test holds that the two agree.

A name that stands twice in an object is no fault by itself: each of its values must be valid, and the last one counts.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

from event_backbone.case.schema import Case, Column, is_finite
from event_backbone.decoding.lenient_json import Repeated, decode_lenient
from event_backbone.errors import Fault, RejectedError, unknown_fields

#: ``.`` and ``..`` are left out: clients, proxies and servers take them out of a URL's path.
RECORD_ID_PATTERN = r"^(?!\.\.?\Z)[A-Za-z0-9._:~-]{1,128}\Z"
#: Beyond this, a 64-bit float no longer holds every whole number.
LARGEST_EXACT_INTEGER = 2**53
_RECORD_ID = re.compile(RECORD_ID_PATTERN)
#: An id that was taken once, when ``.`` and ``..`` were.
_KEPT_RECORD_ID = re.compile(r"[A-Za-z0-9._:~-]{1,128}")
_KEPT_ID_FAULT = Fault("record_id", "format", "must be 1 to 128 characters of A-Z a-z 0-9 . _ : ~ -")
_ID_FAULT = Fault("record_id", "format", f"{_KEPT_ID_FAULT.message}, and not . or .. alone")


class Record(Struct, forbid_unknown_fields=True):
    """One valid record; :func:`record_type` adds a field for each column of the case."""

    record_id: Annotated[str, Meta(pattern=RECORD_ID_PATTERN)] | None = None


def _limits(column: Column) -> tuple[float | None, float | None]:
    """Smallest and largest allowed value; whole columns always have both, so that no digit is lost in a float."""
    low, high = column.valid.minimum, column.valid.maximum
    if column.kind == "integer":
        low = -LARGEST_EXACT_INTEGER if low is None else math.ceil(low)
        high = LARGEST_EXACT_INTEGER if high is None else math.floor(high)
    return low, high


def _field_type(column: Column) -> Any:
    if column.is_category:
        field: Any = Annotated[str, Meta(min_length=1, max_length=column.valid.max_length)]
    else:
        low, high = _limits(column)
        number = int if column.kind == "integer" else float
        field = Annotated[number, Meta(ge=low, le=high)]
    return field | None if column.nullable else field


def record_type(case: Case) -> type[Record]:
    """The struct a request is decoded into: one required field for each column, nothing else allowed."""
    fields = [(column.name, _field_type(column)) for column in case.columns]
    made = msgspec.defstruct("CaseRecord", fields, bases=(Record,), kw_only=True, forbid_unknown_fields=True)
    return cast(type[Record], made)


def values_getter(names: Sequence[str]) -> Callable[[Record], tuple[Any, ...]]:
    """A function that returns the values of these columns, in this order."""
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda record: (get(record),)


def _fault_in_number(column: Column, value: object) -> Fault | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return Fault(column.name, "type", "must be a number")
    if not is_finite(value):
        return Fault(column.name, "not_finite", "must be a finite number")
    if column.kind == "integer" and isinstance(value, float):
        return Fault(column.name, "type", "must be a whole number, without a decimal point")
    return _fault_in_range(column, value if column.kind == "integer" else float(value))


def _fault_in_range(column: Column, value: float) -> Fault | None:
    low, high = _limits(column)
    if low is not None and value < low:
        return Fault(column.name, "range", f"must be at least {low:,.16g}")
    if high is not None and value > high:
        return Fault(column.name, "range", f"must be at most {high:,.16g}")
    return None


def _fault_in_category(column: Column, value: object) -> Fault | None:
    if not isinstance(value, str):
        return Fault(column.name, "type", "must be text")
    if not 1 <= len(value) <= column.valid.max_length:
        return Fault(column.name, "length", f"must have 1 to {column.valid.max_length} characters")
    if not _is_whole_text(value):
        return Fault(column.name, "format", "must be text without halves of surrogate pairs")
    return None


def _is_whole_text(text: str) -> bool:
    r"""Whether text can be written in UTF-8; JSON's escapes (``\ud800``) can make some that can't."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def fault_in_value(column: Column, value: object) -> Fault | None:
    """The one fault of a value that is there, or ``None``."""
    if value is None:
        return None if column.nullable else Fault(column.name, "null", "must not be null")
    return _fault_in_category(column, value) if column.is_category else _fault_in_number(column, value)


def fault_in_record_id(value: object) -> Fault | None:
    """The fault of an id that is given to something new."""
    return None if value is None or (isinstance(value, str) and _RECORD_ID.match(value)) else _ID_FAULT


def fault_in_kept_id(value: str) -> Fault | None:
    """The fault of an id of something that may be kept for long: it has to be delivered, found and erased."""
    return None if _KEPT_RECORD_ID.fullmatch(value) else _KEPT_ID_FAULT


def _first_fault(value: object, fault_in: Callable[[object], Fault | None]) -> Fault | None:
    """The first fault of a value, or of all the values of a name that stands more than once."""
    values = value if isinstance(value, Repeated) else (value,)
    return next(filter(None, map(fault_in, values)), None)


def faults_in(case: Case, payload: object) -> list[Fault]:
    """Every fault of a decoded request body, by field, in the order of the case file; empty when it is valid."""
    if not isinstance(payload, Mapping):
        return [Fault("(body)", "type", "must be a JSON object")]
    faults = [_first_fault(payload.get("record_id"), fault_in_record_id)]
    for column in case.columns:
        if column.name in payload:
            faults.append(_first_fault(payload[column.name], functools.partial(fault_in_value, column)))
        else:
            faults.append(Fault(column.name, "missing", "is missing"))
    known = {"record_id", *case.column_names, case.target.name}
    faults += unknown_fields((name for name in payload if name not in known), "a column of this case")
    if case.target.name in payload:
        faults.append(Fault(case.target.name, "target", "is the target and must not be sent as a feature"))
    return [fault for fault in faults if fault is not None]


def _last_values(payload: Any) -> dict[str, Any]:
    return {name: value[-1] if isinstance(value, Repeated) else value for name, value in payload.items()}


class RecordDecoder:
    """Decodes request bodies into records.

    Thread-safe: it holds no state but the compiled decoder.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self.record_type = record_type(case)
        self.decode_trusted = msgspec.json.Decoder(self.record_type).decode
        self._decode_array = msgspec.json.Decoder(list[self.record_type]).decode  # type: ignore[name-defined]  # made

    def decode(self, body: bytes) -> Record:
        """One record.

        Raises:
            RejectedError: with every fault by field when it is not a valid record of the case.
        """
        try:
            return self.decode_trusted(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RejectedError(self.faults_in_body(body)) from None

    def decode_array(self, body: bytes) -> list[Record] | None:
        """Every record of a JSON array; ``None`` when it is none, or one of them is not valid."""
        try:
            return self._decode_array(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def convert(self, payload: object) -> Record:
        """One record from a payload that is already decoded: a form's, or a file's."""
        faults = faults_in(self._case, payload)
        if faults:
            raise RejectedError(faults)
        return msgspec.convert(_last_values(payload), self.record_type)

    def faults_in_body(self, body: bytes) -> list[Fault]:
        """Every fault of a body that :attr:`decode_trusted` refuses."""
        payload, fault = decode_lenient(body)
        if fault is not None:
            return [fault]
        # The property test keeps this fallback unreachable; a refusal without any fault must still be a refusal.
        return faults_in(self._case, payload) or [Fault("(body)", "invalid", "is not a valid record")]
