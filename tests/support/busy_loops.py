"""Busy loops beside what is tested: a machine that gives it little of a core."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from parent_death import die_with_the_parent

#: They end by themselves, whatever becomes of the test.
LONGEST_S = 600


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many processes that never wait for anything, gone at the end."""
    program = f"import time\nend = time.monotonic() + {LONGEST_S}\nwhile time.monotonic() < end: pass"
    loops = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
        )
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
