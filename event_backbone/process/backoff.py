"""Exponential backoff: the pause between two tries of what failed."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Pauses that double with each failure in a row, from ``first_s`` up to ``longest_s``; not thread-safe.

    It only says how long: the caller waits in its own way, so that a stop ends the wait. With ``jitter``, a share from
    0 to 1, each pause is shorter by up to that share at random, so that many who lost one other side at the same time
    don't come back at the same time.
    """

    def __init__(
        self,
        first_s: float,
        longest_s: float,
        *,
        jitter: float = 0.0,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._chance = chance
        self.reset()

    def reset(self) -> None:
        """After a success: the next failure is a first one."""
        self.failures = 0
        self._next_s = self._first_s

    def failed(self, asked_s: float = 0.0) -> float:
        """One more failure; returns the pause in seconds.

        ``asked_s`` is what the other side asked for: the pause is that long too, but never above ``longest_s``, and
        the next one is twice as long as this.
        """
        self.failures += 1
        asked_s = min(asked_s, self._longest_s)
        pause_s = max(self._next_s, asked_s)
        self._next_s = min(pause_s * 2, self._longest_s)
        return max(asked_s, pause_s * (1 - self._jitter * self._chance()))
