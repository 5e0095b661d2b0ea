"""The long fault table: runs what is due next within a budget, and keeps its books between runs.

``python -m tests.fault_table --minutes 60 --seed 1`` runs scenarios of the fault suite, each as one test of its own,
those first that are furthest from their targets, until no other fits into the time. Each run that ended is a line in
the books, which are committed. ``--only disk --only clock`` makes those alone whose names have such a word, so that
several can share a machine. ``--write`` makes the table of all runs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BOOKS = ROOT / "docs" / "fault-table.jsonl"
PAGE = ROOT / "docs" / "fault-table.md"
LOGS = ROOT / "var" / "fault-table"
#: Between the end of a run and the next.
_LEFT_FOR_THE_END_S = 20.0

Figures = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One fault. ``figure`` is what adds up to ``target``; ``unit`` is how the table names it.

    A run of ``size`` (``FAULT_<setting>``) makes ``per_size`` times as much of it, and takes about ``fixed_s`` and for
    each of its size ``each_s``.
    """

    name: str
    test: str
    figure: str
    target: float
    unit: str
    setting: str
    fixed_s: float
    each_s: float
    largest: float
    smallest: float = 1
    per_size: float = 1
    settings: Mapping[str, str] | None = None

    def seconds(self, size: float) -> float:
        """About how long a run of this size takes on a machine that does nothing else."""
        return self.fixed_s + self.each_s * size

    def size_within(self, left_s: float, missing: float) -> float | None:
        """How large a run may be that ends in time; ``None`` when none does."""
        fits = (left_s - self.fixed_s) / self.each_s
        size = min(fits, self.largest, max(self.smallest, missing / self.per_size))
        return float(int(size)) if size >= self.smallest else None


_AWAY = "tests/faults/test_sinks_away.py::test_requests_are_answered_as_ever_while_the_sinks_are_away"
_AT_500 = {"FAULT_RATE_PER_S": "500", "FAULT_CALM_S": "20"}


def _away(name: str, way: str, target: float) -> Scenario:
    """Minutes of it. Undisturbed periods stand before and behind it."""
    return Scenario(
        name, f"{_AWAY}[{way}-{{seed}}]", "minutes", target, "minutes", "AWAY_S", 120, 1.05, 3600, 60, 1 / 60, _AT_500
    )


SCENARIOS = (
    Scenario(
        "SIGKILL of serving, its parent, sidecar, worker, monitoring, its parent, or the broker",
        "tests/faults/test_kill.py::test_whatever_is_killed_nothing_is_lost_and_nothing_is_there_twice[{seed}]",
        *("kills", 1000, "kills", "ROUNDS", 60, 40, 15, 1, 7),
    ),
    _away("Kafka and MongoDB away, ports closed, at 500/s", "ports closed", 60),
    _away("Kafka and MongoDB frozen, at 500/s", "never answering", 10),
    _away("sidecar stopped, at 500/s", "sidecar stopped", 60),
    Scenario(
        "a broker that loses its disk",
        "tests/faults/test_lost_disk.py::test_a_broker_that_loses_its_disk_is_told_everything_again[{seed}]",
        *("losses", 10, "disks", "LOSSES", 30, 25, 5),
    ),
    Scenario(
        "MongoDB gone in the middle of a bulk write, after the n-th byte, both ways",
        "tests/faults/test_network.py::"
        "test_a_mongodb_that_goes_in_the_middle_of_a_bulk_write_keeps_each_row_once[{seed}]",
        *("cuts", 500, "cuts", "CUTS", 40, 6, 60, 1, 2),
    ),
    Scenario(
        "a clock that jumps by hours and days",
        "tests/faults/test_clock.py::test_ids_order_and_windows_survive_a_clock_that_jumps_back_and_ahead[{seed}]",
        *("jumps", 100, "jumps", "JUMPS", 40, 6, 20),
    ),
    Scenario(
        "a disk that fills and empties",
        "tests/faults/test_bounds.py::"
        "test_a_full_disk_refuses_and_loses_nothing_and_goes_on_when_there_is_room[{seed}]",
        *("fills", 30, "times", "FILLS", 40, 15, 10),
    ),
    Scenario(
        "two monitors that both believe they are active, one of them killed",
        "tests/faults/test_two_monitors.py::"
        "test_two_monitors_that_both_believe_they_are_active_count_each_record_once[{seed}]",
        *("monitor_kills", 40, "kills", "MONITOR_KILLS", 30, 10, 20),
    ),
)


@dataclass(frozen=True)
class Run:
    """A line in the books. There are ``figures`` where ``outcome`` is ``passed``; ``cut off`` says nothing."""

    scenario: str
    seed: int
    size: float
    outcome: str
    began_at: str
    seconds: float
    commit: str
    idle_priority: bool
    figures: Figures | None


def read_runs(path: Path) -> list[Run]:
    """None where there are no books yet; a line that was torn is left out."""
    runs = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            runs.append(Run(**json.loads(line)))
        except ValueError:
            print(f"torn: {line[:60]}")
    return runs


def append_run(path: Path, run: Run) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(run.__dict__) + "\n")


def done(scenario: Scenario, runs: Sequence[Run]) -> float:
    """How much of it was made by runs that passed."""
    return sum(run.figures[scenario.figure] for run in runs if run.scenario == scenario.name and run.figures)


def slowness(runs: Sequence[Run]) -> float:
    """How many times as long as foreseen the newest runs took, at most: other work may share the machine."""
    foreseen = {scenario.name: scenario.seconds for scenario in SCENARIOS}
    return max([1.0, *(run.seconds / foreseen[run.scenario](run.size) for run in runs[-5:])])


def due(runs: Sequence[Run], left_s: float, scenarios: Sequence[Scenario] = SCENARIOS) -> tuple[Scenario, float] | None:
    """The scenario that is furthest from its target, among those of which a run fits; and how large a run.

    One that failed comes again, after each other has had its turn.
    """
    fitting = []
    left_s /= slowness(runs)
    for scenario in scenarios:
        made = done(scenario, runs)
        size = scenario.size_within(left_s, scenario.target - made)
        if size is not None and made < scenario.target:
            tries = sum(run.scenario == scenario.name for run in runs)
            fitting.append((made / scenario.target, tries, scenario.name, scenario, size))
    if not fitting:
        return None
    *_, scenario, size = min(fitting, key=lambda one: one[:3])
    return scenario, size


def next_seed(scenario: Scenario, runs: Sequence[Run], first: int) -> int:
    """No seed twice for one scenario."""
    used = {run.seed for run in runs if run.scenario == scenario.name}
    return next(seed for seed in range(first, first + len(used) + 1) if seed not in used)


def make_run(scenario: Scenario, size: float, seed: int, timeout_s: float) -> Run:
    """One test, in processes of its own; what it said stays in a log unless it passed."""
    began, started_at = datetime.now(UTC), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fault-table-") as folder:
        figures = Path(folder) / "figures.json"
        settings = {f"FAULT_{scenario.setting}": f"{size:g}", **(scenario.settings or {})}
        environment = {
            **os.environ,
            **settings,
            "FAULTS": "long",
            "FAULT_SEEDS": str(seed),
            "FAULT_FIGURES": str(figures),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-rP", scenario.test.format(seed=seed)]
        LOGS.mkdir(parents=True, exist_ok=True)
        said = LOGS / f"{scenario.setting.lower()}-{seed}.log"
        with said.open("wb") as log:
            try:
                ended = subprocess.run(
                    command, cwd=ROOT, env=environment, stdout=log, stderr=log, timeout=timeout_s, check=False
                )
                outcome = "failed" if ended.returncode else "passed"
            except subprocess.TimeoutExpired:
                outcome = "cut off"
        if outcome == "passed":
            said.unlink()
        measured = json.loads(figures.read_text()) if outcome == "passed" else None
    return Run(
        scenario.name,
        seed,
        size,
        outcome,
        began.isoformat(timespec="seconds"),
        round(time.monotonic() - started_at, 1),
        _commit(),
        os.sched_getscheduler(0) == os.SCHED_IDLE,
        measured,
    )


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def spend(
    minutes: float,
    first_seed: int,
    scenarios: Sequence[Scenario] = SCENARIOS,
    *,
    books: Path = BOOKS,
    run: Callable[..., Run] = make_run,
) -> int:
    """Make runs for so long; return how many failed."""
    deadline, failed = time.monotonic() + 60 * minutes, 0
    while True:
        left_s = deadline - time.monotonic()
        runs = read_runs(books)
        chosen = due(runs, left_s - _LEFT_FOR_THE_END_S, scenarios)
        if chosen is None:
            return failed
        scenario, size = chosen
        seed = next_seed(scenario, runs, first_seed)
        print(f"--- {scenario.name}: {size:g} of {scenario.setting}, seed {seed}", flush=True)
        made = run(scenario, size, seed, timeout_s=300 + 3 * scenario.seconds(size))
        append_run(books, made)
        failed += made.outcome == "failed"
        print(f"--- {made.outcome}: {made.figures}", flush=True)


# The table -----------------------------------------------------------------------------------------------------------


def table_lines(runs: Sequence[Run]) -> Iterator[str]:
    yield "| fault | made, of the target | runs that passed, failed | seeds | answered | lost, doubled, differing |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for scenario in SCENARIOS:
        mine = [run for run in runs if run.scenario == scenario.name and run.outcome != "cut off"]
        passed = [run.figures for run in mine if run.figures is not None]
        made = f"{done(scenario, runs):,.4g} of {scenario.target:,.4g} {scenario.unit}"
        seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in mine})) or "-"
        verdict = ", ".join(f"{sum(one[what] for one in passed):,}" for what in ("lost", "doubled", "differing"))
        answered = f"{sum(one['answered'] for one in passed):,}"
        cells = (
            made,
            f"{len(passed)}, {len(mine) - len(passed)}",
            seeds,
            *((answered, verdict) if passed else ("-", "-")),
        )
        yield f"| {scenario.name} | {' | '.join(cells)} |"


def latency_lines(runs: Sequence[Run]) -> Iterator[str]:
    yield "| away | minutes | rate met | p99 undisturbed, away | ratio | memory | drained after | seed | priority |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for run in runs:
        if run.figures is None or "p99_away_ms" not in run.figures:
            continue
        one = run.figures
        ratio = one["p99_away_ms"] / one["p99_calm_ms"]
        yield (
            f"| {run.scenario} | {one['minutes']:g} | {one['rate_per_s']}/s "
            f"| {one['p99_calm_ms']:g}, {one['p99_away_ms']:g} ms | {ratio:.2f} | {one['grown_mb']:+g} MB "
            f"| {one['drained_s']:g} s | {run.seed} | {'idle' if run.idle_priority else 'normal'} |"
        )


def page(runs: Sequence[Run]) -> str:
    ends = sorted(run.began_at for run in runs)
    when = f"from {ends[0][:10]} to {ends[-1][:10]}" if ends else "never"
    hours = sum(run.seconds for run in runs) / 3600
    commits = ", ".join(f"`{name}`" for name in dict.fromkeys(run.commit for run in runs)) or "none"
    return _PAGE.format(
        runs=len(runs),
        when=when,
        hours=hours,
        commits=commits,
        table="\n".join(table_lines(runs)),
        latency="\n".join(latency_lines(runs)),
    )


_PAGE = """# The fault table

Written by `make fault-table` from the books of its runs; no figure here was not measured. What is not at its target yet
is not claimed: the runs go on, each in the time it is given, and add up.

{runs} runs {when}, {hours:.1f} hours, at {commits}.

{table}

*Answered* counts records with a 200. *Lost*, *doubled* and *differing* are what [`stream-generator
check`](checking.md) says of the books of the client that sent them, in MongoDB and
Kafka, or in the journal where a scenario has neither. Each run also holds what its test does: one prediction for
each id, the same answer whenever it is asked for, monitoring's total, and no row parked. A run that failed adds
nothing to what was made; its seed repeats it.

Kafka and MongoDB, or the sidecar, away for long:

{latency}

*Idle* runs had the lowest priority of the scheduler beside other work: their latencies say how busy the machine
was, and are no figures of ours. *Memory* is by how much the process that serves, or the sidecar, grew from before
the fault to its end.

```sh
make fault-table MINUTES=60          # what is due next, within an hour; SEED=100 begins with other seeds
.venv/bin/python -m tests.fault_table --write   # this page anew, from the books
```

The books are `docs/fault-table.jsonl`, a line for each run.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", metavar="WORD", help="of a scenario's name; can be given again")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    chosen = [one for one in SCENARIOS if given.only is None or any(word in one.name for word in given.only)]
    failed = spend(given.minutes, given.seed, chosen)
    if given.write:
        PAGE.write_text(page(read_runs(BOOKS)))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
