"""Performance by segment, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.formats.visible_text import visible
from training.data.rows import Floats, Indices, LabelledRows
from training.promotion.paired import auc, r2

_RESAMPLES = 500
_CONFIDENCE = 0.95
#: Fewer rows than this say nothing.
_FEWEST_ROWS = 30
#: Log loss of a certain error is infinite.
_SMALLEST = 1e-15

#: A measure of ``targets`` and ``scores``, both of shape (..., rows); the result has shape (...).
Measure = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Interval:
    """A measure, and the limits of its 95 % percentile bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 4 if abs(self.value) < 10 else 0
        return f"{self.value:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


@dataclass(frozen=True)
class Segment:
    """One part of the rows, and its measures by name."""

    column: str
    value: str
    rows: int
    measures: Mapping[str, Interval]


def segments_of(case: Case, rows: LabelledRows) -> Iterator[tuple[str, str, Indices]]:
    """Column, value and places of every segment that the case file declares and that has rows enough."""
    for name in case.monitoring.segments:
        values = [str(record[name]) for record in rows.records]
        yield from _grouped(name, values, sorted(set(values)))
    for name, edges in case.training.bands.items():
        bands = _bands(edges)
        values = [bands[int(np.searchsorted(edges, record[name], side="right"))] for record in rows.records]
        yield from _grouped(name, values, bands)


def _bands(edges: list[float]) -> list[str]:
    """Names of what lies between edges; an edge belongs to the band above it."""
    between = [f"{low:g} to below {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *between, f"{edges[-1]:g} and above"]


def _grouped(column: str, values: list[str], names: list[str]) -> Iterator[tuple[str, str, Indices]]:
    """Values of records come out as one line, for tables, tags and terminals."""
    for name in names:
        places = np.flatnonzero(np.array(values) == name)
        if len(places) >= _FEWEST_ROWS:
            yield column, visible(name), places


def measure_segments(
    case: Case, rows: LabelledRows, scores: Floats, threshold: float | None, seed: int
) -> list[Segment]:
    """The measures of all rows and of every segment; ``scores`` of shape (rows,)."""
    targets = rows.targets(case)
    everything = ("all rows", "", np.arange(len(rows)))
    return [
        Segment(column, value, len(places), _measured(case, targets[places], scores[places], threshold, seed))
        for column, value, places in [everything, *segments_of(case, rows)]
    ]


def _measured(case: Case, targets: Floats, scores: Floats, threshold: float | None, seed: int) -> dict[str, Interval]:
    measures = measures_of_classes(threshold or 0.5) if case.is_binary else {"mae": _mae, "r2": r2}
    if case.is_binary and len(np.unique(targets)) == 1:
        del measures["auc"]  # nothing to rank
    return {name: bootstrap_interval(measure, targets, scores, seed) for name, measure in measures.items()}


def measures_of_classes(threshold: float) -> dict[str, Measure]:
    """AUC, log loss, accuracy at the threshold, and how far the mean score is from the share of positives."""
    return {
        "auc": auc,
        "log_loss": _log_loss,
        "accuracy": lambda targets, scores: ((scores >= threshold) == (targets > 0.5)).mean(axis=-1),
        "score_excess": lambda targets, scores: (scores - targets).mean(axis=-1),
    }


def _log_loss(targets: Any, scores: Any) -> Any:
    return -np.log(np.maximum(np.where(targets > 0.5, scores, 1 - scores), _SMALLEST)).mean(axis=-1)


def _mae(targets: Any, scores: Any) -> Any:
    return np.abs(targets - scores).mean(axis=-1)


def bootstrap_interval(measure: Measure, targets: Floats, scores: Floats, seed: int) -> Interval:
    """Percentile bootstrap over rows (Efron and Tibshirani 1993, chapter 13)."""
    from scipy.stats import bootstrap

    limits = bootstrap(
        (targets, scores),
        lambda targets, scores, axis=-1: measure(targets, scores),
        n_resamples=_RESAMPLES,
        batch=50,
        vectorized=True,
        paired=True,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(measure(targets, scores)), float(limits.low), float(limits.high))
