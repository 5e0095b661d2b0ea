"""How often a dead worker is replaced, and how a worker starts."""

from __future__ import annotations

import subprocess
import sys

import pytest

from event_backbone.server.serve import Respawns


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_may_die_a_few_times_in_a_row() -> None:
    respawns = Respawns(most=3, within_s=60, clock=Clock())
    for _ in range(3):
        respawns.note()


def test_one_that_keeps_dying_ends_the_server() -> None:
    respawns = Respawns(most=3, within_s=60, clock=Clock())
    for _ in range(3):
        respawns.note()
    with pytest.raises(SystemExit) as ended:
        respawns.note()
    assert ended.value.code == 1


def test_deaths_that_lie_apart_are_never_too_many() -> None:
    clock = Clock()
    respawns = Respawns(most=3, within_s=60, clock=clock)
    for _ in range(20):
        respawns.note()
        clock.now += 25


_FORKSERVER_BY_DEFAULT = """
import multiprocessing, sys
multiprocessing.set_start_method("forkserver")
from event_backbone.errors import StreamgaugeError
from event_backbone.guards.access import Access
from event_backbone.server.capacity import Capacity
from event_backbone.server.serve import serve
def build(draining):
    raise StreamgaugeError("built " + started_here)
if __name__ == "__main__":
    started_here = "in a fork"
    serve(lambda draining: build(draining), host="127.0.0.1", port=0, access=Access(), capacity=Capacity(1, 1000))
"""


def test_a_worker_is_forked_also_where_python_does_not_fork_by_itself() -> None:
    """As Python 3.14 does not. What we give to a worker is known to a fork alone."""
    done = subprocess.run(
        [sys.executable, "-c", _FORKSERVER_BY_DEFAULT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "built in a fork" in done.stdout + done.stderr
