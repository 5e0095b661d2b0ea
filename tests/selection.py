"""Which tests `make test` and `make test-long` run, and which of them side by side.

``python -m tests.selection test`` runs a selection in two phases: what may have neighbours, with several workers, and
then what measures time, by itself. What follows goes to pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

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
#: Fixtures of the parts that tests may kill.
OWN_PARTS = {"kafka_broker", "mongo_server", "toxiproxy"}
FOLDERS_WITH_PROCESSES = ("integration", "faults", "e2e")
#: Everything that a run collected, before marks and options take tests out.
COLLECTED = pytest.StashKey[list[pytest.Item]]()
NOTHING_SELECTED = pytest.ExitCode.NO_TESTS_COLLECTED


def phases_of(selection: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Expression of marks and further options of pytest."""
    workers = WORKERS_PER_CORE * (os.cpu_count() or 1)
    # In the order of the files: the long ones come first, and unit tests fill what is left.
    beside = (f"--numprocesses={workers}", "--dist=loadgroup", "--no-loadscope-reorder", "--timeout=900")
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


def group_of(item: pytest.Item) -> str | None:
    """Tests of one group run one after the other in one worker, because they share what one of them started.

    A Kafka and a MongoDB that may be killed are started once for the contracts and once for everybody else; what a
    module starts stays with it; each other test of processes goes where there is room.
    """
    folder = item.path.parent.name
    if folder == "contracts":
        return folder
    fixtures = _fixtures_of(item)
    if fixtures.keys() & OWN_PARTS:
        return "own parts"
    scopes = {definition.scope for found in fixtures.values() for definition in found}
    is_by_itself = folder in FOLDERS_WITH_PROCESSES and not scopes & {"module", "package"}
    return None if is_by_itself else str(item.path)


def _fixtures_of(item: pytest.Item) -> dict[str, Sequence[pytest.FixtureDef[Any]]]:
    info = getattr(item, "_fixtureinfo", None)
    return info.name2fixturedefs if info else {}


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2:]))
