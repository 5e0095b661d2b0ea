"""How the worker process says that going on would do harm, and why; the process that was started then ends with it."""

from __future__ import annotations

import multiprocessing
import os
import signal

import structlog

from event_backbone.errors import StopError

log = structlog.get_logger()


class FatalStop:
    """Made by the process that was started, told by its worker; thread-safe."""

    def __init__(self) -> None:
        self._parent_pid = os.getpid()
        self._reasons = multiprocessing.get_context("fork").SimpleQueue()

    def tell(self, reason: str) -> None:
        """Have the service stop as on SIGTERM: what is in hand is finished, then the command fails."""
        log.critical("stopped_for_good", reason=reason)
        self._reasons.put(reason)
        os.kill(self._parent_pid, signal.SIGTERM)

    def raise_if_stopped(self) -> None:
        """Raises :class:`StopError` with the first reason."""
        if not self._reasons.empty():
            raise StopError(self._reasons.get())
