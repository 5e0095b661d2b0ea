"""Who is let in."""

from __future__ import annotations

import pytest

from event_backbone.server.admission import STRAIN_S, AdmissionControl


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def admission(clock: Clock) -> AdmissionControl:
    return AdmissionControl(4, clock)


def enter(admission: AdmissionControl, times: int) -> list[bool]:
    return [admission.enter() for _ in range(times)]


def leave(admission: AdmissionControl, times: int) -> None:
    for _ in range(times):
        admission.leave()


def test_as_many_as_there_are_places_are_let_in(admission: AdmissionControl) -> None:
    assert enter(admission, 5) == [True, True, True, True, False]


def test_who_leaves_makes_room(admission: AdmissionControl) -> None:
    enter(admission, 4)
    leave(admission, 1)
    assert enter(admission, 1) == [True]


def test_after_a_refusal_half_of_the_places_are_given_for_a_while(admission: AdmissionControl, clock: Clock) -> None:
    enter(admission, 5)
    leave(admission, 4)
    assert enter(admission, 3) == [True, True, False]
    leave(admission, 2)
    clock.now_s += STRAIN_S
    assert enter(admission, 4) == [True] * 4


def test_refusals_meanwhile_do_not_prolong_it(admission: AdmissionControl, clock: Clock) -> None:
    enter(admission, 5)
    clock.now_s += STRAIN_S * 0.9
    assert enter(admission, 3) == [False] * 3
    leave(admission, 4)
    clock.now_s += STRAIN_S * 0.1
    assert enter(admission, 4) == [True] * 4


def test_a_single_place_is_never_taken_away(clock: Clock) -> None:
    admission = AdmissionControl(1, clock)
    enter(admission, 2)
    leave(admission, 1)
    assert enter(admission, 1) == [True]
