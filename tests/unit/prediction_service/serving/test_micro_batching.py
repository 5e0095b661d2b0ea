"""Work of callers who meet, done as one group."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from prediction_service.serving.micro_batching import MicroBatcher


class Workshop:
    """Doubles numbers. Holds its first group until :attr:`others_are_queued` is set, so that company gathers."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.has_started = threading.Event()
        self.others_are_queued = threading.Event()
        self.fail: Callable[[Sequence[int]], Exception | None] = lambda _: None
        self.at_work = 0

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.at_work += 1
        assert self.at_work == 1
        self.groups.append(list(items))
        self.has_started.set()
        assert self.others_are_queued.wait(10)
        self.at_work -= 1
        error = self.fail(items)
        if error is not None:
            raise error
        return [2 * item for item in items]


class WatchedQueue(deque[Any]):
    """Says when as many wait as are expected."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self._expected = expected
        self.is_complete = threading.Event()

    def append(self, item: Any) -> None:
        super().append(item)
        if len(self) == self._expected:
            self.is_complete.set()


def together(workshop: Workshop, numbers: Sequence[int]) -> list[Future[int]]:
    """The first number is being worked on while all the others come; then everybody finishes."""
    micro_batcher = MicroBatcher(workshop)
    with ThreadPoolExecutor(len(numbers)) as pool:
        calls = [pool.submit(micro_batcher, numbers[0])]
        assert workshop.has_started.wait(10)
        queue = micro_batcher._queue = WatchedQueue(len(numbers) - 1)
        calls += [pool.submit(micro_batcher, number) for number in numbers[1:]]
        assert queue.is_complete.wait(10)
        workshop.others_are_queued.set()
    return calls


def test_a_caller_alone_waits_for_nobody() -> None:
    workshop = Workshop()
    workshop.others_are_queued.set()
    assert MicroBatcher(workshop)(21) == 42
    assert workshop.groups == [[21]]


def test_callers_who_meet_become_one_group_and_each_gets_its_own_result() -> None:
    workshop = Workshop()
    calls = together(workshop, range(8))
    assert [call.result() for call in calls] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert workshop.groups[0] == [0]
    assert sorted(workshop.groups[1]) == [1, 2, 3, 4, 5, 6, 7]


def test_an_error_reaches_every_caller_of_its_group_and_nobody_else() -> None:
    workshop = Workshop()
    workshop.fail = lambda items: ValueError("no") if len(items) > 1 else None
    first, *others = together(workshop, range(5))
    assert first.result() == 0
    for call in others:
        with pytest.raises(ValueError, match="no"):
            call.result()


def test_work_goes_on_after_an_error() -> None:
    workshop = Workshop()
    workshop.others_are_queued.set()
    micro_batcher = MicroBatcher(workshop)
    workshop.fail = lambda _: ValueError("no")
    with pytest.raises(ValueError, match="no"):
        micro_batcher(1)
    workshop.fail = lambda _: None
    assert micro_batcher(2) == 4


def test_a_result_may_be_nothing() -> None:
    assert MicroBatcher(lambda items: [None for _ in items])(1) is None


def test_work_that_loses_results_is_an_error_for_every_caller() -> None:
    workshop = Workshop()
    micro_batcher: MicroBatcher[int, int] = MicroBatcher(lambda items: workshop(items)[:0])
    workshop.others_are_queued.set()
    with pytest.raises(ValueError, match="shorter"):
        micro_batcher(1)


def test_many_threads_get_what_they_brought() -> None:
    micro_batcher: MicroBatcher[int, int] = MicroBatcher(lambda items: [item + 1 for item in items])
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(micro_batcher, range(2000))) == list(range(1, 2001))
