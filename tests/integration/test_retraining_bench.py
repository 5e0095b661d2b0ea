"""The short form of the retraining bench: a world that changed is learned, once; one that is random is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


#: Two minutes on an idle machine with two cores.
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("scenario", "rows"), [("concept-drift", 8000), ("label-noise", 3000)])
def test_retraining_ends_as_promised(
    scenario: str, rows: int, census_data_dir: Path, census_champion_state: Path
) -> None:
    command = [sys.executable, "-m", "benchmarks.retraining", "--scenario", scenario, "--rows", str(rows)]
    command += ["--data-dir", str(census_data_dir), "--champion", str(census_champion_state)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=560, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
