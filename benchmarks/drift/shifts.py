"""Shifts to inject: those of the list beside this module, and a quarter that a seed draws."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.drift.frames import Drawing, Floats, Frame
from event_backbone.case.schema import Case, Column
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from monitoring_service.windows.columns import MISSING, CategoryValues, ColumnValues, NumberValues

LISTED = Path(__file__).with_name("shifts.yaml")
NUMBER_BINS = 20

Kind = Literal["add", "scale", "spread", "set", "weigh", "missing", "unseen", "shuffle", "invert"]


class Shift(Struct, frozen=True):
    """One change of one column; ``share`` is that of the rows it happens to."""

    name: str
    kind: Kind
    column: str
    amount: float = 0.0
    share: float = 1.0
    weights: dict[str, float] = {}
    bound: int | None = None

    @property
    def moves_inputs(self) -> bool:
        """Whether the column's own distribution changes."""
        return self.kind not in ("shuffle", "invert")


class _List(Struct):
    shifts: list[Shift]


def listed_shifts() -> list[Shift]:
    return msgspec.yaml.decode(LISTED.read_bytes(), type=_List).shifts


def drawn_shifts(case: Case, rows: Frame, seed: int, count: int) -> list[Shift]:
    """Kind, column and size by the seed."""
    random = np.random.default_rng([seed, 4])
    return [_drawn(case, rows, random) for _ in range(count)]


def _drawn(case: Case, rows: Frame, random: np.random.Generator) -> Shift:
    of_kind = _columns_by_kind(case)
    kind: Kind = str(random.choice(list(of_kind)))  # type: ignore[assignment]
    columns = of_kind[kind]
    if kind in ("add", "scale"):
        name = str(random.choice([column.name for column in columns]))
        whole = case.column(name).kind == "integer"
        values = rows.columns[name]
        assert isinstance(values, NumberValues)
        deviation = float(np.nanstd(values.values))
        size = float(random.uniform(0.2, 1.0))
        share = float(random.uniform(0.05, 1.0))
        added = float(np.ceil(size * deviation)) if whole else size * deviation
        amount = 12.0 if kind == "scale" else added
        change = f"x {amount:g}" if kind == "scale" else f"+ {amount:,.{0 if whole else 2}f}"
        return Shift(f"drawn: {name} {change} in {share:.0%}", kind, name, amount, share)
    column = columns[int(random.integers(len(columns)))]
    if kind != "weigh":
        share = float(random.uniform(0.01, 0.15))
        return Shift(f"drawn: {column.name} {kind} {share:.1%}", kind, column.name, share=share)
    category, factor = str(random.choice(column.categories)), float(random.uniform(1.5, 3.0))
    return Shift(f"drawn: {column.name} {category} x {factor:.1f}", kind, column.name, weights={category: factor})


def _columns_by_kind(case: Case) -> dict[str, list[Column]]:
    """The kinds that can be drawn, each with the columns that it can happen to; none without such a column."""
    numbers = [column for column in case.columns if not column.is_category]
    categories = [column for column in case.columns if column.is_category]
    nullable = [column for column in case.columns if column.nullable]
    by_kind = {"add": numbers, "scale": numbers, "weigh": categories, "missing": nullable, "unseen": categories}
    return {kind: columns for kind, columns in by_kind.items() if columns}


def shifted_rows(drawing: Drawing, shift: Shift, count: int, random: np.random.Generator) -> Frame:
    """Held-out rows, drawn with replacement and changed."""
    held_out = drawing.held_out
    if shift.kind == "weigh":
        values = held_out.columns[shift.column]
        assert isinstance(values, CategoryValues)
        by_code = np.array([*(shift.weights.get(name, 1.0) for name in values.names), 1.0])
        chances = by_code[values.codes]
        return held_out.take(random.choice(len(held_out), count, p=chances / chances.sum()))
    rows = held_out.take(random.integers(0, len(held_out), count))
    if shift.kind == "invert":
        return _with_inverted_labels(rows, shift)
    return rows.with_column(shift.column, _changed(rows.columns[shift.column], shift, random))


def _with_inverted_labels(rows: Frame, shift: Shift) -> Frame:
    values = rows.columns[shift.column]
    assert isinstance(values, NumberValues)
    return Frame(rows.columns, np.where(values.values >= shift.amount, 1 - rows.labels, rows.labels))


def _changed(values: ColumnValues, shift: Shift, random: np.random.Generator) -> ColumnValues:
    if isinstance(values, NumberValues):
        chosen = random.random(values.values.size) < shift.share
        return NumberValues(np.where(chosen, _new_numbers(values.values, shift, random), values.values))
    chosen = random.random(values.codes.size) < shift.share
    if shift.kind == "unseen":
        return CategoryValues(np.where(chosen, len(values.names), values.codes), [*values.names, "(new)"])
    return CategoryValues(np.where(chosen, MISSING, values.codes), values.names)


def _new_numbers(values: Floats, shift: Shift, random: np.random.Generator) -> Floats:
    match shift.kind:
        case "add":
            return values + shift.amount
        case "scale":
            return values * shift.amount
        case "spread":
            mean = float(np.nanmean(values))
            return np.round(mean + (values - mean) * shift.amount)
        case "set":
            return np.full_like(values, shift.amount)
        case "missing":
            return np.full_like(values, np.nan)
        case "shuffle":
            return random.permutation(values)
        case _:
            raise ValueError(f"{shift.kind} is no change of numbers")


def divergence(reference: NumberProfile | CategoryProfile, values: ColumnValues) -> float:
    """Kullback-Leibler divergence of ``values`` from the reference in nats, missing as a category.

    Numbers are counted between the reference's twentieths; half a row is added everywhere, as by Jeffreys' prior.
    """
    before, after = _counts(reference, values)
    shares, expected = ((counts + 0.5) / (counts + 0.5).sum() for counts in (after, before))
    return float((shares * np.log(shares / expected)).sum())


def _counts(reference: NumberProfile | CategoryProfile, values: ColumnValues) -> tuple[Floats, Floats]:
    if isinstance(reference, CategoryProfile):
        assert isinstance(values, CategoryValues)
        places = np.where(values.codes == MISSING, len(values.names), values.codes)
        counts = [*(reference.counts.get(name, 0) for name in values.names), reference.missing]
        return np.array(counts, dtype=np.float64), np.bincount(places, minlength=len(counts)).astype(np.float64)
    assert isinstance(values, NumberValues)
    sorted_values = np.array(reference.sorted_values)
    edges = np.unique(np.quantile(sorted_values, np.arange(1, NUMBER_BINS) / NUMBER_BINS, method="lower"))
    present = values.values[np.isfinite(values.values)]
    before, after = (
        np.append(np.bincount(np.searchsorted(edges, part), minlength=edges.size + 1), missing).astype(np.float64)
        for part, missing in ((sorted_values, reference.missing), (present, values.values.size - present.size))
    )
    return before, after
