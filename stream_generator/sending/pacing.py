"""Pacing: when each record is due, however fast the other side answers."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds, and waits that end at once when the run is stopped. Thread-safe."""

    @property
    def stopped(self) -> bool: ...

    def now(self) -> float: ...

    def wait(self, seconds: float) -> bool:
        """Wait, not at all when ``seconds`` is not positive; return whether the run was stopped."""
        ...

    def stop(self) -> None: ...


class StoppableClock:
    """The real clock; :meth:`stop` may be called from a signal handler."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        return self._stop.wait(max(0.0, seconds))

    def stop(self) -> None:
        self._stop.set()


class EvenPace:
    """``rate`` records a second; ``None`` means that each is due as soon as a connection is free.

    Each due time is computed from the start, not from the record before, so lateness never adds up.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate

    def due_s(self, index: int) -> float | None:
        """Seconds after the start at which record ``index`` is due."""
        return None if self._rate is None else index / self._rate


class RecordedPace:
    """The gaps of a recording, ``speed`` times as fast; ``None`` leaves them out."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._first_at_s: float | None = None

    def due_s(self, at_s: float) -> float | None:
        """Seconds after the start at which a record is due that was recorded at ``at_s`` (Unix seconds)."""
        if self._first_at_s is None:
            self._first_at_s = at_s
        return None if self._speed is None else max(0.0, at_s - self._first_at_s) / self._speed
