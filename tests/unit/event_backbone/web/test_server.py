"""How often a dead worker is replaced."""

from __future__ import annotations

import pytest

from event_backbone.web.server import Respawns


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
