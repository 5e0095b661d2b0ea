"""Profile of a run's data, and its drift since the last run; nothing kept joins two values of a row."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from msgspec import Struct

from event_backbone.case.schema import Case
from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.events.schema import utc_now
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, answer_profile, column_profiles
from event_backbone.statistics.column_drift import (
    CategoryCounts,
    ColumnDecision,
    ColumnDifference,
    NumberSample,
    compare_number_columns,
    decide_family,
)
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
    """One column in two runs, judged as the live page judges a window against its reference.

    ``effect`` is the share of rows that would have to change to make them alike, in the ``values`` or in whether there
    are any (``missing``), as ``moved`` says. Of numbers that is the largest distance of the two distribution functions
    or the difference of the shares of missing values, of categories half the sum of the distances of their shares.
    ``None`` where there is too little to compare. ``notable``: the effect is the case's smallest or more, and beyond
    chance. Shares of missing values are of all rows.
    """

    effect: float | None
    p_value: float | None
    adjusted_p: float | None
    moved: Literal["values", "missing"] | None
    notable: bool
    missing_before: float
    missing: float
    new_categories: list[str]
    gone_categories: list[str]


class Changes(Struct, frozen=True):
    """Drift from one run to another; ``target`` is that of the target. Too few rows (``judged``) say nothing."""

    since: str
    rows_before: int
    same_data: bool
    judged: bool
    columns: dict[str, Change]
    target: Change

    @property
    def notable(self) -> list[str]:
        return [name for name, change in self.columns.items() if change.notable]

    @property
    def sentence(self) -> str:
        if not self.judged:
            return f"changed since {self.since[:10]}: too few rows to tell"
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
    """Of the columns that both runs had, of the same kind; the target is one of the family."""
    pairs = {name: (before.columns[name], found) for name, found in now.columns.items() if name in before.columns}
    pairs = {name: pair for name, pair in pairs.items() if type(pair[0]) is type(pair[1])}
    pairs[case.target.name] = before.labels, now.labels
    judged = now.rows >= case.monitoring.minimum_rows
    differences = {name: compare_columns(*pair) if judged else _NOT_COMPARED for name, pair in pairs.items()}
    decisions = decide_family(
        {name: difference.comparison for name, difference in differences.items()},
        {case.target.name: case.monitoring.minimum_effect}
        | {column.name: case.minimum_effect(column) for column in case.columns},
        case.monitoring.significance,
    )
    changes = {name: _change(*pair, differences[name], decisions[name]) for name, pair in pairs.items()}
    target = changes.pop(case.target.name)
    return Changes(before.made_at, before.rows, before.digests == now.digests, judged, changes, target)


_NOT_COMPARED = ColumnDifference(None, None, enough=False)


def compare_columns(before: ColumnData, now: ColumnData) -> ColumnDifference:
    """Both of the same kind; ``before`` is the reference."""
    if isinstance(before, NumberProfile) and isinstance(now, NumberProfile):
        return compare_number_columns(_sample(before), _sample(now))
    assert isinstance(before, CategoryProfile)
    assert isinstance(now, CategoryProfile)
    counts = np.array([*now.counts.values()], dtype=np.float64)
    return CategoryCounts(before.counts, before.missing).compare(list(now.counts), counts, now.missing)


def _sample(column: NumberProfile) -> NumberSample:
    return NumberSample(np.array(column.sorted_values, dtype=np.float64), column.missing)


def _change(before: ColumnData, now: ColumnData, difference: ColumnDifference, decision: ColumnDecision) -> Change:
    found = difference.comparison
    new, gone = _categories(now) - _categories(before), _categories(before) - _categories(now)
    return Change(
        effect=found.effect if found else None,
        p_value=found.p_value if found else None,
        adjusted_p=decision.adjusted_p,
        moved=difference.moved,
        notable=bool(decision.drifted),
        missing_before=missing_share(before),
        missing=missing_share(now),
        new_categories=sorted(new),
        gone_categories=sorted(gone),
    )


def _categories(column: ColumnData) -> set[str]:
    return set(column.counts) if isinstance(column, CategoryProfile) else set()


def missing_share(column: ColumnData) -> float:
    return column.missing / max(1, column.rows)


def load_profile(path: Path) -> DataProfile | None:
    """``None`` when there is none, or one of another form."""
    try:
        return decode_bounded(path.read_bytes(), DataProfile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
