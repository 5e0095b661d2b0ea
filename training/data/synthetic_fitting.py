"""Fitting of the synthetic sample's tables on real training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from event_backbone.case.schema import Case
from training.data.rows import Floats, LabelledRows
from training.data.synthetic import FORMAT, Bins, ColumnTable, FittedOn, LabelTable, Sample, ValueBin

#: A cell, a value or a bin that fewer rows share is left out: tables must not tell rows.
FEWEST_ROWS = 5
#: Numbers are cut where the label changes, and at these many quantiles.
LABEL_CUTS = 16
QUANTILE_CUTS = 6
#: Rows a bin of a number must hold.
FEWEST_ROWS_IN_BIN = 30
#: A regression's label is cut at quantiles.
LABEL_BINS = 10
#: Values in a bin up to which each is kept with its share; above, the bin is described by quantiles.
MOST_SINGLE_VALUES = 40
KNOTS = 11
#: Rows of the label's own distribution mixed into every cell.
SMOOTHING_ROWS = 5.0
SCALING_ROUNDS = 10
#: Weights of a distribution sum to about this, which rounds them to four digits.
WEIGHT_SCALE = 10_000

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Binned:
    """A column cut into bins, and the bin of every row."""

    bins: Sequence[ValueBin]
    places: Bins
    decimals: int | None = None


def fit_sample(case: Case, rows: LabelledRows, digests: Mapping[str, str]) -> Sample:
    """Tables of ``rows``, which must be training rows only."""
    targets = rows.targets(case)
    label = _binned_label(case, rows, targets)
    columns = {
        column.name: _binned_categories([record[column.name] for record in rows.records])
        if column.is_category
        else _binned_numbers([record[column.name] for record in rows.records], targets)
        for column in case.columns
    }
    return Sample(
        format=FORMAT,
        case=case.name,
        names=case.column_names,
        fitted_on=FittedOn(dict(digests), len(rows)),
        label=LabelTable(tuple(label.bins), _as_weights(_counts(label)), label.decimals),
        columns=tuple(
            _table(name, columns[name], label, parent, columns[parent] if parent else None)
            for name, parent in _tree(columns, label)
        ),
    )


def _binned_label(case: Case, rows: LabelledRows, targets: Floats) -> Binned:
    if case.is_binary:
        return _binned_categories(list(rows.labels))
    cuts = np.unique(np.quantile(targets, np.linspace(0, 1, LABEL_BINS + 1)[1:-1]))
    return _cut(targets, cuts, _decimals_of(targets))


def _binned_categories(values: Sequence[str | float | None]) -> Binned:
    """A bin for each category that enough rows share; the others' rows count as the most frequent one."""
    kept = [value for value, count in Counter(values).most_common() if count >= FEWEST_ROWS]
    index = {value: place for place, value in enumerate(kept)}
    return Binned([ValueBin(values=(value,)) for value in kept], np.array([index.get(value, 0) for value in values]))


def _binned_numbers(values: Sequence[float | None], targets: Floats) -> Binned:
    """Bins of a numeric column, and one more for missing values if there are enough."""
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    present = ~np.isnan(numbers)
    whole = all(isinstance(value, int) for value in values if value is not None)
    decimals = None if whole else _decimals_of(numbers[present])
    binned = _cut(numbers[present], _cuts(numbers[present], targets[present]), decimals)
    places = np.zeros(len(numbers), dtype=np.int64)
    places[present] = binned.places
    if (~present).sum() < FEWEST_ROWS:
        return Binned(binned.bins, places, decimals)
    places[~present] = len(binned.bins)
    return Binned([*binned.bins, ValueBin(values=(None,))], places, decimals)


def _cuts(numbers: Floats, targets: Floats) -> Floats:
    """Cuts of a regression tree on this column alone, and quantiles between."""
    from sklearn.tree import DecisionTreeRegressor

    tree = DecisionTreeRegressor(max_leaf_nodes=LABEL_CUTS, min_samples_leaf=FEWEST_ROWS_IN_BIN, random_state=0)
    thresholds = tree.fit(numbers[:, None], targets).tree_.threshold
    by_label = thresholds[tree.tree_.feature >= 0]
    by_quantile = np.quantile(numbers, np.linspace(0, 1, QUANTILE_CUTS + 1)[1:-1])
    return _wide_enough(numbers, np.unique(np.concatenate([by_label, by_quantile])))


def _wide_enough(numbers: Floats, cuts: Floats) -> Floats:
    """The cuts that leave enough rows on both sides of each."""
    kept: list[float] = []
    total = len(numbers)
    below_last = 0
    for cut in cuts:
        below = int((numbers <= cut).sum())
        if below - below_last >= FEWEST_ROWS_IN_BIN and total - below >= FEWEST_ROWS_IN_BIN:
            kept.append(float(cut))
            below_last = below
    return np.array(kept)


def _cut(numbers: Floats, cuts: Floats, decimals: int | None) -> Binned:
    places = np.searchsorted(cuts, numbers, side="left")
    bins = [_number_bin(numbers[places == index], decimals) for index in range(len(cuts) + 1)]
    return Binned(bins, places, decimals)


def _number_bin(numbers: Floats, decimals: int | None) -> ValueBin:
    values, counts = np.unique(numbers, return_counts=True)
    shared = counts >= FEWEST_ROWS
    # Single values are kept where they stand for nearly all rows of the bin: ages, spikes, tops of a scale.
    if shared.sum() <= MOST_SINGLE_VALUES and counts[shared].sum() >= 0.8 * len(numbers):
        # round() to no digits gives whole numbers.
        kept = [round(float(value), decimals) for value in values[shared]]
        return ValueBin(values=tuple(kept), shares=_as_weights(counts[shared].astype(np.float64), scale=1000))
    return ValueBin(knots=_knots(numbers, decimals))


def _knots(numbers: Floats, decimals: int | None) -> tuple[float, ...]:
    """Quantiles of a bin; the outermost are means of a few rows, since a smallest or largest value is a row's own."""
    ordered = np.sort(numbers)
    inner = np.quantile(ordered, np.linspace(0, 1, KNOTS)[1:-1])
    ends = ordered[:FEWEST_ROWS].mean(), ordered[-FEWEST_ROWS:].mean()
    return tuple(float(knot) for knot in np.sort([ends[0], *inner, ends[1]]).round(decimals or 0))


def _decimals_of(numbers: Floats) -> int:
    """Digits after the point that the numbers are written with, at most six."""
    return next((digits for digits in range(6) if np.allclose(numbers, numbers.round(digits), rtol=0, atol=1e-9)), 6)


def _tree(columns: Mapping[str, Binned], label: Binned) -> list[tuple[str, str | None]]:
    """(column, parent) in drawing order: the spanning tree of most information between columns, given the label."""
    names = list(columns)
    information = {
        frozenset((one, other)): _information(columns[one], columns[other], label)
        for index, one in enumerate(names)
        for other in names[index + 1 :]
    }
    root = max(names, key=lambda name: sum(value for pair, value in information.items() if name in pair))
    drawn: list[tuple[str, str | None]] = [(root, None)]
    while len(drawn) < len(names):
        reached = [name for name, _ in drawn]
        edges = [(information[frozenset((name, parent))], name, parent)
                 for parent in reached for name in names if name not in reached]  # fmt: skip
        _, name, parent = max(edges)
        drawn.append((name, parent))
    return drawn


def _information(one: Binned, other: Binned, label: Binned) -> float:
    """Mutual information of two columns given the label, in nats, less what independent columns of this size show."""
    joint = _joint_counts(one, other, label)
    total = joint.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = joint * joint.sum(axis=(1, 2), keepdims=True) / (
            joint.sum(axis=1, keepdims=True) * joint.sum(axis=2, keepdims=True)
        )  # fmt: skip
        terms = np.where(joint > 0, joint / total * np.log(ratio), 0.0)
    # Miller (1955): the expected excess of the plug-in estimate is degrees of freedom / 2n.
    freedom = joint.shape[0] * (joint.shape[1] - 1) * (joint.shape[2] - 1)
    return float(terms.sum() - freedom / (2 * total))


def _joint_counts(one: Binned, other: Binned, label: Binned) -> Counts:
    """Rows by (label bin, bin of ``other``, bin of ``one``)."""
    shape = len(label.bins), len(other.bins), len(one.bins)
    flat = np.ravel_multi_index((label.places, other.places, one.places), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64)


def _counts(binned: Binned) -> Counts:
    return np.bincount(binned.places, minlength=len(binned.bins)).astype(np.float64)


def _table(name: str, column: Binned, label: Binned, parent: str | None, parent_column: Binned | None) -> ColumnTable:
    above = parent_column or Binned([ValueBin()], np.zeros(len(label.places), dtype=np.int64))
    counts = _joint_counts(column, above, label)
    told = np.where(counts >= FEWEST_ROWS, counts, 0.0)
    # The rows of cells that are too small to tell are spread as label and parent would, each on its own.
    spread = counts.sum(axis=2, keepdims=True) - told.sum(axis=2, keepdims=True) + SMOOTHING_ROWS
    smoothed = _with_shares_of_label(told + spread * _without_interaction(counts), counts)
    weights = tuple(tuple(_as_weights(cell) for cell in group) for group in smoothed)
    return ColumnTable(name, tuple(column.bins), weights, parent, column.decimals)


def _without_interaction(counts: Counts) -> Counts:
    """P(bin | label) P(bin | parent) / P(bin), in the shape of ``counts``: (label bins, parent bins, bins)."""
    overall = _smoothed(counts.sum(axis=(0, 1), keepdims=True), 1.0 / counts.shape[2])
    by_label = _smoothed(counts.sum(axis=1, keepdims=True), overall)
    by_parent = _smoothed(counts.sum(axis=0, keepdims=True), overall)
    return _shares(by_label * by_parent / overall)


def _with_shares_of_label(smoothed: Counts, counts: Counts) -> Counts:
    """Scale cells until each label's rows, over all parents, have the shares of the data again.

    Smoothing moves rows to rare bins; a few rounds of scaling (iterative proportional fitting) move them back.
    """
    of_parents = counts.sum(axis=2, keepdims=True) / np.maximum(counts.sum(axis=(1, 2), keepdims=True), 1.0)
    wanted = _smoothed(counts.sum(axis=1, keepdims=True), 1e-9)
    shares = _shares(smoothed)
    for _ in range(SCALING_ROUNDS):
        drawn = (of_parents * shares).sum(axis=1, keepdims=True)
        shares = _shares(shares * wanted / np.maximum(drawn, 1e-12) + 1e-12)
    return shares


def _smoothed(counts: Counts, towards: Counts | float) -> Counts:
    return _shares(np.where(counts >= FEWEST_ROWS, counts, 0.0) + SMOOTHING_ROWS * towards)


def _shares(counts: Counts) -> Counts:
    shares: Counts = counts / counts.sum(axis=2, keepdims=True)
    return shares


def _as_weights(counts: Counts, scale: int = WEIGHT_SCALE) -> tuple[int, ...]:
    return tuple(int(weight) for weight in np.round(counts / counts.sum() * scale))
