"""The loop of the check thread: runs its tasks one after the other, and survives errors in any of them.

It knows nothing of what they do: ``wiring.py`` puts them in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from event_backbone.errors import TryAgainLaterError

log = structlog.get_logger()

_IDLE_WAIT_S = 0.5
_PAUSE_S = 1.0


class CheckTask(Protocol):
    """A task of the check thread; it alone calls this."""

    def step(self, stopping: threading.Event) -> float:
        """Do what is due, if anything is, and wait for nothing else; tries end early when ``stopping`` is set.

        Returns:
            Seconds for which the thread should do nothing, 0 but after a failure.

        Raises:
            TryAgainLaterError: it is still due.
        """


class Checks:
    """Runs tasks in their order; everything here happens in one thread, :meth:`run`.

    ``wait_until_due`` blocks until a window is due, or for so many seconds.
    """

    def __init__(self, tasks: Sequence[CheckTask], wait_until_due: Callable[[float], object]) -> None:
        self._tasks = tasks
        self._wait_until_due = wait_until_due

    def run(self, stopping: threading.Event, between: Sequence[Callable[[], None]]) -> None:
        """Until ``stopping`` is set; ``between`` are called after each check or idle wait and may take their time."""
        while not stopping.is_set():
            self._guarded(lambda: self.step(stopping, _IDLE_WAIT_S), stopping)
            for action in between:
                self._guarded(action, stopping)

    def step(self, stopping: threading.Event, wait_s: float) -> None:
        """One round: every task once, as soon as a window is due or ``wait_s`` are over."""
        self._wait_until_due(wait_s)
        for task in self._tasks:
            if pause_s := task.step(stopping):
                stopping.wait(pause_s)

    def _guarded(self, action: Callable[[], object], stopping: threading.Event) -> None:
        """The thread's border: it must outlive whatever happens in one action."""
        try:
            action()
        except TryAgainLaterError as error:
            log.warning("checks_postponed", reason=str(error))
            stopping.wait(_PAUSE_S)
        except Exception:
            log.exception("checks_disturbed")
            stopping.wait(_PAUSE_S)
