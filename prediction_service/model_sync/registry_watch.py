"""The sidecar's look at the registry: every few seconds, and at once when the server asks for it."""

from __future__ import annotations

import threading
import time

import structlog

from prediction_service.model_sync.alias_follower import AliasFollower
from prediction_service.model_sync.notes import RegistryFault, SyncFiles
from prediction_service.model_sync.shadow_model import ShadowModel

log = structlog.get_logger()

#: How often it is asked whether somebody wants a look.
_LISTEN_EVERY_S = 0.1


class RegistryWatch:
    """Follows the champion, notes for the server what stands in its way, and follows the shadow where there is one.

    What was refused before is tried once more when somebody asks for a look.
    """

    def __init__(self, champion: AliasFollower, notes: SyncFiles, shadow: ShadowModel | None = None) -> None:
        self._champion = champion
        self._notes = notes
        self._shadow = shadow
        self._last_asked: str | None = None

    def run(self, stop: threading.Event, *, every_s: float) -> None:
        """Look until told to stop."""
        due_at = time.monotonic()
        while not stop.is_set():
            try:
                asked = self._newly_asked()
                if asked is not None or time.monotonic() >= due_at:
                    due_at = time.monotonic() + every_s
                    self._look_for(asked)
            except Exception:  # a thread's border: a disk that is full now may have room at the next look
                log.exception("follow_failed")
            stop.wait(min(_LISTEN_EVERY_S, every_s))

    def _newly_asked(self) -> str | None:
        asked = self._notes.open_request()
        return None if asked == self._last_asked else asked

    def _look_for(self, asked: str | None) -> None:
        """Whatever comes of it, who asked is told that it was done."""
        self._last_asked = asked or self._last_asked
        try:
            self._champion.follow(anew=asked is not None)
            fault = self._champion.fault
        except Exception as error:  # from a client's depths; said instead of the look's outcome
            log.exception("follow_failed")
            fault = RegistryFault("fetch", f"looking at it failed: {type(error).__name__}")
        self._notes.write_fault(fault)
        self._look_at_shadow(anew=asked is not None)
        if asked is not None:
            self._notes.answer(asked)

    def _look_at_shadow(self, *, anew: bool) -> None:
        if self._shadow is None:
            self._notes.note_shadow(None)
            return
        try:
            self._shadow.look(anew=anew)
        except Exception:  # nothing that a shadow does may stand in the champion's way
            log.exception("shadow_not_followed")
        self._notes.note_shadow(self._shadow.note())
