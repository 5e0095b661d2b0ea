"""Difference between a model version's predictions and the recorded ones: decisions, scores, by segment and version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from event_backbone.case.schema import Case, Column
from event_backbone.events.schema import ModelRef
from stream_generator.recording.port import Answered
from stream_generator.sending.latency import LogHistogram

#: A category column with more values makes no segments.
MOST_VALUES = 20
#: Quantiles of the absolute shift that a report holds.
QUANTILES = (0.5, 0.9, 0.99)
#: Shifts below it count as 0 in quantiles.
_SMALLEST_SHIFT = 1e-9

MISSING, OTHER = "(missing)", "(other)"


class Shift(Struct, frozen=True):
    """New score minus recorded score; ``None`` when there was none. ``max`` and ``quantiles`` are of its size."""

    mean: float | None
    mean_absolute: float | None
    max: float | None
    quantiles: dict[str, float | None] | None = None


class Flips(Struct, frozen=True):
    """Decisions that changed; ``directions`` counts them as ``recorded → new``."""

    count: int
    share: float | None
    directions: dict[str, int]


class ScoreDifference(Struct, frozen=True):
    """``flips`` is ``None`` for a regression. ``relative`` is the shift by the recorded size, where that is not 0."""

    records: int
    flips: Flips | None
    shift: Shift
    relative: Shift | None


class VersionDifference(Struct, frozen=True):
    """For the records that one version answered then."""

    model: ModelRef
    difference: ScoreDifference


class SegmentDifference(Struct, frozen=True):
    """For the records with one value of one column."""

    column: str
    value: str
    difference: ScoreDifference


class DifferenceReport(Struct, frozen=True):
    """What ``--summary`` writes. ``not_scored`` counts records by why the version refuses them."""

    source: str
    model: ModelRef
    bundle_sha256: str
    overall: ScoreDifference
    by_version: list[VersionDifference]
    by_segment: list[SegmentDifference]
    not_scored: dict[str, int]
    kept: int | None = None


@dataclass
class _Spread:
    """Running sums of shifts."""

    number: int = 0
    total: float = 0.0
    total_absolute: float = 0.0
    largest: float = 0.0
    sizes: LogHistogram = field(default_factory=lambda: LogHistogram(_SMALLEST_SHIFT, smallest_is=0.0))

    def add(self, shift: float) -> None:
        size = abs(shift)
        self.number += 1
        self.total += shift
        self.total_absolute += size
        self.largest = max(self.largest, size)
        self.sizes.add(size)

    def shift(self) -> Shift:
        if not self.number:
            return Shift(None, None, None)
        # A bucket's middle may lie beyond the largest value in it.
        quantiles = {f"p{share * 100:g}": self._at_most(self.sizes.quantile(share)) for share in QUANTILES}
        return Shift(self.total / self.number, self.total_absolute / self.number, self.largest, quantiles)

    def _at_most(self, size: float | None) -> float | None:
        return None if size is None else min(size, self.largest)


class _RecordGroup:
    """Running totals of some of the records."""

    def __init__(self, *, decides: bool) -> None:
        self._decides = decides
        self._directions: Counter[str] = Counter()
        self._shifts, self._relative = _Spread(), _Spread()

    def add(self, before: Answered, decision: str | float, score: float) -> None:
        self._shifts.add(score - before.score)
        if self._decides:
            if decision != before.prediction:
                self._directions[f"{before.prediction} → {decision}"] += 1
        elif before.score:
            self._relative.add((score - before.score) / abs(before.score))

    def difference(self) -> ScoreDifference:
        records, flipped = self._shifts.number, self._directions.total()
        flips = Flips(flipped, flipped / records if records else None, dict(sorted(self._directions.items())))
        relative = None if self._decides else self._relative.shift()
        return ScoreDifference(records, flips if self._decides else None, self._shifts.shift(), relative)


class Differences:
    """Takes record after record; memory grows with the number of segments and versions alone."""

    def __init__(self, case: Case) -> None:
        self._decides = case.is_binary
        self._columns = [column for column in case.columns if column.is_category and _has_few_values(column)]
        self._overall = self._new_group()
        self._by_version: dict[ModelRef, _RecordGroup] = {}
        self._by_segment: dict[tuple[str, str], _RecordGroup] = {
            (column.name, value): self._new_group()
            for column in self._columns
            for value in (*column.categories, MISSING, OTHER)
        }
        self._not_scored: Counter[str] = Counter()

    @property
    def records(self) -> int:
        return self._overall.difference().records

    def add(self, record: Mapping[str, Any], before: Answered, decision: str | float, score: float) -> None:
        """``before`` is the recorded prediction, the rest the new one."""
        for group in self._groups_of(record, before):
            group.add(before, decision, score)

    def refused(self, reason: str) -> None:
        """A record that the version's case file doesn't allow."""
        self._not_scored[reason] += 1

    def report(self, source: str, model: ModelRef, bundle_sha256: str, kept: int | None) -> DifferenceReport:
        versions = sorted(self._by_version.items(), key=lambda item: (item[0].name, item[0].version))
        return DifferenceReport(
            source=source,
            model=model,
            bundle_sha256=bundle_sha256,
            overall=self._overall.difference(),
            by_version=[VersionDifference(model, group.difference()) for model, group in versions],
            by_segment=list(self._segments()),
            not_scored=dict(sorted(self._not_scored.items())),
            kept=kept,
        )

    def _segments(self) -> Iterator[SegmentDifference]:
        for (column, value), group in self._by_segment.items():
            difference = group.difference()
            if difference.records:
                yield SegmentDifference(column, value, difference)

    def _groups_of(self, record: Mapping[str, Any], before: Answered) -> Iterator[_RecordGroup]:
        yield self._overall
        if before.model not in self._by_version:
            self._by_version[before.model] = self._new_group()
        yield self._by_version[before.model]
        for column in self._columns:
            yield self._by_segment[column.name, _segment_of(column, record.get(column.name))]

    def _new_group(self) -> _RecordGroup:
        return _RecordGroup(decides=self._decides)


def _has_few_values(column: Column) -> bool:
    return len(column.categories) <= MOST_VALUES


def _segment_of(column: Column, value: Any) -> str:
    if value is None:
        return MISSING
    return str(value) if value in column.categories else OTHER
