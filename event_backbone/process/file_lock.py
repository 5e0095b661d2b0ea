"""Exclusive locks on files, released by the kernel when their process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from event_backbone.process.files import make_folder


class HeldLock:
    """An exclusive lock on a file until :meth:`release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


def try_lock(path: Path) -> HeldLock | None:
    """Lock a file, made if needed; ``None`` when somebody else holds it."""
    make_folder(path.parent)  # often the first to make it, for what must outlast a power cut
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return HeldLock(descriptor)
