"""Pauses between tries: how they grow, where they end, and what the other side and chance make of them."""

from __future__ import annotations

import pytest

from event_backbone.process.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 5.0)
    assert [backoff.failed() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.failures == 6


def test_a_success_begins_anew() -> None:
    backoff = Backoff(0.5, 5.0)
    backoff.failed()
    backoff.failed()
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.failed() == 0.5


def test_what_the_other_side_asks_for_is_waited_and_doubled_from() -> None:
    backoff = Backoff(0.2, 5.0)
    assert [backoff.failed(1.0) for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]


def test_nobody_is_waited_for_longer_than_the_longest() -> None:
    assert Backoff(0.2, 5.0).failed(asked_s=86_400) == 5.0


def test_failures_for_weeks_overflow_nothing() -> None:
    backoff = Backoff(1.0, 300.0)
    assert max(backoff.failed() for _ in range(100_000)) == 300.0


@pytest.mark.parametrize(("chance", "pauses"), [(0.0, [1.0, 2.0, 4.0]), (0.5, [0.9, 1.8, 3.6]), (1.0, [0.8, 1.6, 3.2])])
def test_chance_makes_pauses_shorter_by_a_share_and_their_growth_stays(chance: float, pauses: list[float]) -> None:
    backoff = Backoff(1.0, 5.0, jitter=0.2, chance=lambda: chance)
    assert [backoff.failed() for _ in range(3)] == pytest.approx(pauses)


def test_chance_brings_nobody_back_before_the_time_asked_for() -> None:
    backoff = Backoff(0.1, 5.0, jitter=1.0, chance=lambda: 1.0)
    assert [backoff.failed(1.0) for _ in range(3)] == [1.0, 1.0, 1.0]


def test_many_who_failed_together_come_back_apart() -> None:
    pauses = {Backoff(1.0, 5.0, jitter=0.2).failed() for _ in range(50)}
    assert len(pauses) > 40
    assert all(0.8 <= pause <= 1.0 for pause in pauses)
