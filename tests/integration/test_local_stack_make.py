"""A ``make`` that is interrupted alone takes us with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from real_parts_cache import part_or_skip

_CHILD = """
import sys, time
from local_stack.make import follow_make
follow_make()
print("up", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_run_ends_when_make_alone_is_signalled(number: signal.Signals, tmp_path: Path) -> None:
    part_or_skip("make")
    (tmp_path / "child.py").write_text(_CHILD)
    (tmp_path / "Makefile").write_text(f"run:\n\t@{sys.executable} child.py; echo ended $$? | tee ended\n")
    # The tests may themselves be run by make, whose level and flags are not meant for this one.
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    make = subprocess.Popen(
        ["make", "run"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background jobs ignore SIGINT; so would make, if the tests are one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # one system call, no lock
    )
    assert make.stdout is not None
    assert make.stdout.readline() == "up\n"
    started_at = time.monotonic()
    make.send_signal(number)
    assert make.stdout.read() == "ended 130\n"
    assert time.monotonic() - started_at < 20
    make.wait()
