"""A lock on a file: one active process for a case. The kernel releases it however its holder ends."""

from __future__ import annotations

from pathlib import Path

from event_backbone.errors import Fault, SettingsError
from event_backbone.process.file_lock import HeldLock, try_lock

#: Lets a predecessor that was just killed go away.
PATIENCE_S = 2.0


class InstanceLock:
    """Held by the process that acquired it until it is gone: programs that it starts don't get it.

    Not thread-safe. Errors: :class:`SettingsError` when the file can't be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: HeldLock | None = None

    def acquire(self, *, patience_s: float = PATIENCE_S) -> bool:
        """Whether the lock is ours now; waits at most ``patience_s`` for it."""
        try:
            self._held = try_lock(self._path, patience_s=patience_s)
        except OSError as error:
            message = f"can't be made: {(error.strerror or str(error)).lower()}"
            raise SettingsError("monitoring-service", [Fault(str(self._path), "lock", message)]) from None
        return self._held is not None

    def release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._held = None
