"""The web form, made from the case file: what its fields look like and what a filled one means as a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from event_backbone.case import Case, Column, Limits


@dataclass(frozen=True, slots=True)
class Field:
    """One field as the template shows it."""

    column: Column
    value: str
    limits: str
    faults: tuple[str, ...]

    @property
    def step(self) -> str:
        return "1" if self.column.kind == "integer" else "any"


class CaseForm:
    """Fields and records of one case."""

    def __init__(self, case: Case) -> None:
        self._case = case

    def fields(self, sent: Mapping[str, str], faults: Sequence[Mapping[str, str]]) -> list[Field]:
        """Every field with what was typed into it and, beside it, its faults."""
        return [
            Field(
                column,
                sent.get(column.name, ""),
                _limits(column),
                tuple(fault["message"] for fault in faults if fault["field"] == column.name),
            )
            for column in self._case.columns
        ]

    def payload(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """The record a filled form stands for; what can't be read as a number is left for the validator to name.

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
        """The answer, or what went wrong, in words."""
        if status != 200:
            return {"good": False, "text": reply["detail"]}
        if self._case.is_binary:
            score = f"{reply['score']:.1%} probability of {self._case.target.positive}"
            return {"good": True, "text": reply["prediction"], "score": score, **_origin(reply)}
        unit = f" {self._case.target.unit}" if self._case.target.unit else ""
        return {"good": True, "text": f"{reply['score']:,.0f}{unit}", "score": None, **_origin(reply)}


def _origin(reply: Mapping[str, Any]) -> dict[str, str]:
    return {"record_id": reply["record_id"], "model": f"{reply['model']['name']} version {reply['model']['version']}"}


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
    if column.is_category:
        return f"usually one of {len(column.categories)}; another text is taken as unknown"
    parts = [f"allowed {_range(column.valid)}", f"usual {_range(column.expected)}"]
    return "; ".join(part for part in parts if not part.endswith(" "))


def _range(limits: Limits) -> str:
    low, high = limits.minimum, limits.maximum
    if low is not None and high is not None:
        return f"{low:,.6g} to {high:,.6g}" if max(abs(low), abs(high)) < 1e6 else f"{low:,.0f} to {high:,.0f}"
    if low is not None:
        return f"from {low:,g}"
    return f"up to {high:,g}" if high is not None else ""
