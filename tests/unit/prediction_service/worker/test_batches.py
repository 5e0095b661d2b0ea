"""What a poll becomes, and what is kept, published and dead-lettered of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from prediction_world import FakeScorer, made_case, made_class, made_record, made_score
from prometheus_client import CollectorRegistry

from event_backbone.case.records import Record
from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Envelope, Label, Prediction, Rejections
from event_backbone.in_memory.sink import MemorySink
from event_backbone.kafka.dead_letters import dead_letter_in
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import event_of
from event_backbone.ports import Delivered, Loss, Message, Partition, Received
from prediction_service.inference.predictor import NoModelError, Predictor
from prediction_service.worker.batches import BatchMaker, TooManyInvalidError, WorkBatch
from prediction_service.worker.metrics import WorkerMetrics
from prediction_service.worker.steps import PublishStep, StoreStep

CASE = made_case()
TOPICS = Topics(None, "garden")
RECORDS, LABELS = Partition(TOPICS.records, 0), Partition(TOPICS.labels, 0)


class FailingProducer:
    """Keeps what is published, but what ``is_too_large``."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.is_too_large: Callable[[Message], bool] = lambda _: False

    def publish(self, messages: Sequence[Message]) -> list[tuple[int, str]]:
        refused = [index for index, one in enumerate(messages) if self.is_too_large(one)]
        self.published += [one for index, one in enumerate(messages) if index not in refused]
        return [(index, "too_large") for index in refused]

    def close(self) -> None:
        """Nothing is held."""

    def of(self, topic: str) -> list[Message]:
        return [message for message in self.published if message.topic == topic]


class Log(MemorySink):
    """A sink that says what it held already and what was erased, as a database does."""

    erased: frozenset[str] = frozenset()

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        known = {one.event.record_id: one.event for one in self.kept.values() if isinstance(one.event, Prediction)}
        delivered = super().deliver(batch)
        ids = {one.event.record_id for one in batch if isinstance(one.event, Prediction)}
        held = {record_id: known[record_id] for record_id in ids & known.keys()}
        return Delivered(delivered.refused, held=held, erased=self.erased)


class World:
    def __init__(self, *, most_invalid_in_a_row: int = 5) -> None:
        self.metrics = WorkerMetrics(CollectorRegistry(), CASE)
        self.scorer: FakeScorer | None = FakeScorer()
        predictor = Predictor(CASE, lambda: self.scorer)
        self.maker = BatchMaker(CASE, TOPICS, predictor, self.metrics, most_invalid_in_a_row=most_invalid_in_a_row)
        self.log, self.publisher = Log("mongodb"), FailingProducer()
        self._keep = StoreStep([self.log], self.maker)
        self._publish = PublishStep(self.publisher, TOPICS, CASE.sha256, self.maker, self.metrics)

    def make(self, *messages: Received) -> WorkBatch:
        return self.maker.make(messages, {RECORDS: 1, LABELS: 1})

    def work(self, *messages: Received) -> WorkBatch:
        batch = self.make(*messages)
        self._keep(batch)
        self._publish(batch)
        return batch

    def published(self, topic: str) -> list[Any]:
        return [event_of(_received(message), CASE) for message in self.publisher.of(topic)]

    def dead_letters(self) -> list[Any]:
        return [dead_letter_in(_received(message)) for message in self.publisher.of(TOPICS.dead_letters)]

    def value(self, metric: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(metric, labels) or 0.0


def _received(message: Message) -> Received:
    return Received(Partition(message.topic, 0), 0, 0, message.key, message.value, message.headers)


def record(offset: int, key: str | None = None, partition: Partition = RECORDS, **changes: Any) -> Received:
    body = json.dumps(made_record(offset, **changes)).encode()
    return Received(partition, offset, 0, (key or f"r{offset}").encode(), body)


def broken(offset: int, partition: Partition = RECORDS) -> Received:
    return record(offset, partition=partition, leaves=-1)


@pytest.fixture
def world() -> World:
    return World()


def test_records_become_predictions_that_are_kept_and_published(world: World) -> None:
    batch = world.work(record(0), record(1), record(2))
    published = world.published(TOPICS.predictions)
    assert [one.record_id for one in published] == ["r0", "r1", "r2"]
    for offset, one in enumerate(published):
        assert one.record == made_record(offset)
        assert one.score == pytest.approx(made_score(made_record(offset)))
        assert one.prediction == made_class(one.score)
    assert [envelope.event for envelope in world.log.kept.values()] == published
    assert batch.next_offsets == {RECORDS: 3}
    assert world.value("prediction_answered_total") == 3


def test_a_record_that_the_model_gives_no_number_for_is_a_dead_letter(world: World) -> None:
    class Unsure(FakeScorer):
        def score(self, records: Sequence[Record]) -> list[float]:
            return [score if score > 0.01 else math.nan for score in super().score(records)]

    world.scorer = Unsure()
    world.work(record(0, leaves=50), record(1, leaves=0), record(2, leaves=60))
    assert [one.record_id for one in world.published(TOPICS.predictions)] == ["r0", "r2"]
    (letter,) = world.dead_letters()
    assert (letter.reason, letter.faults[0].reason) == ("record", "not_finite")


def test_a_record_that_is_read_again_is_published_as_the_log_holds_it(world: World) -> None:
    world.work(record(0))
    world.work(record(0))
    first, second = world.published(TOPICS.predictions)
    assert first == second


def test_other_content_for_a_known_id_publishes_what_stands(world: World) -> None:
    world.work(record(0, "same"))
    world.work(record(1, "same"))
    first, second = world.published(TOPICS.predictions)
    assert second == first
    assert second.record == made_record(0)


def test_an_invalid_record_becomes_a_dead_letter_and_its_neighbours_go_on(world: World) -> None:
    batch = world.work(record(0), broken(1), record(2))
    assert [one.record_id for one in world.published(TOPICS.predictions)] == ["r0", "r2"]
    (letter,) = world.dead_letters()
    assert (letter.reason, letter.topic, letter.partition, letter.offset) == ("record", TOPICS.records, 0, 1)
    assert [(fault.field, fault.reason) for fault in letter.faults] == [("leaves", "range")]
    assert letter.value == broken(1).value
    assert batch.next_offsets == {RECORDS: 3}
    assert world.value("prediction_worker_dead_letters_total", reason="record") == 1
    assert world.value("prediction_rejected_faults_total", column="leaves", reason="range") == 1


@pytest.mark.parametrize(("reason", "rejections"), [("corrupt", 1), ("oversized_batch", 1), ("gone", 0)])
def test_what_can_not_be_read_is_named_and_is_a_refused_record_only_if_it_is_there(
    world: World, reason: str, rejections: int
) -> None:
    batch = world.work(record(0), Received(RECORDS, 1, 0, None, None, loss=Loss(reason, "why")), record(2))
    (letter,) = world.dead_letters()
    assert (letter.reason, letter.key, letter.value, letter.offset) == (reason, None, None, 1)
    assert [fault.message for fault in letter.faults] == ["why"]
    assert len(world.published(TOPICS.rejections)) == rejections
    assert len(world.published(TOPICS.predictions)) == 2
    assert batch.next_offsets == {RECORDS: 3}
    assert world.value("prediction_worker_dead_letters_total", reason=reason) == 1


def test_an_invalid_record_is_counted_under_the_same_identity_however_often_it_is_read(world: World) -> None:
    world.work(broken(1))
    world.work(broken(1))
    first, second = world.published(TOPICS.rejections)
    assert isinstance(first, Rejections)
    assert first.rejections_id == second.rejections_id
    assert first.records == 1
    assert len(world.log.kept) == 1


def test_what_is_refused_is_counted_when_its_batch_is_done_and_not_when_it_is_read(world: World) -> None:
    world.make(broken(1))  # its worker died, or its partition went to another
    world.work(broken(1))
    assert world.value("prediction_rejected_records_total") == 1
    assert world.value("prediction_rejected_faults_total", column="leaves", reason="range") == 1
    assert world.value("prediction_worker_dead_letters_total", reason="record") == 1


def test_the_limit_of_invalid_records_in_a_row_stops_and_keeps_nothing_of_the_batch(world: World) -> None:
    world.work(*(broken(offset) for offset in range(4)))
    with pytest.raises(TooManyInvalidError) as error:
        world.make(broken(4))
    assert error.value.partition == RECORDS


def test_a_valid_record_and_another_partition_begin_the_count_anew(world: World) -> None:
    other = Partition(TOPICS.records, 1)
    world.work(*(broken(offset) for offset in range(4)), *(broken(offset, other) for offset in range(4)))
    world.work(record(4), *(broken(offset) for offset in range(5, 9)))


def test_labels_of_others_are_kept_and_not_published_again(world: World) -> None:
    said = json.dumps({"label": "yes", "labelled_at": "2026-01-01T00:00:00Z"}).encode()
    world.work(Received(LABELS, 7, 0, b"r1", said))
    (envelope,) = world.log.kept.values()
    assert envelope.event == Label("r1", "garden", "yes", "2026-01-01T00:00:00.000000Z")
    assert world.publisher.published == []


def test_our_own_labels_are_left_to_the_replica_that_took_them(world: World) -> None:
    said = json.dumps({"label": "yes", "labelled_at": "2026-01-01T00:00:00Z"}).encode()
    batch = world.work(Received(LABELS, 7, 0, b"r1", said, [("ce_source", b"/streamgauge/garden/journal-1")]))
    assert world.log.kept == {}
    assert batch.next_offsets == {LABELS: 8}


def test_a_label_that_is_none_becomes_a_dead_letter(world: World) -> None:
    world.work(Received(LABELS, 7, 0, b"r1", b'{"label": "perhaps"}'))
    (letter,) = world.dead_letters()
    assert (letter.reason, letter.topic, letter.offset) == ("label", TOPICS.labels, 7)


def test_what_a_sink_refuses_for_good_is_dead_lettered_and_not_published(world: World) -> None:
    refuse = "r1"
    world.log.refuse = lambda one: "too_large" if getattr(one.event, "record_id", "") == refuse else None
    world.work(record(0), record(1), record(2))
    assert [one.record_id for one in world.published(TOPICS.predictions)] == ["r0", "r2"]
    (letter,) = world.dead_letters()
    assert (letter.reason, letter.offset, letter.value) == ("sink", 1, record(1).value)


def test_a_record_whose_id_was_erased_is_neither_published_nor_a_dead_letter(world: World) -> None:
    world.log.erased = frozenset({"r1"})
    batch = world.work(record(0), record(1))
    assert [one.record_id for one in world.published(TOPICS.predictions)] == ["r0"]
    assert world.dead_letters() == []
    assert batch.next_offsets == {RECORDS: 2}


def test_a_prediction_too_large_to_publish_is_dead_lettered_with_its_record(world: World) -> None:
    world.publisher.is_too_large = lambda one: one.topic == TOPICS.predictions and one.key == b"r1"
    world.work(record(0), record(1))
    assert [one.record_id for one in world.published(TOPICS.predictions)] == ["r0"]
    (letter,) = world.dead_letters()
    assert (letter.reason, letter.offset, letter.value) == ("too_large", 1, record(1).value)


def test_a_dead_letter_that_is_too_large_itself_leaves_its_value_where_it_was(world: World) -> None:
    world.publisher.is_too_large = lambda one: one.topic == TOPICS.dead_letters and one.value is not None
    world.work(broken(1))
    (letter,) = world.dead_letters()
    assert (letter.offset, letter.value, letter.omitted_bytes) == (1, None, len(broken(1).value or b""))


def test_a_step_that_fails_half_way_can_be_done_again(world: World) -> None:
    batch = world.make(record(0), record(1))
    world.log.away = "away"
    keep = StoreStep([MemorySink("first"), world.log], world.maker)
    with pytest.raises(TryAgainLaterError):
        keep(batch)
    world.log.away = None
    keep(batch)
    assert len(world.log.kept) == 2


def test_without_a_model_nothing_is_made(world: World) -> None:
    world.scorer = None
    with pytest.raises(NoModelError):
        world.make(record(0))


def test_refusals_are_told_apart_by_partition(world: World) -> None:
    """Two partitions have the same offsets; an envelope's number must not be an offset."""
    other = Partition(TOPICS.records, 1)
    world.log.refuse = lambda one: "never" if getattr(one.event, "record_id", "") == "b" else None
    world.work(record(0, "a"), record(0, "b", other))
    (letter,) = world.dead_letters()
    assert (letter.partition, letter.key) == (1, b"b")
