"""The sidecar's look at the registry: every few seconds, and at once when the server asks for it."""

from __future__ import annotations

import threading
import time

import structlog

from prediction_service.following import AliasFollower
from prediction_service.registry_notes import RegistryFault, RegistryNotes
from prediction_service.shadowing import ShadowModel

log = structlog.get_logger()

#: How often it is asked whether somebody wants a look.
_LISTEN_EVERY_S = 0.1


class RegistryWatch:
    """Follows the champion, notes for the server what stands in its way, and follows the shadow where there is one."""

    def __init__(self, champion: AliasFollower, notes: RegistryNotes, shadow: ShadowModel | None = None) -> None:
        self._champion = champion
        self._notes = notes
        self._shadow = shadow

    def run(self, stop: threading.Event, *, every_s: float) -> None:
        """Look until told to stop."""
        due_at = time.monotonic()
        while not stop.is_set():
            asked = self._notes.open_request()
            if asked is not None or time.monotonic() >= due_at:
                self._look_safely(asked)
                due_at = time.monotonic() + every_s
            stop.wait(min(_LISTEN_EVERY_S, every_s))

    def _look_safely(self, asked: str | None) -> None:
        try:
            self.look(anew=asked is not None)
        except Exception as error:  # a thread's border: whatever fails, the next look may not
            log.exception("follow_failed")
            self._notes.note_fault(RegistryFault("fetch", f"looking at it failed: {type(error).__name__}"))
        if asked is not None:
            self._notes.answer(asked)

    def look(self, *, anew: bool = False) -> None:
        """Once; ``anew``: what was refused before is tried once more."""
        self._champion.follow(anew=anew)
        self._notes.note_fault(self._champion.fault)
        if self._shadow is not None:
            self._shadow.look(anew=anew)
        self._notes.note_shadow(self._shadow.note() if self._shadow is not None else None)
