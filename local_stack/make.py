"""Handling of ``make`` as the parent process: interrupted alone, it waits for us without telling us."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

_LOOK_EVERY_S = 0.5
_SIGINT_BIT = 1 << (signal.SIGINT - 1)
#: A recipe may put a shell or two between make and us.
_MOST_STEPS_UP = 3


def _status(pid: int) -> dict[str, str]:
    """The fields of ``/proc/<pid>/status``; empty when there is no such process, or no ``/proc``."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _make_above() -> int | None:
    pid = os.getppid()
    for _ in range(_MOST_STEPS_UP):
        status = _status(pid)
        if status.get("Name") in ("make", "gmake"):
            return pid
        pid = int(status.get("PPid", "0"))
    return None


def _catches_sigint(pid: int) -> bool:
    status = _status(pid)
    # A dead process whose parent has not asked for it still shows what it caught.
    is_dead = status.get("State", "").startswith("Z")
    return not is_dead and bool(int(status.get("SigCgt", "0"), 16) & _SIGINT_BIT)


def follow_make() -> None:
    """If ``make`` started us, send ourselves a SIGINT when it was interrupted or has died.

    Ctrl-C reaches the whole foreground group, but ``kill -INT`` of make's pid does not: make then takes its handler
    back and waits for its children, and that it no longer catches the signal is all there is to see.
    """
    make = _make_above()
    if make is not None and _catches_sigint(make):
        threading.Thread(target=_interrupt_after, args=(make,), name="follow-make", daemon=True).start()


def _interrupt_after(make: int) -> None:
    while _catches_sigint(make):
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGINT)
