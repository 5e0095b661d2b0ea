"""Exclusive locks on files, released by the kernel when their process dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from event_backbone.process.files import make_folder

_ASK_EVERY_S = 0.1


class HeldLock:
    """An exclusive lock on a file until :meth:`release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Doing it again is safe."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def try_lock(
    path: Path,
    *,
    patience_s: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> HeldLock | None:
    """Lock a file, made if needed; ``None`` when somebody else holds it for ``patience_s`` from now.

    It is this process's alone: programs that it starts don't get it.

    Raises:
        OSError: the file can't be made or locked.
    """
    make_folder(path.parent)  # often the first to make it, for what must outlast a power cut
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        is_ours = _take(descriptor, clock() + patience_s, clock, sleep)
    except BaseException:
        os.close(descriptor)
        raise
    if is_ours:
        return HeldLock(descriptor)
    os.close(descriptor)
    return None


def _take(descriptor: int, until: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock() >= until:
                return False
        else:
            return True
        sleep(_ASK_EVERY_S)
