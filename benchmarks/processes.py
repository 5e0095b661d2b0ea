"""Starts and stops the servers that a benchmark measures."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from event_backbone.process.lifetime import die_with_parent
from event_backbone.process.progress import UnstarvedClock, descendants_of


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    arguments: Sequence[str], env: Mapping[str, str], ready_url: str, log: Path = Path(os.devnull)
) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of ours, from ready to ended; what it logs goes to the end of ``log``.

    A benchmark that is killed leaves none behind.
    """
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **env},
            stdout=file,
            preexec_fn=functools.partial(die_with_parent, os.getpid()),  # noqa: PLW1509  # two system calls, no lock
        )
    try:
        _wait_until_ready(process, ready_url)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, timeout_s: float = 60) -> None:
    clock = UnstarvedClock(lambda: [process.pid, *descendants_of(process.pid)])
    while clock.now() < timeout_s:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it was ready")
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{url} was not ready within {timeout_s} s")


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def cpu_seconds(pid: int) -> tuple[float, float]:
    """What a process has used so far, and what its children had used that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, children_user, children_system = (int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15])
    return user + system, children_user + children_system


def resident_mb(pid: int) -> float:
    """Memory of a process in MB (2^20 bytes), shared libraries included."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
