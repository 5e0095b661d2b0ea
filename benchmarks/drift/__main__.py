"""How good the drift verdict is, on real census rows: reference 5,000, window 1,000, a check every 50 rows.

python -m benchmarks.drift --seed 1 --data-dir DIR        minutes; writes docs/drift-bench.md and its picture
python -m benchmarks.drift --short                        within a minute; fails when it is worse than its bounds
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from benchmarks.drift.frames import REFERENCE_ROWS
from benchmarks.drift.measuring import (
    OURS,
    REFERENCES,
    Delays,
    FalseAlarms,
    Form,
    Source,
    delays,
    false_alarms,
    rows_of,
)
from benchmarks.drift.shifts import Shift, drawn_shifts, listed_shifts
from benchmarks.drift.table import delay_table, false_alarm_table, mean_divergence, median_delay, misses, write_picture
from event_backbone.settings import read_settings
from training.settings import TrainingSettings

DOCS = Path(__file__).parents[2] / "docs"
FORMS: tuple[Form, ...] = ("sudden", "gradual", "recurring", "first row")
#: Streams this far from the reference since the shift began may not be missed, in nats.
LEAST_DIVERGENCE = 0.01
#: In all streams of the full form together: 1,000,000 rows.
MOST_FALSE_EPISODES = 10
#: The median of the short form's five streams may lie this much further off than that of the full form's twenty.
SHORT_SLACK = 1.3
#: Within so many rows a skew from the first one is found.
WINDOW_ROWS = 1_000


def measure_false_alarms(source: Source, pool: ProcessPoolExecutor, references: int, rows: int) -> list[FalseAlarms]:
    return list(pool.map(partial(_false_alarms, source, rows), range(references)))


def _false_alarms(source: Source, rows: int, reference: int) -> FalseAlarms:
    return false_alarms(source, reference, rows, with_rivals=True)


def measure_delays(
    source: Source, pool: ProcessPoolExecutor, shifts: Iterable[Shift], forms: Sequence[Form], runs: int
) -> list[Delays]:
    tasks = [(shift, form, run) for shift in shifts for form in forms for run in range(runs)]
    return list(pool.map(partial(_delays, source), tasks, chunksize=2))


def _delays(source: Source, task: tuple[Shift, Form, int]) -> Delays:
    return delays(source, *task)


def faults(alarms: Sequence[FalseAlarms], most_episodes: int, found: Iterable[Delays], slack: float = 1) -> list[str]:
    """What is worse than promised, in words."""
    episodes = sum(one.episodes[OURS].total() for one in alarms)
    worse = [f"{episodes} false episodes, at most {most_episodes}"] if episodes > most_episodes else []
    groups: defaultdict[tuple[str, str], list[Delays]] = defaultdict(list)
    for one in found:
        groups[one.shift.name, one.form].append(one)
    for (name, form), group in groups.items():
        worse += [f"{name}, {form}: {fault}" for fault in _faults_of(group, slack)]
    return worse


def _faults_of(group: Sequence[Delays], slack: float) -> Iterable[str]:
    shift, form, median, far = group[0].shift, group[0].form, median_delay(group), mean_divergence(group)
    if not shift.moves_inputs:
        return
    if form == "sudden" and shift.bound is not None and median > shift.bound * slack:
        yield f"median delay {median:,.0f} rows, at most {shift.bound * slack:,.0f}"
    if missed := misses([one for one in group if one.divergence >= LEAST_DIVERGENCE]):
        yield f"missed {missed} of {len(group)}"
    if form == "first row" and far >= LEAST_DIVERGENCE and median > WINDOW_ROWS:
        yield f"found after {median:,.0f} rows, a window has {WINDOW_ROWS}"


@click.command()
@click.option("--seed", default=1, show_default=True, help="draws references, streams and a quarter of the shifts")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="folder of the case's raw files")
@click.option("--short", is_flag=True, help="few rows and runs; writes nothing")
@click.option("--runs", default=20, show_default=True, help="streams for each shift and form")
@click.option("--rows", default=100_000, show_default=True, help="rows without drift for each reference")
@click.option(
    "--out", type=click.Path(path_type=Path), default=None, help="folder for the page; docs for the full form"
)
def main(seed: int, data_dir: Path | None, short: bool, runs: int, rows: int, out: Path | None) -> None:
    """Measure false alarms and delays; exit with 1 when they are worse than promised."""
    os.environ["DO_NOT_TRACK"] = "true"
    started = time.monotonic()
    if out is not None:
        # Now, and not when everything is measured.
        out.mkdir(parents=True, exist_ok=True)
    settings = read_settings(TrainingSettings)
    source = Source("census", settings.cases_dir, data_dir or settings.data_dir, settings.downloads_dir, seed)
    case, every_row = rows_of(source)
    listed = listed_shifts()
    drawn = drawn_shifts(case, every_row, seed, -(-len(listed) // 3))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        if short:
            bounded = [shift for shift in listed if shift.bound is not None]
            rows, references, most = 10_000, 2, 1
            alarms = measure_false_alarms(source, pool, references, rows)
            runs = 5
            found = measure_delays(source, pool, [*bounded, drawn[0]], ("sudden",), runs)
        else:
            references, most = REFERENCES, MOST_FALSE_EPISODES
            alarms = measure_false_alarms(source, pool, references, rows)
            found = measure_delays(source, pool, [*listed, *drawn], FORMS, runs)
    page = _page(seed, alarms, rows, found, runs)
    worse = faults(alarms, most, found, SHORT_SLACK if short else 1)
    print(page)
    print(f"{time.monotonic() - started:.0f} s", *(f"WORSE: {fault}" for fault in worse), sep="\n")
    if not short:
        folder = out or DOCS
        (folder / "drift-bench.md").write_text(page, encoding="utf-8")
        write_picture(folder / "images" / "drift-bench.svg" if out is None else folder / "drift-bench.svg", found)
    sys.exit(1 if worse else 0)


def _page(seed: int, alarms: Sequence[FalseAlarms], rows: int, found: Sequence[Delays], runs: int) -> str:
    return f"""# Drift bench

Written by `python -m benchmarks.drift --seed {seed} --runs {runs} --rows {rows}`.
Real census rows; reference {REFERENCE_ROWS:,} rows, window {WINDOW_ROWS:,},
a check every 50. *Ours* is the shipped verdict: window test or stream detector. The others flag a column as soon as
one check does.

## Without drift

{len(alarms)} references, {rows:,} held-out rows each, drawn with replacement: how often a column, or with ours the
prediction, was flagged anew.

{false_alarm_table(alarms, rows)}

Columns with an episode of ours: {_columns_of(alarms)}.

## With drift

Rows from the first shifted one to the flag, median / 90th percentile of {runs} streams; *late* is later than 6,000
rows. KL is the mean Kullback-Leibler divergence from the reference of all the column's rows since the shift began: a
stream where it is 0.01 or more may not be missed. Gradual shifts grow over 2,000 rows, and the delay counts from their
first; recurring ones come and go every 1,000, so they move the stream half as far; *first row* has no row without the
shift. Where only labels or correlations change no column moves: what sees inverted labels is the performance gap.
`score` is our verdict on the prediction.

![Median delay of each rule](images/drift-bench.svg)

{delay_table(found)}
"""


def _columns_of(alarms: Iterable[FalseAlarms]) -> str:
    names = [f"{name} ({count})" for one in alarms for name, count in sorted(one.episodes[OURS].items())]
    return ", ".join(names) or "none"


if __name__ == "__main__":
    main()
