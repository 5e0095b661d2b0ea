"""The processes of the stack under honcho; none outlives the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import Queue
from typing import Any

import honcho.manager
from honcho.process import Popen, Process

from event_backbone.process.lifetime import die_with_parent

#: The services finish what they have in flight within 10 s.
_STOP_WITHIN_S = 12
EXIT_INTERRUPTED = 130


class _BoundPopen(Popen):  # type: ignore[misc]  # honcho ships no types
    """A child that the kernel kills when its parent dies."""

    def __init__(self, command: str, **options: Any) -> None:
        parent_pid = os.getpid()
        super().__init__(command, preexec_fn=lambda: die_with_parent(parent_pid), **options)


class _BoundProcess(Process):  # type: ignore[misc]  # honcho ships no types
    """honcho forks for every child a process that reads its output: that one must not outlive us either."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._child_ctor = _BoundPopen
        self._starter_pid = os.getpid()

    def run(self, events: Queue[Any] | None = None, ignore_signals: bool = False) -> None:
        die_with_parent(self._starter_pid)
        super().run(events, ignore_signals)


class ProcessGroup(honcho.manager.Manager):  # type: ignore[misc]  # honcho ships no types
    """honcho's manager: the first process that ends, and SIGINT or SIGTERM, end them all."""

    def __init__(self) -> None:
        # Python 3.14 no longer forks by itself: another Python would be started for each process, to read its output.
        multiprocessing.set_start_method("fork", force=True)
        super().__init__()
        honcho.manager.KILL_WAIT = _STOP_WITHIN_S
        self._process_ctor = _BoundProcess
        self.first_to_end: str | None = None

    def add(self, name: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        """Add ``python ARGUMENTS`` in our interpreter, so that it works without anything on PATH."""
        # exec: the shell that honcho starts must not stand between us and the process.
        self.add_process(name, f"exec {shlex.join([sys.executable, *arguments])}", env=dict(env))

    def terminate(self) -> None:
        if not self._all_started():
            # honcho can't stop what has not told its pid; the kernel does as soon as we are gone.
            os._exit(EXIT_INTERRUPTED)
        if not self._terminating:
            self.first_to_end = next((name for name, state in self._processes.items() if "returncode" in state), None)
        super().terminate()
