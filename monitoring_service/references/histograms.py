"""Histograms of one column: shares of rows in the reference beside those in the window, bin by bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from event_backbone.case.schema import Column
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from monitoring_service.windows.columns import OTHER, CategoryValues, ColumnValues, Floats, NumberValues

#: Bins of equal width between these quantiles of the reference; what lies outside has a bin on each side.
NUMBER_BINS = 20
INNER_QUANTILES = (0.01, 0.99)
#: Categories that have a bin of their own, at most.
CATEGORY_BINS = 20
MISSING_LABEL = "(missing)"

Counts = Mapping[str, int]


class HistogramBin(Struct, frozen=True):
    """Shares of all rows, 0 to 1; ``reference`` is ``None`` where there is no reference."""

    label: str
    reference: float | None
    window: float


class Distribution(Struct, frozen=True):
    """Bins in the order of a chart: numbers ascending, categories by their share in the reference."""

    kind: Literal["numbers", "categories"]
    bins: list[HistogramBin]


def distribution(
    column: Column, reference: NumberProfile | CategoryProfile | None, window: ColumnValues
) -> Distribution:
    """Never raises; a reference of another kind than the column counts as none. Without any row there are no bins."""
    if isinstance(window, CategoryValues):
        return _of_categories(reference if isinstance(reference, CategoryProfile) else None, window)
    return _of_numbers(column, reference if isinstance(reference, NumberProfile) else None, window)


def _of_numbers(column: Column, reference: NumberProfile | None, window: NumberValues) -> Distribution:
    present = window.values[~np.isnan(window.values)]
    known = None if reference is None else np.array(reference.sorted_values, dtype=np.float64)
    edges = _edges(known if known is not None and known.size else present, whole=column.kind == "integer")
    if edges is None:
        return Distribution("numbers", _with_missing([], reference, window.values.size, present.size))
    rows, known_rows = window.values.size, reference.rows if reference else 0
    labels = _labels(edges, whole=column.kind == "integer")
    shares = _shares(edges, present, rows)
    known_shares = [None] * len(labels) if known is None else _shares(edges, known, known_rows)
    bins = [HistogramBin(*values) for values in zip(labels, known_shares, shares, strict=True)]
    return Distribution("numbers", _with_missing(bins, reference, rows, present.size))


def _edges(known: Floats, *, whole: bool) -> Floats | None:
    """Ascending borders of the inner bins, each of which holds its lower border; ``None`` where there is no value."""
    if not known.size:
        return None
    low, high = np.quantile(known, INNER_QUANTILES, method="inverted_cdf")
    if whole:
        width = max(1.0, np.ceil((high - low + 1) / NUMBER_BINS))
        bins = int((high - low) // width) + 1
        edges: Floats = low + width * np.arange(bins + 1)
        return edges
    if high <= low:
        return np.array([low, np.nextafter(low, np.inf)])
    inner = low + (high - low) / NUMBER_BINS * np.arange(NUMBER_BINS)
    # The largest value belongs to the last bin.
    return np.append(inner, np.nextafter(high, np.inf))


def _shares(edges: Floats, values: Floats, rows: int) -> list[float]:
    """Of all rows those below the first border, in each bin, and from the last border on."""
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=edges.size + 1)
    return [count / rows if rows else 0.0 for count in counts.tolist()]


def _labels(edges: Floats, *, whole: bool) -> list[str]:
    last = edges[1:] - 1 if whole else np.append(edges[1:-1], np.nextafter(edges[-1], -np.inf))
    spans = [(f"{low:.6g}", f"{high:.6g}") for low, high in zip(edges[:-1].tolist(), last.tolist(), strict=True)]
    inner = [low if low == high else f"{low} to {high}" for low, high in spans]
    return [f"below {spans[0][0]}", *inner, f"above {spans[-1][1]}"]


def _of_categories(reference: CategoryProfile | None, window: CategoryValues) -> Distribution:
    rows = window.codes.size
    by_code = np.bincount(window.codes + 1, minlength=len(window.names) + 1)[1:].tolist()
    counts = {name: count for name, count in zip(window.names, by_code, strict=True) if count}
    known = dict(reference.counts) if reference else {}
    known_rows = reference.rows if reference else 0
    bins = [
        HistogramBin(label, _share_of(known, names, known_rows) if reference else None, _share_of(counts, names, rows))
        for label, names in _groups(known, counts, known_rows, rows)
    ]
    return Distribution("categories", _with_missing(bins, reference, rows, sum(by_code)))


def _groups(known: Counts, counts: Counts, known_rows: int, rows: int) -> list[tuple[str, list[str]]]:
    """The categories with the largest share on either side each for itself, all the others together."""

    def largest_share(name: str) -> float:
        return max(_share_of(known, [name], known_rows), _share_of(counts, [name], rows))

    names = sorted({*counts, *known}, key=lambda name: (-known.get(name, 0), -counts.get(name, 0), name))
    shown = set(sorted(names, key=largest_share, reverse=True)[:CATEGORY_BINS]) - {OTHER}
    rest = [name for name in names if name not in shown]
    return [*((name, [name]) for name in names if name in shown), *([(OTHER, rest)] if rest else [])]


def _share_of(counts: Counts, names: Sequence[str], rows: int) -> float:
    return sum(counts.get(name, 0) for name in names) / rows if rows else 0.0


def _with_missing(
    bins: list[HistogramBin], reference: NumberProfile | CategoryProfile | None, rows: int, present: int
) -> list[HistogramBin]:
    """The bins and one more where a row has no value on either side."""
    known = reference.missing if reference else 0
    if rows == present and not known:
        return bins
    of_reference = known / reference.rows if reference and reference.rows else None
    return [*bins, HistogramBin(MISSING_LABEL, of_reference, (rows - present) / rows if rows else 0.0)]
