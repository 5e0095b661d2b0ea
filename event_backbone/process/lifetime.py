"""How long a process may live: not longer than its parent, and not for long after it was asked to stop."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

import structlog

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies, however it dies (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


class StopDeadline:
    """Ends this process, with exit code 1, some seconds after it was asked to stop, whatever it is doing then.

    A library that hangs, or waits for somebody who does not answer, would keep it until it is killed. What it leaves
    undone is what a kill would have left.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = threading.Event()
        # Started now: the handler of a signal, which may interrupt whatever takes a lock, should start no thread.
        threading.Thread(target=self._wait, name="stop-deadline", daemon=True).start()

    def begin(self) -> None:
        """Count from now on; from a signal's handler, too."""
        self._begun.set()

    def _wait(self) -> None:
        self._begun.wait()
        time.sleep(self._seconds)
        log.error("not_stopped_in_time", after_s=self._seconds)
        os._exit(1)
