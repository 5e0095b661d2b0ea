"""What a run's data are like, and what changed since the last one; nothing kept joins two values of a row."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from event_backbone.case.schema import Case
from event_backbone.events.schema import utc_now
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, answer_profile, column_profiles
from training.data.raw import DataOrigin
from training.data.rows import LabelledRows

ColumnData = NumberProfile | CategoryProfile


class DataProfile(Struct, frozen=True):
    """The train rows of one run, column by column; ``labels`` is the target's."""

    case: str
    made_at: str
    source: str
    synthetic: bool
    digests: dict[str, str]
    rows: int
    columns: dict[str, ColumnData]
    labels: ColumnData


class Change(Struct, frozen=True):
    """One column in two runs: ``moved`` is the share of rows that would have to change to make them alike.

    For numbers that is the largest distance of the two distribution functions (Kolmogorov and Smirnov's statistic), for
    categories half the sum of the distances of their shares (total variation). The shares of missing values are of all
    rows. ``notable``: the larger of both moves is the case's smallest effect or more, and beyond chance.
    """

    moved: float
    missing_before: float
    missing: float
    notable: bool
    new_categories: list[str]
    gone_categories: list[str]


class Changes(Struct, frozen=True):
    """From one run to another; ``target`` is the target's change."""

    since: str
    rows_before: int
    same_data: bool
    columns: dict[str, Change]
    target: Change

    @property
    def notable(self) -> list[str]:
        return [name for name, change in self.columns.items() if change.notable]

    @property
    def sentence(self) -> str:
        target = ["the target"] if self.target.notable else []
        return f"changed since {self.since[:10]}: {', '.join([*target, *self.notable]) or 'nothing notable'}"


def profile_of(case: Case, source: DataOrigin, rows: LabelledRows) -> DataProfile:
    return DataProfile(
        case=case.name,
        made_at=utc_now(),
        source=source.sentence,
        synthetic=source.is_synthetic,
        digests=source.digests,
        rows=len(rows),
        columns=column_profiles(case, {name: [record[name] for record in rows.records] for name in case.column_names}),
        labels=answer_profile(case, rows.labels),
    )


def changes_between(case: Case, before: DataProfile, now: DataProfile) -> Changes:
    """Of the columns that both runs had, of the same kind."""
    effects = {column.name: case.minimum_effect(column) for column in case.columns}
    # Every column is a chance of a false alarm, and so is the target.
    significance = case.monitoring.significance / (len(effects) + 1)
    known = {
        name: change_of(before.columns[name], found, effects[name], significance)
        for name, found in now.columns.items()
        if name in before.columns and type(before.columns[name]) is type(found)
    }
    target = change_of(before.labels, now.labels, case.monitoring.minimum_effect, significance)
    return Changes(before.made_at, before.rows, before.digests == now.digests, known, target)


def change_of(before: ColumnData, now: ColumnData, effect: float, significance: float) -> Change:
    """Both of the same kind. A move of at least ``effect`` is notable when its p is below ``significance``."""
    moved, p = _move(before, now)
    missing_before, missing = missing_share(before), missing_share(now)
    present = [[column.missing, column.rows - column.missing] for column in (before, now)]
    tests = [(moved, p), (abs(missing - missing_before), _p_of_counts(present))]
    notable = any(size >= effect and chance < significance for size, chance in tests)
    new, gone = _categories(now) - _categories(before), _categories(before) - _categories(now)
    return Change(moved, missing_before, missing, notable, sorted(new), sorted(gone))


def _move(before: ColumnData, now: ColumnData) -> tuple[float, float]:
    """How far the values that are there moved, and the p of the two-sample test."""
    if isinstance(before, NumberProfile) and isinstance(now, NumberProfile):
        return _move_of_numbers(before.sorted_values, now.sorted_values)
    assert isinstance(before, CategoryProfile)
    assert isinstance(now, CategoryProfile)
    names = sorted(before.counts.keys() | now.counts.keys())
    return _move_of_counts([[column.counts.get(name, 0) for name in names] for column in (before, now)])


def _categories(column: ColumnData) -> set[str]:
    return set(column.counts) if isinstance(column, CategoryProfile) else set()


def missing_share(column: ColumnData) -> float:
    return column.missing / max(1, column.rows)


def _move_of_numbers(before: list[float], now: list[float]) -> tuple[float, float]:
    from scipy.stats import ks_2samp

    if not before or not now:
        return 0.0, 1.0  # one that lost every value shows it in the missing ones
    test = ks_2samp(before, now, method="asymp")
    return float(test.statistic), float(test.pvalue)


def _move_of_counts(counts: list[list[int]]) -> tuple[float, float]:
    totals = [sum(one) for one in counts]
    if not all(totals):
        return 0.0, 1.0
    shares = [np.array(one) / total for one, total in zip(counts, totals, strict=True)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2), _p_of_counts(counts)


def _p_of_counts(counts: list[list[int]]) -> float:
    """Pearson's test of two rows of counts; categories that neither has say nothing."""
    from scipy.stats import chi2_contingency

    table = np.array(counts)
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table).pvalue) if table.shape[1] > 1 else 1.0


def load_profile(path: Path) -> DataProfile | None:
    """``None`` when there is none, or one of another form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=DataProfile)
    except (OSError, msgspec.DecodeError):
        return None
