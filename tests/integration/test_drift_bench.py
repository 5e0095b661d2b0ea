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
