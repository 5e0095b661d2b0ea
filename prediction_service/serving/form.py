"""The web form: fields made from the case file, and a filled form as a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from event_backbone.case.schema import Case, Column, Limits
from event_backbone.guards.api_keys import KeyCheck
from event_backbone.guards.key_guard import KEY_FIELD

#: Under the field; the list that a browser offers holds them all.
_CATEGORIES_LISTED = 3
#: Key, numbers, and whatever else somebody types.
_FORM_BYTES = 32 * 1024
#: The longest in UTF-8 has four bytes, each sent as three.
_BYTES_OF_A_CHARACTER = 12


@dataclass(frozen=True, slots=True)
class Field:
    """One field for the template; ``takes_focus``: it has the focus once the page is loaded."""

    column: Column
    value: str
    limits: str
    faults: tuple[str, ...]
    takes_focus: bool

    @property
    def keyboard(self) -> str:
        """The field's ``inputmode``; keyboards for numbers have no minus sign."""
        minimum = self.column.valid.minimum
        if self.column.is_category or minimum is None or minimum < 0:
            return "text"
        return "numeric" if self.column.kind == "integer" else "decimal"


class FormKey:
    """The form's API key field: typed with every record, and never put into a page."""

    def __init__(self, keys: KeyCheck | None = None, count_refusal: Callable[[], None] = lambda: None) -> None:
        self._keys = keys
        self._count_refusal = count_refusal

    @property
    def field(self) -> str | None:
        """The name of the field; ``None`` where no key is asked for."""
        return None if self._keys is None else KEY_FIELD

    def fault(self, sent: Mapping[str, str]) -> str | None:
        """What is wrong with the key that was sent, as text."""
        if self._keys is None or self._keys.accepts(sent.get(KEY_FIELD, "")):
            return None
        self._count_refusal()
        return "is not one that this service knows" if sent.get(KEY_FIELD) else "is missing"


class CaseForm:
    """Fields and records of one case.

    ``most_bytes``: of a filled form, with room for texts that are too long and will be named.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        longest = (len(column.name) + _BYTES_OF_A_CHARACTER * column.valid.max_length for column in case.columns)
        self.most_bytes = _FORM_BYTES + sum(longest)

    def fields(self, sent: Mapping[str, str], faults: Sequence[Mapping[str, str]]) -> list[Field]:
        """Every field with its typed value and its faults."""
        faulty = {fault["field"] for fault in faults}
        first = next((name for name in self._case.column_names if name in faulty), None)
        return [
            Field(
                column,
                sent.get(column.name, ""),
                _limits(column),
                tuple(fault["message"] for fault in faults if fault["field"] == column.name),
                column.name == first,
            )
            for column in self._case.columns
        ]

    def payload(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """The record of a filled form; what is no number is left for the validator to name.

        An empty field is null where the column may be null, and otherwise missing.
        """
        record: dict[str, Any] = {}
        for column in self._case.columns:
            text = sent.get(column.name, "").strip()
            if text:
                record[column.name] = text if column.is_category else _number(text)
            elif column.nullable:
                record[column.name] = None
        return record

    def shown(self, status: int, reply: Mapping[str, Any]) -> dict[str, Any]:
        """The prediction, or the fault, as text; ``probability`` only where there is one."""
        if status != 200:
            return {"good": False, "text": reply["detail"], "has_faults": bool(reply.get("faults"))}
        origin = {
            "record_id": reply["record_id"],
            "model": f"{reply['model']['name']} version {reply['model']['version']}",
        }
        if self._case.is_binary:
            return {"good": True, "text": reply["prediction"], "probability": reply["score"], **origin}
        unit = f" {self._case.target.unit}" if self._case.target.unit else ""
        return {"good": True, "text": f"{_rounded(reply['score'])}{unit}", "probability": None, **origin}


def _rounded(value: float) -> str:
    """A predicted number as a person reads it: whole from 1,000 on, else three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _number(text: str) -> int | float | str:
    if "_" in text:  # Python's own way to write a number, and nobody else's
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _limits(column: Column) -> str:
    """The allowed values, as sentences; empty when everything is allowed."""
    if column.is_category:
        listed = ", ".join(column.categories[:_CATEGORIES_LISTED])
        more = len(column.categories) - _CATEGORIES_LISTED
        return f"Usual: {listed} and {more} more." if more > 0 else f"Usual: {listed}."
    parts = [("allowed", _range(column.valid)), ("usual", _range(column.expected))]
    text = "; ".join(f"{word} {limits}" for word, limits in parts if limits)
    return f"{text.capitalize()}." if text else ""


def _range(limits: Limits) -> str:
    low, high = (None if limit is None else f"{limit:,.16g}" for limit in (limits.minimum, limits.maximum))
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"from {low}"
    return f"up to {high}" if high is not None else ""
