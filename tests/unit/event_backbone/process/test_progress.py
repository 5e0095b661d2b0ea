"""Time limits that follow what a process does, not the clock alone."""

from __future__ import annotations

import os

import pytest

from event_backbone.process.progress import ProgressLimit, cpu_seconds_of


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
