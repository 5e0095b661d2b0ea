"""What a run's data are like, and what changed since the last one; nothing kept joins two values of a row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from event_backbone.case import Case
from event_backbone.events import utc_now
from event_backbone.profile import CategoryProfile, NumberProfile, answer_profile, column_profiles
from training.raw import Source
from training.rows import LabelledRows

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
    categories half the sum of the distances of their shares (total variation); ``notable`` where it is the case's
    smallest effect or more. The shares of missing values are of all rows.
    """

    moved: float
    notable: bool
    missing_before: float
    missing: float
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


def profile_of(case: Case, source: Source, rows: LabelledRows) -> DataProfile:
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
    known = {
        name: change_of(before.columns[name], found, effects[name])
        for name, found in now.columns.items()
        if name in before.columns and type(before.columns[name]) is type(found)
    }
    target = change_of(before.labels, now.labels, case.monitoring.minimum_effect)
    return Changes(before.made_at, before.rows, before.digests == now.digests, known, target)


def change_of(before: ColumnData, now: ColumnData, effect: float) -> Change:
    """Both of the same kind."""
    moved, new, gone = 0.0, set[str](), set[str]()
    if isinstance(before, NumberProfile) and isinstance(now, NumberProfile):
        moved = _moved_numbers(before.rising, now.rising)
    elif isinstance(before, CategoryProfile) and isinstance(now, CategoryProfile):
        moved = _moved_categories(before.counts, now.counts)
        new, gone = now.counts.keys() - before.counts.keys(), before.counts.keys() - now.counts.keys()
    missing_before, missing = missing_share(before), missing_share(now)
    notable = max(moved, abs(missing - missing_before)) >= effect or bool(new or gone)
    return Change(moved, notable, missing_before, missing, sorted(new), sorted(gone))


def missing_share(column: ColumnData) -> float:
    return column.missing / max(1, column.rows)


def _moved_numbers(before: list[float], now: list[float]) -> float:
    from scipy.stats import ks_2samp

    if not before or not now:
        return float(bool(before) != bool(now))
    return float(ks_2samp(before, now, method="asymp").statistic)


def _moved_categories(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    names = sorted(before.keys() | now.keys())
    shares = [
        np.array([counts.get(name, 0) for name in names]) / max(1, sum(counts.values())) for counts in (before, now)
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def load_profile(path: Path) -> DataProfile | None:
    """``None`` when there is none, or one of another form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=DataProfile)
    except (OSError, msgspec.DecodeError):
        return None
