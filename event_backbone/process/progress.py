"""Time limits that count another process's own work: on a busy machine little of it happens in a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def cpu_seconds_of(pid: int) -> float:
    """CPU time that a process has used, without its children's; 0 when there is none of this id (Linux)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class ProgressLimit:
    """Says when to give up waiting for another process; not thread-safe.

    That is when it has used ``most_cpu_s`` of CPU time since this was made and is still not there, or when it used none
    at all for ``stalled_s``: it is stopped, or waits for what does not come. One that only gets little of a core is
    waited for. A process waits for others as well, for a disk for instance, so ``stalled_s`` must leave time for that.
    """

    def __init__(
        self,
        pid: int,
        *,
        most_cpu_s: float,
        stalled_s: float,
        clock: Callable[[], float] = time.monotonic,
        cpu_seconds: Callable[[int], float] = cpu_seconds_of,
    ) -> None:
        self._pid = pid
        self._most_cpu_s = most_cpu_s
        self._stalled_s = stalled_s
        self._clock = clock
        self._cpu_seconds = cpu_seconds
        self._cpu_before = self._cpu = cpu_seconds(pid)
        self._moved_at = clock()

    def exceeded(self) -> str | None:
        """Why to give up, or ``None``; to be called every second or so."""
        cpu, now = self._cpu_seconds(self._pid), self._clock()
        if cpu != self._cpu:
            self._cpu, self._moved_at = cpu, now
        if cpu - self._cpu_before >= self._most_cpu_s:
            return f"not done after {cpu - self._cpu_before:.0f} s of CPU time"
        if now - self._moved_at >= self._stalled_s:
            return f"did nothing for {now - self._moved_at:.0f} s"
        return None
