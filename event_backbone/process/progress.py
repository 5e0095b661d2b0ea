"""Time limits that count another process's own work: on a busy machine little of it happens in a second."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
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


def descendants_of(pid: int) -> list[int]:
    """Process ids below ``pid``, all generations (Linux)."""
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        with contextlib.suppress(OSError):  # it has just ended
            for task in Path(f"/proc/{parent}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        found.append(parent)
    return found[1:]


def core_waits_of(pid: int) -> dict[int, float]:
    """Seconds for which each thread of a process could have run and got no core, by thread id.

    Empty where the kernel does not say so, or there is no such process (Linux).
    """
    waits = {}
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError, IndexError):
                waits[int(task.name)] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return waits


class UnstarvedClock:
    """Counts seconds as a machine would that has a core for these processes; not thread-safe.

    Seconds in which one of them waited for a core are left out. It never goes back, and is exact to ``every_s``.
    """

    def __init__(
        self,
        pids: Callable[[], Iterable[int]],
        *,
        every_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        core_waits: Callable[[int], Mapping[int, float]] = core_waits_of,
    ) -> None:
        self._pids = pids
        self._every_s = every_s
        self._clock = clock
        self._core_waits = core_waits
        self._counted_s = 0.0
        self._looked_at = clock()
        self._waits = self._all_waits()

    def now(self) -> float:
        """Seconds since this was made."""
        elapsed_s = self._clock() - self._looked_at
        if elapsed_s >= self._every_s:
            waits = self._all_waits()
            waited_s = max((wait - self._waits.get(thread, 0.0) for thread, wait in waits.items()), default=0.0)
            self._counted_s += max(0.0, elapsed_s - waited_s)
            self._looked_at += elapsed_s
            self._waits = waits
        return self._counted_s

    def _all_waits(self) -> dict[int, float]:
        return {thread: wait for pid in self._pids() for thread, wait in self._core_waits(pid).items()}
