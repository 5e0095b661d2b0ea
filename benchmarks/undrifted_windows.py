"""False alarms: how often a window without drift has a column that Evidently's default verdict, or ours, flags.

    python -m benchmarks.undrifted_windows --windows 60

Windows are drawn from the stream split, which comes from the same rows as the reference of the current bundle. Ours is
counted before persistence: one suspicious check is enough here, where a verdict takes several in a row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import msgspec
import numpy as np

from event_backbone.bundle import BundleShelf
from event_backbone.case import Case
from event_backbone.errors import StopError
from event_backbone.settings import Settings, read_settings
from monitoring_service.drift import measure_columns
from monitoring_service.references import Reference, References
from monitoring_service.verdict import Moment, Rule, judge
from monitoring_service.window_columns import column_values

WINDOW_ROWS = (200, 500, 1000)

Columns = Mapping[str, Sequence[Any]]


def current_reference(settings: Settings, case: Case) -> Reference:
    current = BundleShelf(settings.bundles_dir).current()
    if current is None:
        raise StopError(f"no bundle in {settings.bundles_dir}: run train-model first")
    lookup = References(case, settings.bundles_dir, settings.monitoring_dir).find(current.bundle_sha256)
    if lookup.reference is None:
        raise StopError(lookup.fault or "no reference")
    return lookup.reference


def drawn_windows(settings: Settings, case: Case, rows: int, windows: int, seed: int) -> Iterator[Columns]:
    """Windows of ``rows`` different rows of the stream split, one list of values a column."""
    records = [msgspec.json.decode(line)["record"] for line in settings.stream_path.read_bytes().splitlines()]
    random = np.random.default_rng([seed, rows])
    for _ in range(windows):
        drawn = [records[place] for place in random.choice(len(records), rows, replace=False)]
        yield {name: [record[name] for record in drawn] for name in case.column_names}


def default_flags(case: Case, reference: Columns, window: Columns) -> bool:
    """Whether Evidently, asked for nothing in particular, calls any column drifted."""
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    def is_drifted(name: str, kind: ColumnType) -> bool:
        known, current = pd.Series(list(reference[name])).dropna(), pd.Series(list(window[name])).dropna()
        return bool(get_stattest(known, current, kind, None)(known, current, kind, None).drifted)

    return any(is_drifted(column.name, ColumnType("cat" if column.is_category else "num")) for column in case.columns)


def ours_suspects(case: Case, reference: Reference, window: Columns) -> bool:
    """Whether one check finds any column suspicious."""
    rule = Rule(case.monitoring.significance, consecutive_checks=1, window_rows=case.monitoring.window_rows)
    effects = {column.name: case.minimum_effect(column) for column in case.columns}
    columns = {column.name: column_values(column, window[column.name]) for column in case.columns}
    measures = measure_columns(case, reference.drift, columns, with_scores=False)
    return any(judged.streak.drifted for judged in judge(measures, effects, {}, Moment(1, ""), rule))


@click.command()
@click.option("--windows", default=60, show_default=True, help="windows drawn of each size")
@click.option("--seed", default=1, show_default=True)
def main(windows: int, seed: int) -> None:
    """Count windows without drift that are flagged, by size."""
    os.environ["DO_NOT_TRACK"] = "true"
    settings = read_settings(Settings)
    case = settings.load_case()
    reference = current_reference(settings, case)
    for rows in WINDOW_ROWS:
        drawn = list(drawn_windows(settings, case, rows, windows, seed))
        default = sum(default_flags(case, reference.rows, window) for window in drawn)
        ours = sum(ours_suspects(case, reference, window) for window in drawn)
        print(f"{rows:5} rows  Evidently's default flags {default} of {windows}, ours suspects {ours}", flush=True)


if __name__ == "__main__":
    main()
