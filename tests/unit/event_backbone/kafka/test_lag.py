"""Ages of what is unread, and standstills, by a clock that only the test moves."""

from __future__ import annotations

import time

import pytest

from event_backbone.kafka.lag import STANDS_STILL_AFTER_S, LagClock, StandstillClock
from event_backbone.ports import Lag, Partition

TOPIC = "shop.records"
FIRST, SECOND = Partition(TOPIC, 0), Partition(TOPIC, 1)


class Hand:
    """A clock."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def clock(hand: Hand) -> StandstillClock:
    return StandstillClock([TOPIC, "shop.labels"], hand)


def unread(next_offset: int | None, records: int = 5) -> Lag:
    return Lag(records, 1.0, next_offset)


def test_a_partition_stands_still_from_the_last_look_at_which_it_had_moved(clock: StandstillClock, hand: Hand) -> None:
    clock.look({FIRST: unread(7), SECOND: unread(3)})
    for second in range(1, 15):
        hand.seconds = 100.0 + second
        clock.look({FIRST: unread(7), SECOND: unread(3 + second)})
    assert clock.by_topic() == {TOPIC: 14.0, "shop.labels": 0.0}
    assert clock.fault() == "partition 0 of shop.records has not moved on from offset 7 for 14 s"
    clock.look({FIRST: unread(8), SECOND: unread(30)})
    assert clock.by_topic()[TOPIC] == 0.0
    assert clock.fault() is None


def test_a_partition_whose_end_is_read_does_not_stand_still(clock: StandstillClock, hand: Hand) -> None:
    clock.look({FIRST: unread(7, 0)})
    hand.seconds += 1000
    clock.look({FIRST: unread(7, 0)})
    assert clock.fault() is None


def test_a_place_that_never_gets_known_stands_still(clock: StandstillClock, hand: Hand) -> None:
    for _ in range(3):
        clock.look({FIRST: Lag(0, 0.0)})
        hand.seconds += STANDS_STILL_AFTER_S
    assert clock.fault() == "partition 0 of shop.records has not moved on for 30 s"


def test_who_hangs_stands_still_and_so_does_who_never_came_to_read(clock: StandstillClock, hand: Hand) -> None:
    hand.seconds += STANDS_STILL_AFTER_S + 1
    assert clock.fault() == "reading has not come to anything for 11 s"
    clock.look({FIRST: unread(7, 0)})
    assert clock.fault() is None
    hand.seconds += STANDS_STILL_AFTER_S + 1
    assert clock.fault() == "partition 0 of shop.records has not moved on from offset 7 for 11 s"
    assert clock.by_topic()[TOPIC] == STANDS_STILL_AFTER_S + 1


def test_without_partitions_nothing_stands_still(clock: StandstillClock, hand: Hand) -> None:
    """Of more workers than partitions some have none."""
    clock.look({FIRST: unread(7)})
    hand.seconds += STANDS_STILL_AFTER_S + 1
    clock.look({})
    assert clock.fault() is None
    assert set(clock.by_topic().values()) == {0.0}


@pytest.mark.parametrize("timestamp_ms", [-1, -86_400_000, 32_503_680_000_000, 2**62])
def test_a_time_at_which_no_message_can_have_come_says_nothing_of_its_age(timestamp_ms: int) -> None:
    clock = LagClock()
    clock.got(int((time.time() - 100) * 1000))
    clock.got(timestamp_ms)
    assert 99 < clock.lag(5, 0).seconds < 110
