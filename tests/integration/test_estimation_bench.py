"""The short form of the benchmark of estimates, on the real files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.estimation import QUICK, run


@pytest.mark.long
def test_estimates_and_the_concept_drift_condition_keep_what_is_promised(
    census_data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(census_data_dir, QUICK, seed=1), capsys.readouterr().out
