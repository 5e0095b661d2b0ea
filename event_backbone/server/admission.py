"""Admission control: a limit of the requests in flight."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

#: How long fewer requests are let in after one was refused.
STRAIN_S = 1.0


class AdmissionControl:
    """At most ``limit`` requests at once, and half as many for ``STRAIN_S`` after one was refused. For one thread.

    A moment's crowd of ``limit`` is answered. When more come than can be answered, though, every place that is taken is
    a wait for whoever takes the last one; fewer places answer as many requests and keep that wait short.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._strained_limit = max(1, limit // 2)
        self._clock = clock
        self._strained_until = -math.inf
        self.in_flight = 0

    def is_full(self) -> bool:
        """Whether :meth:`enter` would refuse now; if so, a request was refused."""
        return self.in_flight >= self._strained_limit and not self._has_room()

    def enter(self) -> bool:
        if not self._has_room():
            return False
        self.in_flight += 1
        return True

    def leave(self) -> None:
        self.in_flight -= 1

    def _has_room(self) -> bool:
        strained = self._clock() < self._strained_until
        if self.in_flight < (self._strained_limit if strained else self._limit):
            return True
        if not strained:
            # Not prolonged by refusals meanwhile: clients that never pause would keep it up for ever.
            self._strained_until = self._clock() + STRAIN_S
        return False
