"""ADWIN over many values at once: river's compiled part, without the Python around it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: The defaults of ``river.drift.ADWIN``.
MAX_BUCKETS, MIN_WINDOW_LENGTH, GRACE_PERIOD = 5, 5, 10


class Adwin:
    """Gives the results of ``river.drift.ADWIN(delta, clock)`` (a test holds this), in a third of its time.

    Importing that class would also load scikit-learn and pandas: 140 MB and seconds at the first check.
    """

    def __init__(self, delta: float, clock: int) -> None:
        self._delta = delta
        self._clock = clock
        self._window = self._empty()

    def feed(self, values: Iterable[float]) -> bool:
        """Whether there was a change at one of these values; it begins anew after each change."""
        changed = False
        update = self._window.update
        for value in values:
            if update(value):
                changed = True
                self._window = self._empty()
                update = self._window.update
        return changed

    def _empty(self) -> Any:
        from river._river_rust import drift

        return drift.AdaptiveWindowing(self._delta, self._clock, MAX_BUCKETS, MIN_WINDOW_LENGTH, GRACE_PERIOD)
