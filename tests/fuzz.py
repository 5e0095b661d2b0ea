"""Every decoder of what comes from outside, tried with many inputs made by chance.

``python -m tests.fuzz --inputs 1000000 --seed 1`` runs each decoder in a process of its own and prints a table; the
exit code is 1 where one raised what nobody expects, took more than a second of a thread's time for one input, or kept
memory. ``--write`` puts what the books hold into docs/fuzzing.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SUPPORT = ROOT / "tests" / "support"
sys.path[:0] = [str(ROOT), str(SUPPORT)]

from fuzz_measuring import MOST_GROWN_MB, MOST_SECONDS, Figures  # noqa: E402  # its folder is only known by now
from fuzzed_decoders import NAMES  # noqa: E402

BOOKS = ROOT / "var" / "fuzzing" / "books.jsonl"
PAGE = ROOT / "docs" / "fuzzing.md"


@dataclass(frozen=True)
class Run:
    """A line in the books."""

    at: str
    python: str
    commit: str
    figures: Figures = field(repr=False)

    @classmethod
    def read(cls, line: str) -> Run:
        found = json.loads(line)
        return cls(**{**found, "figures": Figures(**found["figures"])})


def run_one(name: str, inputs: int, seed: int) -> Run:
    """One decoder, in a process of its own; one that dies has failed."""
    kept_in = BOOKS.parent / "inputs"
    kept_in.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)]), "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory(prefix="fuzzing-") as folder:
        command = [sys.executable, "-m", "fuzz_measuring", name, str(inputs), str(seed), str(kept_in)]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = f"its process ended with {ended.returncode}: {ended.stderr[-500:]}"
        figures = Figures(name, inputs, seed, failed=1, failures=[reason])
    else:
        figures = Figures(**json.loads(ended.stdout.splitlines()[-1]))
    return Run(datetime.now(UTC).isoformat(timespec="seconds"), platform.python_version(), _commit(), figures)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def run_all(names: Sequence[str], inputs: int, seed: int, side_by_side: int, books: Path = BOOKS) -> list[Run]:
    runs = []
    with ThreadPoolExecutor(side_by_side) as pool:
        for run in pool.map(lambda name: run_one(name, inputs, seed), names):
            print(row_of([run]), flush=True)
            for failure in run.figures.failures:
                print(f"    {failure}", flush=True)
            with books.open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
            runs.append(run)
    return runs


# The table ------------------------------------------------------------------------------------------------------------

COLUMNS = (
    *("decoder", "inputs", "seeds", "CPU s", "accepted", "refused", "failed", "slowest (of bytes)"),
    *("largest", "grown", "peak"),
)


def row_of(runs: Sequence[Run]) -> str:
    """The runs of one decoder as a line."""
    all_of = [run.figures for run in runs]
    slowest = max(all_of, key=lambda one: one.slowest_ms)
    seeds = ", ".join(str(one.seed) for one in all_of)
    cells = (
        all_of[0].decoder,
        f"{sum(one.inputs for one in all_of):,}",
        seeds,
        f"{sum(one.cpu_s for one in all_of):,.0f}",
        f"{sum(one.accepted for one in all_of):,}",
        f"{sum(one.refused for one in all_of):,}",
        f"{sum(one.failed for one in all_of):,}",
        f"{slowest.slowest_ms:,.1f} ms ({slowest.slowest_bytes:,})",
        f"{max(one.largest_bytes for one in all_of):,}",
        f"{max(one.grown_mb for one in all_of):+.1f} MB",
        f"{max(one.peak_mb for one in all_of):.0f} MB",
    )
    return f"| {' | '.join(cells)} |"


def newest(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """By decoder the newest run of each seed, of those with as many inputs as the largest has."""
    found: dict[str, dict[int, Run]] = {name: {} for name in NAMES}
    for run in runs:
        if run.figures.decoder in found:
            found[run.figures.decoder][run.figures.seed] = run
    return {
        name: [run for _, run in sorted(by_seed.items()) if 2 * run.figures.inputs > _largest(by_seed.values())]
        for name, by_seed in found.items()
        if by_seed
    }


def _largest(runs: Any) -> int:
    return max(run.figures.inputs for run in runs)


def table(runs: Sequence[Run]) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield "| --- | " + " | ".join("---:" for _ in COLUMNS[1:]) + " |"
    for of_one in newest(runs).values():
        yield row_of(of_one)


def page(runs: Sequence[Run]) -> str:
    shown = [run for of_one in newest(runs).values() for run in of_one]
    days = sorted({run.at[:10] for run in shown})
    return _PAGE.format(
        decoders=len(newest(runs)),
        inputs=sum(run.figures.inputs for run in shown),
        days=days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}",
        pythons=", ".join(sorted({run.python for run in shown})),
        commits=", ".join(f"`{name}`" for name in dict.fromkeys(run.commit for run in shown)),
        seconds=MOST_SECONDS,
        grown=MOST_GROWN_MB,
        table="\n".join(table(runs)),
    )


_PAGE = """# Fuzzing

Written from the books of `make fuzz`; no figure here was not measured. {inputs:,} inputs for {decoders}
decoders, {days}, Python {pythons}, at {commits}.

Every decoder of what comes from outside takes an input or refuses it by the error that its callers expect, whatever
comes: anything else is *failed*, and so is a refusal that can't be shown or is as long as its sender likes. No input
may take {seconds:g} s of a thread's time, and memory may not grow by {grown:g} MB between the first tenth
of the inputs and the end.

{table}

*Refused* is by a documented error; *accepted* says only that nothing was raised: some decoders leave out what they
can't read. *Slowest* is a thread's CPU time for one input, with that input's size; one in 2,000 inputs is made as large
as its decoder takes (*largest*), and one in 200 is nested up to 200,000 deep. *Grown* and *peak* are the process's
resident memory, the first without what is free inside the allocator.

Inputs are made from good ones ([mutations.py](../tests/support/mutations.py)): values, names and elements of a tree
changed, left out, doubled or put elsewhere, and bytes flipped, cut, doubled, exchanged and spliced. Those that reach a
line that none reached before are spoiled again themselves, which Python 3.12 and newer can watch at no cost. Decoders
and the errors they may raise stand in [fuzzed_decoders.py](../tests/support/fuzzed_decoders.py). `make test` tries each
with a few inputs, and with some of hypothesis, which makes those that fail small; `make test-long` with more of both.

```sh
make fuzz                            # 100,000 inputs for each decoder
make fuzz INPUTS=1000000 SEED=2      # as many as here; ONLY=record,label for some
.venv/bin/python -m tests.fuzz --write   # this page anew, from the books: the newest run of each decoder and seed
```

The books are `var/fuzzing/books.jsonl`, and stay where they were made; an input that failed is kept beside them.

What is taken apart by a library alone, Parquet, NumPy, ONNX, SQLite, HTTP itself and Kafka's own protocol, is not here:
[the threat model](threat-model.md#what-is-read) says who may have written it.

[atheris](https://pypi.org/project/atheris/) has wheels for CPython 3.11 (3.0.0), 3.12 and 3.13 (3.1.0) on Linux, and
tries `record` at the same speed, about 34,000 inputs a second. It is no dependency of ours: its engine ends the process
at the first failure, knows bytes alone and no trees, messages or forms, and much of what decodes here is compiled and
not instrumented.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=0, help="for each decoder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="names of decoders, separated by commas")
    parser.add_argument("--side-by-side", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="write docs/fuzzing.md from the books")
    given = parser.parse_args(arguments)
    names = [name.strip() for name in given.only.split(",") if name.strip()] or list(NAMES)
    if unknown := sorted(set(names) - set(NAMES)):
        parser.error(f"no such decoder: {', '.join(unknown)}; there are: {', '.join(NAMES)}")
    runs: list[Run] = []
    if given.inputs:
        print(f"| {' | '.join(COLUMNS)} |", flush=True)
        runs = run_all(names, given.inputs, given.seed, given.side_by_side)
    if given.write and not BOOKS.exists():
        parser.error(f"there is nothing to write: {BOOKS} begins with --inputs")
    if given.write:
        PAGE.write_text(page([Run.read(line) for line in BOOKS.read_text().splitlines()]))
    return int(not all(run.figures.is_well for run in runs))


if __name__ == "__main__":
    sys.exit(main())
