"""Steps in threads: order, bounds, retries and ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from monitoring_process import poll_until

from event_backbone.errors import TryAgainLaterError
from prediction_service.worker.pipeline import Pipeline


class Meter:
    def __init__(self) -> None:
        self.taken: list[str] = []
        self.retries: list[str] = []

    def took(self, step: str, seconds: float) -> None:
        assert seconds >= 0
        self.taken.append(step)

    def retried(self, step: str) -> None:
        self.retries.append(step)


Step = Callable[[int], None]
Open = Callable[..., Pipeline[int]]


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def open_pipeline(meter: Meter) -> Iterator[Open]:
    opened: list[Pipeline[int]] = []

    def make(*steps: Step, depth: int = 3) -> Pipeline[int]:
        opened.append(Pipeline([(f"step-{index}", step) for index, step in enumerate(steps)], meter, depth=depth))
        return opened[-1]

    yield make
    for pipeline in opened:
        pipeline.close()


def feed(pipeline: Pipeline[int], count: int) -> list[int]:
    finished: list[int] = []
    for item in range(count):
        assert pipeline.wait_for_room(5)
        pipeline.offer(item)
        finished += pipeline.take_finished()
    assert pipeline.drain(5)
    return finished + pipeline.take_finished()


def test_items_take_every_step_in_order(open_pipeline: Open, meter: Meter) -> None:
    seen: list[tuple[str, int]] = []
    pipeline = open_pipeline(lambda item: seen.append(("keep", item)), lambda item: seen.append(("publish", item)))
    assert feed(pipeline, 20) == list(range(20))
    for step in ("keep", "publish"):
        assert [item for name, item in seen if name == step] == list(range(20))
    assert all(seen.index(("keep", item)) < seen.index(("publish", item)) for item in range(20))
    assert meter.taken.count("step-0") == meter.taken.count("step-1") == 20


def test_no_more_than_the_depth_is_in_hand(open_pipeline: Open) -> None:
    gate = threading.Event()
    pipeline = open_pipeline(lambda _: gate.wait(5) and None, depth=2)
    pipeline.offer(1)
    assert pipeline.wait_for_room(0)
    pipeline.offer(2)
    assert not pipeline.wait_for_room(0.05)
    assert pipeline.in_hand == 2
    gate.set()
    assert pipeline.drain(5)
    assert pipeline.take_finished() == [1, 2]


def test_a_step_whose_other_side_is_away_is_tried_until_it_succeeds(open_pipeline: Open, meter: Meter) -> None:
    errors = [TryAgainLaterError("gone", retry_after_s=0.01), TryAgainLaterError("gone", retry_after_s=0.01)]

    def step(_: int) -> None:
        if errors:
            raise errors.pop()

    pipeline = open_pipeline(step)
    pipeline.offer(1)
    poll_until(lambda: pipeline.away == {"step-0": "gone"}, 5, "what is away has a name")
    assert pipeline.drain(5)
    assert pipeline.take_finished() == [1]
    assert pipeline.away == {}
    assert meter.retries == ["step-0", "step-0"]


def test_any_other_error_ends_the_pipeline_and_is_raised_to_the_caller(open_pipeline: Open) -> None:
    def step(item: int) -> None:
        if item == 1:
            raise ValueError("broken")

    pipeline = open_pipeline(step)
    pipeline.offer(0)
    pipeline.offer(1)
    pipeline.offer(2)
    assert not pipeline.drain(5)
    assert pipeline.take_finished() == [0]
    with pytest.raises(ValueError, match="broken"):
        pipeline.check()


def test_closing_gives_up_what_waits_for_a_side_that_is_away(open_pipeline: Open) -> None:
    def step(_: int) -> None:
        raise TryAgainLaterError("gone", retry_after_s=60)

    pipeline = open_pipeline(step)
    pipeline.offer(1)
    assert not pipeline.drain(0.05)
    pipeline.close()
    assert pipeline.take_finished() == []
