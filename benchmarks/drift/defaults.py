"""Which defaults `monitoring:` should have: false episodes and delays of several sets of them, on any tables.

python -m benchmarks.drift.defaults --table cases/census.yaml DIR --try minimum_effect=0.05,detector_delta=0.002

Reference and streams are drawn with replacement from the same rows, so small tables can be measured as well.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import click
import numpy as np

from benchmarks.drift.frames import Drawing, Frame, draw_again, frame_of, profiled
from benchmarks.drift.measuring import BEFORE_ROWS, HORIZON_ROWS, mixed
from benchmarks.drift.rules import Verdicts
from benchmarks.drift.shifts import Shift, divergence, drawn_shifts, shifted_rows
from benchmarks.drift.table import rows_text
from event_backbone.case.files import load_case
from event_backbone.case.schema import Case, MonitoringSettings
from monitoring_service.drift.verdict import Cause
from training.data.retrieval import DataLocations, http_fetch, retrieve_real
from training.data.rows import LabelledRows

#: What a set consists of; everything else is the case type's default.
SET_BY = ("significance", "detector_significance", "minimum_effect", "detector_delta")
#: A shift that moves its column this far, in nats, counts as missed when it is not found; less is rows_text apart.
LEAST_DIVERGENCE = 0.01
#: So many rows tell how far it is: of many categories chance alone would move few rows further.
DIVERGENCE_ROWS = 50_000
SPLIT_SEED = 0
HEAD = ("case", "set", "false episodes: window + stream", "in 100,000 rows", "missed", "median / p90", "smaller: found")

Part = Literal["all", "choose", "confirm"]


@dataclass(frozen=True)
class Table:
    """A case file, the folder of its raw files, which of its rows are used, and the seed of everything drawn.

    ``choose`` and ``confirm`` are two halves of the rows: what is chosen on the one can be tried on the other.
    """

    case_file: Path
    folder: Path
    part: Part
    seed: int


class DelaysFound(NamedTuple):
    """One stream with a shift: how far it moved the column, and each set's rows to the verdict; none, if it missed."""

    divergence: float
    rows: Sequence[int | None]


@lru_cache(maxsize=1)
def rows_of(table: Table) -> tuple[Case, Frame]:
    case = load_case(table.case_file)
    found = retrieve_real(case, DataLocations(table.folder, Path(), Path()), http_fetch(1.0))
    every = LabelledRows([*found.train.records, *found.test.records], [*found.train.labels, *found.test.labels])
    frame = frame_of(case, every)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(frame))
    parts = {"all": slice(None), "choose": slice(0, None, 2), "confirm": slice(1, None, 2)}
    return case, frame.take(order[parts[table.part]])


@lru_cache(maxsize=10)
def drawing_of(table: Table, reference: int) -> Drawing:
    return draw_again(*rows_of(table), np.random.default_rng([table.seed, 1, reference]))


class _Compared:
    """The verdicts of several sets on one stream; what doesn't depend on the set is measured once."""

    def __init__(self, drawing: Drawing, sets: Sequence[MonitoringSettings], stream: Frame) -> None:
        self._stream, self._scores = stream, drawing.scorer.scores(stream)
        cases = [drawing.case.model_copy(update={"monitoring": one}) for one in sets]
        self._verdicts = [Verdicts(case, drawing) for case in cases]
        self._step = sets[0].check_every_rows

    def checks(self) -> Iterator[tuple[int, list[dict[str, Cause]]]]:
        """Each check's row, and the verdicts of each set."""
        for row in range(self._step, len(self._stream) + 1, self._step):
            measured = self._verdicts[0].measure(row, self._stream, self._scores)
            yield row, [each.decide(row, self._stream, self._scores, measured) for each in self._verdicts]


def false_episodes(table: Table, sets: Sequence[MonitoringSettings], rows: int, reference: int) -> list[Counter[Cause]]:
    """Of each set on one stream without drift, by what made them."""
    drawing, random = drawing_of(table, reference), np.random.default_rng([table.seed, 2, reference])
    stream = drawing.held_out.take(random.integers(0, len(drawing.held_out), rows))
    episodes: list[Counter[Cause]] = [Counter() for _ in sets]
    before: list[dict[str, Cause]] = [{} for _ in sets]
    for _, verdicts in _Compared(drawing, sets, stream).checks():
        for counts, old, new in zip(episodes, before, verdicts, strict=True):
            counts.update(cause for name, cause in new.items() if name not in old)
        before = verdicts
    return episodes


def delays(table: Table, sets: Sequence[MonitoringSettings], task: tuple[Shift, int, int]) -> DelaysFound:
    """Rows from a sudden shift's first one to the verdict on its column."""
    shift, references, run = task
    drawing = drawing_of(table, run % references)
    random = np.random.default_rng([table.seed, 3, run, *shift.name.encode()])
    before = int(random.integers(*BEFORE_ROWS))
    shifted = shifted_rows(drawing, shift, HORIZON_ROWS, random)
    undrifted = drawing.held_out.take(random.integers(0, len(drawing.held_out), before + HORIZON_ROWS))
    stream = mixed(undrifted, shifted, before, "sudden", random)
    found: list[int | None] = [None for _ in sets]
    for row, verdicts in _Compared(drawing, sets, stream).checks():
        for place, names in enumerate(verdicts):
            if row > before and found[place] is None and shift.column in names:
                found[place] = row - before
        if None not in found:
            break
    moved = shifted_rows(drawing, shift, DIVERGENCE_ROWS, random).columns[shift.column]
    return DelaysFound(divergence(profiled(drawing.held_out.columns[shift.column]), moved), found)


def parsed_set(text: str) -> MonitoringSettings:
    """The defaults with changes such as ``significance=0.001,minimum_effect=0.05``."""
    changes = dict(change.split("=", 1) for change in text.split(","))
    if unknown := changes.keys() - set(SET_BY):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: a set consists of {', '.join(SET_BY)}")
    return MonitoringSettings.model_validate({name: float(value) for name, value in changes.items()})


@click.command()
@click.option("--table", "tables", type=(Path, Path), multiple=True, required=True, help="a case file and its folder")
@click.option("--try", "tried", multiple=True, help="another set: the defaults but for name=value,name=value")
@click.option("--part", type=click.Choice(get_args(Part)), default="all", show_default=True, help="half of the rows")
@click.option("--seed", default=1, show_default=True, help="draws references, streams and shifts")
@click.option("--references", default=10, show_default=True)
@click.option("--rows", default=100_000, show_default=True, help="rows without drift for each reference")
@click.option("--shifts", default=24, show_default=True, help="shifts of each table, drawn by the seed")
@click.option("--runs", default=5, show_default=True, help="streams for each shift")
def main(
    tables: Sequence[tuple[Path, Path]],
    tried: Sequence[str],
    part: Part,
    seed: int,
    references: int,
    rows: int,
    shifts: int,
    runs: int,
) -> None:
    """Print a table: a line for each set and case, the defaults first."""
    os.environ["DO_NOT_TRACK"] = "true"
    started = time.monotonic()
    sets = [MonitoringSettings(), *map(parsed_set, tried)]
    print(f"{' / '.join(SET_BY)}; shifts of {LEAST_DIVERGENCE} nats or more, and smaller ones\n")
    print(f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}", sep="\n")
    for case_file, folder in tables:
        table = Table(case_file, folder, part, seed)
        case, every_row = rows_of(table)
        tasks = [
            (shift, references, run) for shift in drawn_shifts(case, every_row, seed, shifts) for run in range(runs)
        ]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            alarms = list(pool.map(partial(false_episodes, table, sets, rows), range(references)))
            found = list(pool.map(partial(delays, table, sets), tasks, chunksize=2))
        for place, one in enumerate(sets):
            counts = sum((counters[place] for counters in alarms), Counter[Cause]())
            print(f"| {case.name} | {_name(one)} | {_line(counts, rows * references, found, place)} |", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s")


def _name(one: MonitoringSettings) -> str:
    return " / ".join(f"{getattr(one, name):g}" for name in SET_BY)


def _line(counts: Counter[Cause], rows: int, found: Sequence[DelaysFound], place: int) -> str:
    far = [one.rows[place] for one in found if one.divergence >= LEAST_DIVERGENCE]
    near = [one.rows[place] for one in found if one.divergence < LEAST_DIVERGENCE]
    late = [np.inf if delay is None else delay for delay in far] or [np.inf]
    median, nearly_all = np.quantile(late, [0.5, 0.9], method="higher")
    cells = (
        f"{counts['window']} + {counts['stream']}",
        f"{counts.total() * 100_000 / rows:.1f}",
        f"{far.count(None)} of {len(far)}",
        f"{rows_text(median)} / {rows_text(nearly_all)}",
        f"{len(near) - near.count(None)} of {len(near)}",
    )
    return " | ".join(cells)


if __name__ == "__main__":
    main()
