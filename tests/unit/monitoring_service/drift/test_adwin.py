"""The cheaper ADWIN says what river's own class says."""

from __future__ import annotations

import numpy as np
import pytest
from river.drift import ADWIN

from monitoring_service.drift.adwin import Adwin


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("delta", [0.002, 0.0001])
def test_changes_are_seen_at_the_values_at_which_river_sees_them(seed: int, delta: float) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.random(1500) < share for share in (0.2, 0.3, 0.1)] + [rng.random(1500)]
    values = np.concatenate(parts).astype(float).tolist()
    theirs, ours = ADWIN(delta=delta, clock=25), Adwin(delta, 25)
    expected = [theirs.update(value) or theirs.drift_detected for value in values]
    assert [ours.feed([value]) for value in values] == expected
    assert any(expected)


def test_a_change_among_many_values_is_said_once() -> None:
    adwin = Adwin(0.002, 25)
    assert not adwin.feed([0.0] * 1000)
    assert adwin.feed([1.0] * 1000)
    assert not adwin.feed([1.0] * 1000)
