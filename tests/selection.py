"""Which tests `make test` and `make test-long` run, and which of them side by side.

``python -m tests.selection test`` runs a selection in two phases: what may have neighbours, with several workers, and
then what measures time, by itself. What follows goes to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest
from _pytest.mark import MarkMatcher
from _pytest.mark.expression import Expression

#: Target of the Makefile → the expression of marks that its tests have.
SELECTIONS = {"test": "not long", "test-long": "long"}
SIDE_BY_SIDE, BY_ITSELF = "not alone", "alone"
#: Tests mostly wait for the processes they started, so more of them than cores keep the cores busy.
WORKERS_PER_CORE = 2
#: Threads of OpenMP that wait for each other give their core away; otherwise they keep it from other tests' processes.
THREADS_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}
#: Everything that a run collected, before marks and options take tests out.
COLLECTED = pytest.StashKey[list[pytest.Item]]()
NOTHING_SELECTED = pytest.ExitCode.NO_TESTS_COLLECTED


def phases_of(selection: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Expression of marks and further options of pytest."""
    workers = WORKERS_PER_CORE * (os.cpu_count() or 1)
    # A file stays with one worker, because its tests share what one of them started. In the order of the files: the
    # long ones come first, and unit tests fill what is left.
    beside = (f"--numprocesses={workers}", "--dist=loadfile", "--no-loadscope-reorder", "--timeout=900")
    yield f"({SELECTIONS[selection]}) and {SIDE_BY_SIDE}", beside
    yield f"({SELECTIONS[selection]}) and {BY_ITSELF}", ()


def run(selection: str, arguments: Sequence[str]) -> int:
    """The first exit code that is a failure; the second phase tells its failures too."""
    codes = []
    for expression, options in phases_of(selection):
        command = [sys.executable, "-m", "pytest", "-m", expression, *options, *arguments]
        codes.append(subprocess.run(command, env={**os.environ, **THREADS_SLEEP}, check=False).returncode)
        if codes[-1] == pytest.ExitCode.INTERRUPTED:
            break
    failures = [code for code in codes if code not in (pytest.ExitCode.OK, NOTHING_SELECTED)]
    return failures[0] if failures else min(codes)


def runs_of(item: pytest.Item) -> list[tuple[str, str]]:
    """Each phase that takes a test, as its selection and its expression; exactly one, or a test is lost or repeated."""
    return [
        (selection, expression)
        for selection in SELECTIONS
        for expression, _ in phases_of(selection)
        if Expression.compile(expression).evaluate(MarkMatcher.from_markers(item.iter_markers()))
    ]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
