"""`make test` and `make test-long` together are all tests, and each is in one of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.selection import COLLECTED, SELECTIONS, runs_of

ROOT = Path(__file__).parents[2]


def test_every_test_that_was_collected_runs_once_in_one_selection(pytestconfig: pytest.Config) -> None:
    """What this very run collected, which is everything in a run of everything."""
    collected = pytestconfig.stash[COLLECTED]
    counts = dict.fromkeys(SELECTIONS, 0)
    wrong = []
    for item in collected:
        runs = runs_of(item)
        for selection, _ in runs:
            counts[selection] += 1
        if len(runs) != 1:
            wrong.append((item.nodeid, runs))
    print(f"{len(collected)} collected: {counts}")
    assert wrong == []
    assert sum(counts.values()) == len(collected)


@pytest.mark.parametrize("target", SELECTIONS)
def test_the_target_runs_its_selection_and_adds_what_it_is_given(target: str) -> None:
    command = ["make", "--dry-run", "--old-file=install", target, "PYTEST_ARGS=-x tests/unit"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"python -m tests.selection {target} -x tests/unit" in said


def test_ci_runs_every_selection() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert {f"make {selection}" for selection in SELECTIONS} <= set(lines)


def test_no_test_is_kept_from_being_collected() -> None:
    """A file whose name pytest does not know, or a folder beside `tests`, would never run anywhere."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if "\ndef test_" in path.read_text()]
    assert {path.name for path in files if not path.name.startswith("test_")} == set()
