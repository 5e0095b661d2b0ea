"""Polling with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from event_backbone.errors import StreamgaugeError
from event_backbone.process.progress import UnstarvedClock, descendants_of


class WaitClock(Protocol):
    def now(self) -> float:
        """Seconds since anything, never less than before."""
        ...

    def sleep(self, seconds: float) -> None: ...


class StackClock:
    """Counts seconds of a machine that has a core for every process of the stack: on a busy one they take longer."""

    def __init__(self, stack_pid: int) -> None:
        self._clock = UnstarvedClock(lambda: descendants_of(stack_pid))

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class StillWaitingError(StreamgaugeError):
    """Time is up; the message is what was still missing."""


def poll_until(
    missing: Callable[[], str | None],
    *,
    timeout_s: float,
    clock: WaitClock,
    tell: Callable[[str], None],
    every_s: float = 0.5,
    tell_every_s: float = 5.0,
) -> None:
    """Call ``missing`` until it returns ``None``; report what it returned now and then.

    Raises:
        StillWaitingError: with what it returned last, after ``timeout_s``.
    """
    started_at = clock.now()
    tell_at = started_at + tell_every_s
    while (what := missing()) is not None:
        if clock.now() - started_at >= timeout_s:
            raise StillWaitingError(what)
        if clock.now() >= tell_at:
            tell(f"waiting: {what}")
            tell_at += tell_every_s
        clock.sleep(every_s)
