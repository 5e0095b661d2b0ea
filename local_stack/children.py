"""Child processes that end with us, however we end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from event_backbone.process.lifetime import die_with_parent

_STOP_WITHIN_S = 5


@contextmanager
def child(arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """``python ARGUMENTS`` in our interpreter; asked to end when the block ends, then made to."""
    parent_pid = os.getpid()
    process = subprocess.Popen(  # noqa: S603  # our own modules, by name
        [sys.executable, *arguments],
        preexec_fn=lambda: die_with_parent(parent_pid),  # noqa: PLW1509  # callers have one thread
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
