"""The short form of the drift bench: no more false alarms, no longer delays and no more misses than promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_verdict_is_as_good_as_promised(census_data_dir: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.drift", "--short", "--data-dir", str(census_data_dir)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.long
def test_sets_of_defaults_are_compared_on_any_table(housing_data_dir: Path) -> None:
    few = ["--references", "1", "--rows", "1000", "--shifts", "1", "--runs", "1", "--part", "confirm"]
    table = ["--table", "cases/housing.yaml", str(housing_data_dir)]
    command = [sys.executable, "-m", "benchmarks.drift.defaults", *table, "--try", "significance=0.001", *few]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    sets = [line.split(" | ")[1] for line in run.stdout.splitlines() if line.startswith("| housing")]
    assert sets == ["0.0004 / 0.001 / 0.005 / 0.05", "0.001 / 0.001 / 0.005 / 0.05"]
