"""A lock on a file: one active process for a case. The kernel releases it however its holder ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from event_backbone.errors import Fault, SettingsError

#: Lets a predecessor that was just killed go away.
PATIENCE_S = 2.0


class InstanceLock:
    """Held by the process that acquired it until it is gone: programs that it starts don't get it.

    Not thread-safe. Errors: :class:`SettingsError` when the file can't be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, *, patience_s: float | None = None) -> bool:
        """Whether the lock is ours now; waits at most ``patience_s`` for it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            message = f"can't be made: {(error.strerror or str(error)).lower()}"
            raise SettingsError("monitoring-service", [Fault(str(self._path), "lock", message)]) from None
        deadline = time.monotonic() + (PATIENCE_S if patience_s is None else patience_s)
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self.release()
                    return False
            else:
                return True
            time.sleep(0.1)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
