"""The worker's loop on brokers in memory: commits, rebalances, outages, limits and ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from monitoring_process import poll_until
from prediction_world import FakeScorer, made_case, made_record
from prometheus_client import CollectorRegistry

from event_backbone.errors import TryAgainLaterError
from event_backbone.in_memory.sink import MemorySink
from event_backbone.in_memory.stream import MemoryBroker, MemoryConsumer, MemoryPublisher
from event_backbone.kafka.lag import STANDS_STILL_AFTER_S, StandstillClock
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Message, Partition, Received
from prediction_service.inference.predictor import Predictor
from prediction_service.worker.batches import BatchMaker, TooManyInvalidError, WorkBatch
from prediction_service.worker.loop import WorkerLoop, WorkerTiming
from prediction_service.worker.metrics import WorkerMetrics
from prediction_service.worker.pipeline import Pipeline
from prediction_service.worker.steps import PublishStep, StoreStep
from prediction_service.worker.wiring import StepMetrics

CASE = made_case()
TOPICS = Topics(None, "garden")
PACE = WorkerTiming(
    batch_records=10, poll_timeout_s=0.002, commit_every_s=0.0, hand_over_within_s=0.5, stop_within_s=0.5
)


class World:
    """Workers on one broker and one sink; each runs in a thread."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(partitions=2)
        self.broker.create_topics(TOPICS.all)
        self.sink = MemorySink("mongodb")
        self.scorer: FakeScorer | None = FakeScorer()
        self.seconds = 0.0
        self.registries: list[CollectorRegistry] = []
        self.workers: list[WorkerLoop] = []
        self.streams: list[MemoryConsumer] = []
        self.errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def start(self, *, most_invalid: int = 100, poll: Callable[..., list[Received]] | None = None) -> WorkerLoop:
        """``poll`` stands in for that of its stream."""
        self.registries.append(CollectorRegistry())
        metrics = WorkerMetrics(self.registries[-1], CASE)
        predictor = Predictor(CASE, lambda: self.scorer)
        maker = BatchMaker(CASE, TOPICS, predictor, metrics, most_invalid_in_a_row=most_invalid)
        publish = PublishStep(MemoryPublisher(self.broker), TOPICS, CASE.sha256, maker, metrics)
        pipeline: Pipeline[WorkBatch] = Pipeline(
            [("keep", StoreStep([self.sink], maker)), ("publish", publish)], StepMetrics(metrics), depth=3
        )
        standstill = StandstillClock([TOPICS.records, TOPICS.labels], lambda: self.seconds)
        metrics.expect([TOPICS.records, TOPICS.labels], ["keep", "publish"], standstill)
        worker = WorkerLoop(
            self._open_stream, maker, pipeline, metrics, lambda: self.scorer is not None, PACE, standstill
        )
        if poll is not None:
            self.streams[-1].poll = poll  # type: ignore[method-assign]
        self.workers.append(worker)
        thread = threading.Thread(target=self._run, args=(worker,))
        self._threads.append(thread)
        thread.start()
        return worker

    def _open_stream(self, listener: Any) -> MemoryConsumer:
        self.streams.append(MemoryConsumer(self.broker, [TOPICS.records, TOPICS.labels], "worker-garden", listener))
        return self.streams[-1]

    def _run(self, worker: WorkerLoop) -> None:
        try:
            worker.run()
        except Exception as error:  # shown by the test that expects it, or by the fixture
            self.errors.append(error)

    def produce(self, first: int, count: int, **changes: Any) -> None:
        for number in range(first, first + count):
            body = json.dumps(made_record(number, **changes)).encode()
            self.broker.append(Message(TOPICS.records, f"r{number}".encode(), body))

    def standstill_s(self, topic: str = TOPICS.records) -> float:
        """What the first worker's metrics say."""
        found = self.registries[0].get_sample_value("prediction_worker_standstill_seconds", {"topic": topic})
        assert found is not None
        return found

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a worker did not stop"

    @property
    def committed(self) -> int:
        return sum(self.broker.committed("worker-garden").values())

    @property
    def published(self) -> list[str]:
        return [(message.key or b"").decode() for message in self.broker.messages(TOPICS.predictions)]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.stop()
    assert made.errors == []


def eventually(condition: Callable[[], object], what: str) -> None:
    poll_until(condition, 10, what)


def all_committed(world: World, count: int) -> None:
    eventually(lambda: world.committed == count, "everything is committed")


def the_one_error(world: World) -> BaseException:
    """What ended the worker; the fixture then takes it as expected."""
    eventually(lambda: world.errors, "the worker stopped")
    (error,) = world.errors
    world.errors.clear()
    return error


def ids(first: int, count: int) -> set[str]:
    return {f"r{number}" for number in range(first, first + count)}


def test_records_are_kept_published_and_then_committed(world: World) -> None:
    world.produce(0, 50)
    world.start()
    all_committed(world, 50)
    assert set(world.published) == ids(0, 50)
    assert len(world.sink.kept) == 50


def test_nothing_is_committed_while_a_sink_is_away_and_everything_once_it_is_back(world: World) -> None:
    world.sink.away = "gone"
    world.produce(0, 50)
    worker = world.start()
    eventually(lambda: worker.status()["away"].get("keep") == "gone", "the status names what is away")
    assert world.committed == 0
    assert world.published == []
    world.sink.away = None
    all_committed(world, 50)
    assert len(world.published) == 50


def test_a_broker_that_is_away_is_named_and_asked_again(world: World) -> None:
    world.broker.away = "no broker answers"
    worker = world.start()
    eventually(lambda: worker.status()["away"].get("kafka"), "the status names the broker")
    world.broker.away = None
    world.produce(0, 5)
    all_committed(world, 5)
    eventually(lambda: worker.status()["away"] == {}, "nothing is away any more")


def test_without_a_model_nothing_is_taken_and_nothing_is_lost(world: World) -> None:
    world.scorer = None
    world.produce(0, 5)
    worker = world.start()
    eventually(lambda: worker.status()["partitions"], "it is a member of the group")
    assert world.committed == 0
    world.scorer = FakeScorer()
    all_committed(world, 5)


def test_partitions_are_shared_and_what_a_stopped_worker_had_goes_to_the_other(world: World) -> None:
    world.produce(0, 20)
    first, second = world.start(), world.start()
    eventually(lambda: first.status()["partitions"] and second.status()["partitions"], "both have partitions")
    first.stop()
    eventually(lambda: world.streams[0] not in world.broker.group("worker-garden").members, "the first has left")
    world.broker.deal("worker-garden")
    world.produce(20, 20)
    all_committed(world, 40)
    assert set(world.published) == ids(0, 40)
    assert len(world.sink.kept) == 40


def test_what_was_in_hand_from_a_lost_partition_is_read_again_by_whoever_gets_it(world: World) -> None:
    world.sink.away = "gone"
    world.produce(0, 10)
    worker = world.start()
    eventually(lambda: worker.status()["batches_in_hand"], "a batch is in hand")
    world.broker.lose(world.streams[0])
    eventually(lambda: worker.status()["batches_in_hand"] > 1, "the records are read again")
    world.sink.away = None
    all_committed(world, 10)
    assert len(world.published) == 20
    assert len(world.sink.kept) == 10


def test_a_stop_delivers_and_commits_what_is_in_hand(world: World) -> None:
    world.produce(0, 200)
    worker = world.start()
    eventually(lambda: world.published, "something is published")
    worker.stop()
    world.stop()
    assert world.committed == len(world.published) == len(set(world.published))


def test_invalid_records_become_dead_letters_and_the_stream_goes_on(world: World) -> None:
    world.produce(0, 10)
    world.produce(10, 5, leaves=-1)
    world.produce(15, 10)
    world.start()
    all_committed(world, 25)
    assert set(world.published) == ids(0, 10) | ids(15, 10)
    assert {(message.key or b"").decode() for message in world.broker.messages(TOPICS.dead_letters)} == ids(10, 5)


def test_too_many_invalid_records_in_a_row_stop_the_worker_loudly(world: World) -> None:
    for number in range(30):
        bad = Message(TOPICS.records, b"bad", b"no json %d" % number)
        world.broker.append_to(Partition(TOPICS.records, 0), bad)
    world.start(most_invalid=15)
    assert isinstance(the_one_error(world), TooManyInvalidError)
    assert world.committed <= 10


def test_an_error_nobody_expected_ends_the_worker_and_commits_nothing_of_its_batch(world: World) -> None:
    def broken(_: object) -> str | None:
        raise ValueError("a fault of ours")

    world.sink.refuse = broken
    world.produce(0, 5)
    world.start()
    assert isinstance(the_one_error(world), ValueError)
    assert world.committed == 0


def test_a_place_that_fails_again_and_again_is_a_fault_a_metric_and_a_lag(world: World) -> None:
    stuck = Partition(TOPICS.records, 0)
    world.broker.failing[stuck] = 3, TryAgainLaterError("can't be read")
    world.produce(0, 20)
    worker = world.start()
    readable = 3 + len(world.broker.log(Partition(TOPICS.records, 1)))
    all_committed(world, readable)
    assert worker.standstill is None
    eventually(lambda: worker.status()["lag"].get(TOPICS.records), "the lag is measured")
    world.seconds = STANDS_STILL_AFTER_S + 1
    eventually(lambda: worker.status()["lag"][TOPICS.records]["records"] == 20 - readable, "the lag is what is left")
    eventually(
        lambda: (
            worker.standstill == "partition 0 of garden.records has not moved on from offset 3 for 11 s: can't be read"
        ),
        "the fault says where, for how long and why",
    )
    assert world.standstill_s() == STANDS_STILL_AFTER_S + 1
    del world.broker.failing[stuck]
    all_committed(world, 20)
    eventually(lambda: worker.standstill is None and world.standstill_s() == 0, "nothing stands still any more")


def test_an_error_that_no_next_try_could_mend_ends_the_worker_at_once(world: World) -> None:
    world.broker.failing[Partition(TOPICS.records, 0)] = 0, ValueError("a fault of a library")
    world.produce(0, 20)
    world.start()
    assert isinstance(the_one_error(world), ValueError)


def test_a_worker_that_never_gets_partitions_because_of_an_error_says_so(world: World) -> None:
    def refused(**_: object) -> list[Received]:
        raise TryAgainLaterError("not allowed to join")

    worker = world.start(poll=refused)
    eventually(lambda: worker.status()["away"], "the error is told")
    world.seconds = STANDS_STILL_AFTER_S + 1
    eventually(
        lambda: worker.standstill == "reading has not come to anything for 11 s: not allowed to join", "it is a fault"
    )
    assert world.standstill_s() == STANDS_STILL_AFTER_S + 1


def test_a_worker_without_partitions_for_which_there_are_none_is_well(world: World) -> None:
    workers = [world.start() for _ in range(3)]
    eventually(lambda: sum(len(one.status()["partitions"]) for one in workers) == 4, "all partitions are dealt out")
    world.seconds = STANDS_STILL_AFTER_S + 1
    eventually(lambda: [one.standstill for one in workers] == [None] * 3, "nobody stands still")


def test_a_sink_that_is_away_stands_in_the_metric_and_is_no_fault_of_the_worker(world: World) -> None:
    world.sink.away = "gone"
    world.produce(0, 200)
    worker = world.start()
    eventually(lambda: worker.status()["away"].get("keep"), "the sink is named")
    eventually(lambda: worker.status()["lag"].get(TOPICS.records), "the lag is measured")
    world.seconds = STANDS_STILL_AFTER_S + 1
    assert world.standstill_s() == STANDS_STILL_AFTER_S + 1
    assert worker.standstill is None
    world.sink.away = None
    all_committed(world, 200)


def test_what_has_not_happened_yet_is_a_zero_and_no_gap() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry, CASE).expect([TOPICS.records], ["keep"], StandstillClock([TOPICS.records], lambda: 0.0))
    assert registry.get_sample_value("prediction_worker_messages_total", {"topic": TOPICS.records}) == 0
    assert registry.get_sample_value("prediction_worker_retries_total", {"step": "keep"}) == 0
    assert registry.get_sample_value("prediction_worker_standstill_seconds", {"topic": TOPICS.records}) == 0
    assert registry.get_sample_value("prediction_worker_step_duration_seconds_count", {"step": "keep"}) == 0
