"""Polling of the registry in the sidecar: every few seconds, and at once when the server asks for it."""

from __future__ import annotations

import threading
import time

import structlog

from prediction_service.model_sync.alias_follower import AliasFollower
from prediction_service.model_sync.shadow_model import ShadowModel
from prediction_service.model_sync.sync_files import RegistryFault, SyncFiles

log = structlog.get_logger()

#: How often requests of the server are read.
_READ_REQUESTS_EVERY_S = 0.1


class RegistryWatch:
    """Follows the champion, writes for the server what is wrong with it, and follows the shadow where there is one.

    A version that was refused before is tried once more on request.
    """

    def __init__(self, champion: AliasFollower, sync_files: SyncFiles, shadow: ShadowModel | None = None) -> None:
        self._champion = champion
        self._sync_files = sync_files
        self._shadow = shadow
        self._last_request: str | None = None

    def run(self, stop: threading.Event, *, every_s: float) -> None:
        """Poll until ``stop`` is set."""
        due_at = time.monotonic()
        while not stop.is_set():
            try:
                request = self._new_request()
                if request is not None or time.monotonic() >= due_at:
                    due_at = time.monotonic() + every_s
                    self._follow(request)
            except Exception:  # a thread's border: a disk that is full now may have room the next time
                log.exception("follow_failed")
            stop.wait(min(_READ_REQUESTS_EVERY_S, every_s))

    def _new_request(self) -> str | None:
        request = self._sync_files.pending_request()
        return None if request == self._last_request else request

    def _follow(self, request: str | None) -> None:
        """Whatever comes of it, a request is acknowledged."""
        self._last_request = request or self._last_request
        try:
            self._champion.follow(anew=request is not None)
            fault = self._champion.fault
        except Exception as error:  # from a client's depths; written instead of an outcome
            log.exception("follow_failed")
            fault = RegistryFault("fetch", f"looking at it failed: {type(error).__name__}")
        self._sync_files.write_fault(fault)
        self._follow_shadow(anew=request is not None)
        if request is not None:
            self._sync_files.acknowledge(request)

    def _follow_shadow(self, *, anew: bool) -> None:
        if self._shadow is None:
            self._sync_files.write_shadow(None)
            return
        try:
            self._shadow.follow(anew=anew)
        except Exception:  # no fault of a shadow may stop the champion
            log.exception("shadow_not_followed")
        self._sync_files.write_shadow(self._shadow.status())
