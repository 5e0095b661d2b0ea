"""Time limits that follow what a process does, not the clock alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from event_backbone.process.progress import (
    ProgressLimit,
    UnstarvedClock,
    core_waits_of,
    cpu_seconds_of,
    descendants_of,
)


class World:
    """A clock and the CPU time of a process."""

    def __init__(self) -> None:
        self.now = 100.0
        self.cpu = 7.0

    def limit(self) -> ProgressLimit:
        return ProgressLimit(
            1, most_cpu_s=10.0, stalled_s=60.0, clock=lambda: self.now, cpu_seconds=lambda _pid: self.cpu
        )


@pytest.fixture
def world() -> World:
    return World()


def test_a_process_that_gets_little_of_a_core_is_waited_for(world: World) -> None:
    limit = world.limit()
    for _ in range(900):
        world.now += 59.0
        world.cpu += 0.01
        assert limit.exceeded() is None


def test_one_that_uses_its_cpu_time_up_is_given_up(world: World) -> None:
    limit = world.limit()
    world.cpu += 9.9
    assert limit.exceeded() is None
    world.cpu += 0.1
    assert limit.exceeded() == "not done after 10 s of CPU time"


def test_one_that_does_nothing_is_given_up(world: World) -> None:
    limit = world.limit()
    world.now += 50.0
    world.cpu += 0.01
    assert limit.exceeded() is None
    world.now += 59.0
    assert limit.exceeded() is None
    world.now += 1.0
    assert limit.exceeded() == "did nothing for 60 s"


def test_cpu_time_is_the_processs_own() -> None:
    before = cpu_seconds_of(os.getpid())
    while cpu_seconds_of(os.getpid()) == before:
        sum(range(100_000))
    assert before <= cpu_seconds_of(os.getpid()) <= sum(os.times()[:2]) + 1
    assert cpu_seconds_of(2**22 + 1) == 0.0


class Machine:
    """A clock, and how long each thread has waited for a core."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits = {11: 5.0, 12: 1.0}

    def clock(self) -> UnstarvedClock:
        return UnstarvedClock(lambda: [7], clock=lambda: self.now, core_waits=lambda _pid: dict(self.waits))


def test_seconds_in_which_a_process_waited_for_a_core_do_not_count() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.now += 10.0
    assert clock.now() == pytest.approx(10.0)
    machine.now += 10.0
    machine.waits = {11: 14.0, 12: 1.0, 13: 2.0}
    assert clock.now() == pytest.approx(11.0), "nine of ten seconds the longest waited"
    machine.now += 1.0
    machine.waits = {13: 2.0}
    assert clock.now() == pytest.approx(12.0), "threads may end"


def test_time_never_goes_back() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.now += 1.0
    machine.waits[11] += 30.0
    assert clock.now() == 0.0
    machine.now += 0.1
    assert clock.now() == 0.0, "too soon for another look"
    machine.now += 0.9
    assert clock.now() == pytest.approx(1.0)


def test_what_runs_below_a_process_is_found_and_its_waits_are_known() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        while len(below := descendants_of(process.pid)) < 1:
            assert process.poll() is None
        assert process.pid in descendants_of(os.getpid())
        assert all(wait >= 0 for pid in (process.pid, *below) for wait in core_waits_of(pid).values())
        process.communicate(b"\n")
    assert descendants_of(process.pid) == []
    assert core_waits_of(process.pid) == {}
