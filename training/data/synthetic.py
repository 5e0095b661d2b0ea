"""The synthetic sample: rows drawn from tables that were fitted once on the real training rows.

The tables are a tree of columns (Chow and Liu, 1968) with the label as a second parent of every column, which is the
tree-augmented naive Bayes network of Friedman, Geiger and Goldszmidt (1997). They hold counts of at least
:data:`~training.data.synthetic_fitting.FEWEST_ROWS` rows, smoothed and rounded, and no row of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from event_backbone.case.schema import Case
from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import Fault, SettingsError
from training.data.rows import LabelledRows

FORMAT = 1

Bins = npt.NDArray[np.int64]


class ValueBin(Struct, frozen=True, omit_defaults=True):
    """Values that the tables do not tell apart.

    Either single ``values`` with their ``shares`` (null: missing), or ``knots``, quantiles between which values are
    drawn evenly.
    """

    values: tuple[str | int | float | None, ...] = ()
    shares: tuple[int, ...] = ()
    knots: tuple[float, ...] = ()


class ColumnTable(Struct, frozen=True, omit_defaults=True):
    """A column given the label and at most one other column.

    ``weights[label bin][parent bin]`` has a weight for each bin; without a parent there is one parent bin. Numbers are
    drawn with ``decimals`` digits after the point, and as whole numbers without any.
    """

    name: str
    bins: tuple[ValueBin, ...]
    weights: tuple[tuple[tuple[int, ...], ...], ...]
    parent: str | None = None
    decimals: int | None = None


class LabelTable(Struct, frozen=True):
    """The label's bins and their weights."""

    bins: tuple[ValueBin, ...]
    weights: tuple[int, ...]
    decimals: int | None = None


class FittedOn(Struct, frozen=True):
    """Origin of the tables: digests of the files, and how many of their rows."""

    digests: dict[str, str]
    rows: int


class Sample(Struct, frozen=True):
    """Tables to draw a case's synthetic rows from.

    ``names`` is the order of columns in a record; ``columns`` are in drawing order, a parent before its children.
    """

    format: int
    case: str
    names: tuple[str, ...]
    fitted_on: FittedOn
    label: LabelTable
    columns: tuple[ColumnTable, ...]

    def draw(self, rows: int, seed: int) -> LabelledRows:
        """``rows`` new rows; the same seed draws the same."""
        random = np.random.default_rng(seed)
        label_bins = _draw_bins(np.array([self.label.weights]), np.zeros(rows, dtype=np.int64), random)
        labels = _draw_values(self.label.bins, label_bins, self.label.decimals, random)
        bins: dict[str | None, Bins] = {None: np.zeros(rows, dtype=np.int64)}
        values = {}
        for column in self.columns:
            weights = np.array(column.weights)
            groups = label_bins * weights.shape[1] + bins[column.parent]
            bins[column.name] = _draw_bins(weights.reshape(-1, weights.shape[2]), groups, random)
            values[column.name] = _draw_values(column.bins, bins[column.name], column.decimals, random)
        by_row = zip(*(values[name] for name in self.names), strict=True)
        records = [dict(zip(self.names, row, strict=True)) for row in by_row]
        return LabelledRows(records, labels)


def _draw_bins(weights: npt.NDArray[np.int64], groups: Bins, random: np.random.Generator) -> Bins:
    """A bin for each row by the weights of its group; ``weights`` has shape (groups, bins)."""
    cumulative = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    # The last step is 1 but for rounding: a draw above it must not fall off the end.
    cumulative[:, -1] = 1.0
    chances = random.random(len(groups))
    drawn: Bins = (chances[:, None] >= cumulative[groups]).sum(axis=1)
    return drawn


def _draw_values(bins: Sequence[ValueBin], drawn: Bins, decimals: int | None, random: np.random.Generator) -> list[Any]:
    values: list[Any] = [None] * len(drawn)
    for index, one in enumerate(bins):
        places = np.flatnonzero(drawn == index)
        for place, value in zip(places, _draw_within(one, len(places), decimals, random), strict=True):
            values[place] = value
    return values


def _draw_within(one: ValueBin, count: int, decimals: int | None, random: np.random.Generator) -> list[Any]:
    if one.knots:
        positions = random.random(count) * (len(one.knots) - 1)
        numbers = np.interp(positions, np.arange(len(one.knots)), one.knots).round(decimals or 0)
        return [int(number) for number in numbers] if decimals is None else numbers.tolist()
    shares = np.array(one.shares or [1] * len(one.values))
    chosen = _draw_bins(shares[None, :], np.zeros(count, dtype=np.int64), random)
    values = [float(value) if isinstance(value, int) and decimals is not None else value for value in one.values]
    return [values[index] for index in chosen]


def load_sample(path: Path, case: Case) -> Sample:
    """Read a case's sample.

    Raises:
        SettingsError: there is none, it is no sample, or it was made for other columns.
    """
    try:
        sample = decode_bounded(path.read_bytes(), Sample)
    except OSError as error:
        message = f"{(error.strerror or 'unreadable').lower()}; `train-model sample --case {case.name}` makes it"
        raise SettingsError(str(path), [Fault("(file)", "unreadable", message)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), [Fault("(file)", "no_sample", str(error))]) from None
    if sample.format != FORMAT:
        raise SettingsError(str(path), [Fault("format", "format", f"{sample.format} is unknown, this is {FORMAT}")])
    if sample.names != case.column_names:
        raise SettingsError(str(path), [Fault("columns", "columns", "are not the columns of the case file")])
    return sample
