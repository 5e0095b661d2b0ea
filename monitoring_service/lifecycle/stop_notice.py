"""A fatal stop: the worker process ends the process that was started, with a reason."""

from __future__ import annotations

import multiprocessing
import os
import signal

import structlog

from event_backbone.errors import StopError

log = structlog.get_logger()


class FatalStop:
    """Made by the process that was started, requested by its worker; thread-safe."""

    def __init__(self) -> None:
        self._parent_pid = os.getpid()
        self._reasons = multiprocessing.get_context("fork").SimpleQueue()

    def request(self, reason: str) -> None:
        """Stop the service as on SIGTERM: requests under way are finished, then the command fails."""
        log.critical("stopped_for_good", reason=reason)
        self._reasons.put(reason)
        os.kill(self._parent_pid, signal.SIGTERM)

    def raise_if_stopped(self) -> None:
        """Raises :class:`StopError` with the first reason."""
        if not self._reasons.empty():
            raise StopError(self._reasons.get())
