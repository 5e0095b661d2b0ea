"""The monitoring service as real processes on a free port and a folder of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
from monitoring_world import install_bundle, made_case, write_case
from parent_death import die_with_the_parent

from event_backbone.process.progress import UnstarvedClock, descendants_of

#: Below those that connections get, 32768 and up, which might take one before its server does, or while it is down.
PORTS = range(12_000, 32_000)
MOST_WORKERS = 16
#: Limits of waits are for a machine that does nothing else, and are longer where other tests run beside: what states a
#: speed is `alone`.
PATIENCE = 3 if "PYTEST_XDIST_WORKER" in os.environ else 1


def _ports_of_this_worker() -> Iterator[int]:
    """Each of pytest-xdist's workers has a part of them for itself; two test runs start at different places."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % MOST_WORKERS
    own = PORTS[worker::MOST_WORKERS]
    start = random.SystemRandom().randrange(len(own))
    return itertools.cycle([*own[start:], *own[:start]])


_ports = _ports_of_this_worker()


def free_port() -> int:
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def poll_until(condition: Callable[[], Any], timeout_s: float = 60.0, what: str = "an answer") -> Any:
    """The first true answer of ``condition``; an assertion that tells its last answer or error when there is none.

    Seconds in which a process that we started waited for a core don't count.
    """
    clock, last = UnstarvedClock(lambda: descendants_of(os.getpid())), None
    while clock.now() < timeout_s * PATIENCE:
        try:
            last = condition()
            if last:
                return last
        except (requests.RequestException, OSError, AssertionError, KeyError, TypeError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout_s * PATIENCE:g} s: {what}; last: {last!r}")


def children_of(pid: int) -> list[int]:
    """Process ids below ``pid``, all generations."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        below = [child for child, its_parent in parents.items() if its_parent == parent]
        found += below
        todo += below
    return found


def stop(process: subprocess.Popen[bytes]) -> int:
    """The exit code after SIGTERM; an error when that was not enough."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def is_running(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


class MonitoringProcess:
    """``start``, ``kill`` and ask; :attr:`bundle_sha256` names the bundle its reference comes from."""

    def __init__(self, folder: Path, *, settings: dict[str, str] | None = None, **monitoring: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "monitoring.log"
        self._settings = settings or {}
        write_case(folder / "cases", **monitoring)
        self.bundle_sha256 = install_bundle(folder / "var" / "shop" / "bundles", made_case(**monitoring))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitoring_service"],
                env=self.environment(),
                stdout=log,
                stderr=log,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
            )
        poll_until(lambda: requests.get(f"{self.url}/livez", timeout=1).ok)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CASE": "shop",
            "CASES_DIR": str(self.folder / "cases"),
            "STATE_DIR": str(self.folder / "var"),
            "MONITORING_PORT": str(self.port),
            **self._settings,
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def worker_pid(self) -> int:
        (worker,) = [pid for pid in children_of(self.pid) if "evaluation.process" not in command_of(pid)]
        return worker

    def evaluator_pid(self) -> int:
        found: int = poll_until(
            lambda: next(
                (pid for pid in children_of(self.pid) if "monitoring_service.evaluation.process" in command_of(pid)), 0
            )
        )
        return found

    def kill(self) -> None:
        """SIGKILL the process that was started; the rest must follow by itself."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        return stop(self._process)

    def wait(self, timeout_s: float) -> int:
        """The exit code of a process that ends by itself."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def post(self, body: bytes) -> requests.Response:
        return requests.post(f"{self.url}/events", data=body, timeout=10)

    def post_until_taken(self, body: bytes, timeout_s: float = 60.0) -> None:
        """Deliver as a relay does: again and again until there is a 200."""
        poll_until(lambda: self.post(body).status_code == 200, timeout_s)

    def state(self) -> Any:
        return requests.get(f"{self.url}/api/state", timeout=10).json()

    def history(self) -> Any:
        return requests.get(f"{self.url}/api/history", timeout=10).json()

    def wait_for_checks(self, row: int, timeout_s: float = 90.0) -> Any:
        """The state once the check at ``row`` is made."""

        def checked() -> Any:
            state = self.state()
            return state if state["evaluation"] and state["evaluation"]["at_row"] >= row else None

        return poll_until(checked, timeout_s)
