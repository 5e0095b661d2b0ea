"""Reading the case's topics into the inbox, with a broker in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from monitoring_bench import Bench
from monitoring_stream import READ, TOPICS, AssignedStream, foreign, published
from monitoring_world import START, label, made_case, prediction, predictions

from event_backbone.errors import StopError, TryAgainLaterError
from event_backbone.events.schema import Erasure, FaultCount, Rejections
from event_backbone.in_memory.stream import MemoryBroker, MemoryPublisher
from event_backbone.kafka.dead_letters import dead_letter_in
from event_backbone.kafka.lag import STANDS_STILL_AFTER_S, StandstillClock
from event_backbone.kafka.topics import place_source
from event_backbone.ports import Message, Partition
from monitoring_service.inbox.store import InboxUnavailableError
from monitoring_service.intake.kafka_messages import StreamDecoder
from monitoring_service.intake.kafka_reader import StreamReader
from monitoring_service.intake.kafka_status import TOPIC_KINDS, StreamStatus


class Reading:
    """A reader on a bench; :meth:`restart` is a restart of both after a SIGKILL."""

    def __init__(self, folder: Path, broker: MemoryBroker, *, limit: int = 3, max_backlog_rows: int = 1000) -> None:
        self.folder, self.broker, self.limit = folder, broker, limit
        self.stopping = threading.Event()
        self.stopped: list[str] = []
        self.opened: list[AssignedStream] = []
        self.seconds = 0.0
        self.status = StreamStatus(standstill=StandstillClock(TOPIC_KINDS, lambda: self.seconds))
        self.bench = Bench(folder, max_backlog_rows=max_backlog_rows, stream=self.status)
        self.now = 0.0
        decoder = StreamDecoder(made_case(), TOPICS.dead_letters, unreadable_limit=limit, now=lambda: START)
        self.reader = StreamReader(
            self._open,
            MemoryPublisher(broker),
            decoder,
            self.bench.intake,
            self.status,
            self.stopped.append,
            self._clock,
        )

    def _clock(self) -> float:
        self.now += 1
        return self.now

    def _open(self) -> AssignedStream:
        def position(partition: Partition) -> int | None:
            kept = self.bench.inbox.positions().get(place_source(partition))
            return None if kept is None else kept + 1

        self.opened.append(AssignedStream(self.broker, READ, position))
        return self.opened[-1]

    def publish(self, *messages: Message) -> None:
        for message in messages:
            self.broker.append(message)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.reader.step(self.stopping)

    def run(self, steps: int) -> None:
        """The thread's whole life, stopped after some steps or by itself."""
        left = iter(range(steps))
        original = self.reader.step

        def step(stopping: threading.Event) -> None:
            if next(left, None) is None:
                stopping.set()
            else:
                original(stopping)

        self.reader.step = step  # type: ignore[method-assign]
        self.reader.run(self.stopping)

    def restart(self) -> Reading:
        self.bench.close()
        return Reading(self.folder, self.broker, limit=self.limit)

    def letters(self) -> list[tuple[str, str, int | None]]:
        found = map(dead_letter_in, self.broker.messages(TOPICS.dead_letters))
        return [(letter.reason, letter.topic or "", letter.offset) for letter in found]


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker(partitions=2)
    broker.create_topics(TOPICS.all)
    return broker


@pytest.fixture
def reading(tmp_path: Path, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reading]:
    monkeypatch.setattr("monitoring_service.intake.kafka_reader._PAUSE_S", 0)
    monkeypatch.setattr("monitoring_service.intake.kafka_reader._BACKOFF_S", (0, 0))
    reading = Reading(tmp_path, broker)
    yield reading
    reading.bench.close()


def test_predictions_labels_and_rejections_are_counted(reading: Reading) -> None:
    rejections = Rejections("x", "shop", START, START, 5, [FaultCount("price", "range", 5)])
    reading.publish(*published([*predictions(60), *(label(f"r{n}") for n in range(30)), rejections]))
    reading.step()
    totals = reading.bench.inbox.totals
    assert (totals.predictions, totals.labels, totals.rejected_records) == (60, 30, 5)
    assert reading.bench.inbox.waiting_labels() == 0
    reading.bench.run_all()
    assert sorted(reading.bench.measurer.asked) == [50, 60]


def test_what_was_read_is_not_read_again_after_a_restart_and_changes_nothing_if_it_is(
    reading: Reading, broker: MemoryBroker
) -> None:
    reading.publish(*published(predictions(20)))
    reading.step()
    again = reading.restart()
    reading.publish(*published(predictions(30)))
    again.step()
    totals = again.bench.inbox.totals
    assert (totals.predictions, totals.duplicates) == (30, 20)
    positions = again.bench.inbox.positions()
    assert sum(seq + 1 for seq in positions.values()) == len(broker.messages(TOPICS.predictions)) == 50
    again.bench.close()


def test_events_that_also_come_over_http_are_counted_once(reading: Reading) -> None:
    from monitoring_world import body_of

    events = [*predictions(10), label("r1")]
    assert reading.bench.client.post("/events", data=body_of(events)).status_code == 200
    reading.publish(*published(events))
    reading.step()
    totals = reading.bench.inbox.totals
    assert (totals.predictions, totals.labels, totals.duplicates) == (10, 1, 11)


def test_another_content_for_a_known_record_is_a_conflict_once(reading: Reading) -> None:
    other = prediction("r0", {"price": 1.0})
    reading.publish(*published([*predictions(2), other, other]))
    reading.step()
    totals = reading.bench.inbox.totals
    assert (totals.predictions, totals.conflicts, totals.duplicates) == (2, 1, 1)


def test_labels_of_other_producers_are_joined(reading: Reading) -> None:
    reading.publish(
        *published(predictions(3)),
        foreign(TOPICS.labels, "r0", b'{"label":"yes"}'),
        foreign(TOPICS.labels, "r1", b'{"record_id":"r1","label":"no","labelled_at":"2026-01-01T00:00:00+01:00"}'),
        foreign(TOPICS.labels, None, b'{"record_id":"r2","label":"yes"}'),
    )
    reading.step()
    assert reading.bench.inbox.totals.labels == 3
    assert reading.bench.inbox.waiting_labels() == 0
    assert reading.letters() == []


def test_a_tombstone_in_both_topics_forgets_the_record_once(reading: Reading, tmp_path: Path) -> None:
    secret = prediction("gone", {"price": 1.0, "payment": "a secret payment"})
    reading.publish(*published([secret, label("gone"), *predictions(2)]))
    reading.step()
    reading.publish(*published([Erasure("gone", "shop", START)], first_seq=10))
    reading.step()
    inbox = reading.bench.inbox
    assert (inbox.totals.erasures, inbox.totals.predictions) == (1, 3)
    inbox.scrub()
    assert not any(b"a secret payment" in path.read_bytes() for path in tmp_path.glob("inbox.sqlite*"))
    labels = [seq for source, seq in inbox.positions().items() if TOPICS.labels in source]
    assert sum(seq + 1 for seq in labels) == 2, "the tombstone's place is passed"


UNREADABLE = {
    "json": b"no json",
    "schema_version": b'{"schema_version":9}',
    "case": b'{"schema_version":1,"case":"other"}',
    "prediction": b'{"schema_version":1,"case":"shop"}',
}


@pytest.mark.parametrize(("reason", "value"), UNREADABLE.items(), ids=UNREADABLE)
def test_an_unreadable_message_becomes_a_dead_letter_and_its_neighbours_are_kept(
    reading: Reading, reason: str, value: bytes
) -> None:
    reading.publish(*published(predictions(3)), foreign(TOPICS.predictions, "a", value), *published([label("r0")]))
    reading.step()
    assert reading.bench.inbox.totals.predictions == 3
    assert [(found, topic) for found, topic, _ in reading.letters()] == [(reason, TOPICS.predictions)]
    assert reading.bench.inbox.unreadable == {reason: 1}
    again = reading.restart()
    again.step()
    assert again.bench.inbox.unreadable == {reason: 1}
    assert len(again.letters()) == 1, "its place was passed"
    text = again.bench.client.get("/metrics").get_data(as_text=True)
    assert f'monitoring_dead_letters_total{{case="shop",reason="{reason}"}} 1.0' in text
    again.bench.close()


def test_counts_beyond_counting_are_unreadable(reading: Reading) -> None:
    value = msgspec.json.encode(Rejections("x", "shop", START, START, 2**63 - 1, []))
    reading.publish(foreign(TOPICS.rejections, "x", value))
    reading.step()
    assert reading.bench.inbox.unreadable == {"rejections": 1}


def test_a_place_is_passed_only_after_its_dead_letter_is_published(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.publish(foreign(TOPICS.predictions, "a", b"no json"), *published(predictions(2)))
    publisher = reading.reader._publisher
    publish, calls = publisher.publish, []

    def sometimes(messages: list[Message]) -> object:
        calls.append(len(messages))
        if len(calls) < 3:
            raise TryAgainLaterError("away")
        return publish(messages)

    monkeypatch.setattr(publisher, "publish", sometimes)
    for _ in range(2):
        with pytest.raises(TryAgainLaterError):
            reading.step()
        assert reading.bench.inbox.positions() == {}
    reading.step(2)
    assert reading.bench.inbox.totals.predictions == 2
    assert [reason for reason, _, _ in reading.letters()] == ["json"]


def test_a_dead_letter_too_large_to_publish_goes_without_its_value(reading: Reading, broker: MemoryBroker) -> None:
    reading.publish(foreign(TOPICS.predictions, "a", b"no json" * 1000))
    broker.max_message_bytes = 1000
    reading.step()
    (letter,) = map(dead_letter_in, broker.messages(TOPICS.dead_letters))
    assert letter.omitted_bytes == 7000


def test_too_many_unreadable_messages_in_a_row_of_one_partition_stop_the_reader(
    reading: Reading, broker: MemoryBroker
) -> None:
    place = Partition(TOPICS.labels, 1)
    good = published([label("r0")])[0]
    poison = foreign(TOPICS.labels, "a", b"no json")
    for message in (poison, poison, good, poison, poison):
        broker.append_to(place, message)
    broker.append_to(Partition(TOPICS.labels, 0), poison)
    reading.step()
    assert reading.bench.inbox.unreadable == {"json": 5}, "never three in a row of one partition"
    broker.append_to(place, poison)
    with pytest.raises(StopError, match=r"3 messages in a row can't be read: partition 1 of shop\.labels at offset 5"):
        reading.step()
    assert reading.bench.inbox.positions()[place_source(place)] == 4, "the last one is met again"


def test_the_stop_reaches_whoever_can_stop_the_service(reading: Reading) -> None:
    reading.publish(*published(predictions(1)), *[foreign(TOPICS.labels, "a", b"no json")] * 3)
    reading.run(5)
    (reason,) = reading.stopped
    assert "MONITORING_UNREADABLE_LIMIT" in reason
    assert reading.bench.inbox.unreadable == {"json": 2}, "what came before is kept"
    assert reading.opened[0].closed


def test_while_too_many_rows_wait_for_their_check_nothing_is_read(tmp_path: Path, broker: MemoryBroker) -> None:
    reading = Reading(tmp_path, broker, max_backlog_rows=100)
    reading.stopping.set()
    reading.publish(*published(predictions(160)))
    reading.step()
    reading.publish(*published(predictions(10, first=160)))
    polls = reading.opened[0].polls
    reading.step(3)
    assert reading.opened[0].polls == polls
    view = reading.status.view()
    assert view.lags["predictions"].records == 10
    reading.bench.run_all()
    reading.step(2)
    assert reading.bench.inbox.totals.predictions == 170
    assert reading.status.view().lags["predictions"].records == 0
    reading.bench.close()


def test_a_broker_that_is_away_is_told_and_asked_again(reading: Reading, broker: MemoryBroker) -> None:
    broker.away = "no broker answers"
    reading.publish(*published(predictions(5)))
    reading.run(3)
    state = reading.bench.client.get("/api/state").get_json()
    assert state["stream"]["reachable"] is False
    assert state["stream"]["fault"] == "no broker answers"
    assert state["stream"]["read_errors"] == 3
    assert state["stream"]["lags"] == {}
    assert {one["name"] for one in state["conditions"] if one["active"]} == {"stream_away"}
    text = reading.bench.client.get("/metrics").get_data(as_text=True)
    assert 'monitoring_read_errors_total{case="shop"} 3.0' in text
    assert "monitoring_lag_records{" not in text
    broker.away = None
    again = reading.restart()
    again.step(2)
    state = again.bench.client.get("/api/state").get_json()
    assert state["stream"]["reachable"] is True
    assert state["stream"]["messages"] == {"predictions": 5, "labels": 0, "rejections": 0}
    text = again.bench.client.get("/metrics").get_data(as_text=True)
    assert 'monitoring_lag_records{case="shop",topic="predictions"} 0.0' in text
    assert 'monitoring_lag_seconds{case="shop",topic="labels"} 0.0' in text
    again.bench.close()


def test_a_place_that_fails_again_and_again_is_a_fault_a_metric_and_a_lag(
    reading: Reading, broker: MemoryBroker
) -> None:
    stuck = Partition(TOPICS.predictions, 0)
    broker.failing[stuck] = 2, TryAgainLaterError("can't be read")
    reading.publish(*published(predictions(20)))
    readable = 2 + len(broker.log(Partition(TOPICS.predictions, 1)))
    reading.reader.run(ScriptedStop(5))
    assert reading.bench.inbox.totals.predictions == readable
    assert reading.status.standstill is None
    reading.seconds = STANDS_STILL_AFTER_S + 1
    assert reading.status.standstill == (
        "partition 0 of predictions has not moved on from offset 2 for 11 s: can't be read"
    )
    state = reading.bench.client.get("/api/state").get_json()
    assert state["stream"]["lags"]["predictions"]["records"] == 20 - readable
    assert {one["name"] for one in state["conditions"] if one["active"]} == {"stream_away"}
    text = reading.bench.client.get("/metrics").get_data(as_text=True)
    assert 'monitoring_standstill_seconds{case="shop",topic="predictions"} 11.0' in text
    assert 'monitoring_standstill_seconds{case="shop",topic="labels"}' in text
    del broker.failing[stuck]
    reading.reader.run(ScriptedStop(5))
    assert reading.bench.inbox.totals.predictions == 20
    assert reading.status.standstill is None


def test_topics_that_are_not_there_are_a_fault_though_a_broker_answers(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_there(*_: object, **__: object) -> object:
        raise TryAgainLaterError("there is none of them")

    monkeypatch.setattr(AssignedStream, "poll", none_there)
    reading.reader.run(ScriptedStop(5))
    reading.seconds = STANDS_STILL_AFTER_S + 1
    assert reading.status.standstill == "reading has not come to anything for 11 s: there is none of them"


def test_what_can_not_be_kept_stands_still_though_it_was_read(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> object:
        raise InboxUnavailableError("full")

    monkeypatch.setattr(reading.bench.intake, "keep", full)
    reading.publish(*published(predictions(5)))
    reading.run(5)
    reading.seconds = STANDS_STILL_AFTER_S + 1
    assert reading.status.standstill is not None


def test_neither_a_broker_that_is_away_nor_a_backlog_is_a_fault_of_the_reader(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    reading = Reading(tmp_path, broker, max_backlog_rows=100)
    reading.publish(*published(predictions(160)))
    reading.reader.run(ScriptedStop(9))
    reading.seconds = STANDS_STILL_AFTER_S + 1
    assert reading.bench.intake.is_full
    assert reading.status.standstill is None
    assert reading.status.view().standstill["predictions"] >= 0
    broker.away = "no broker answers"
    reading.reader.run(ScriptedStop(3))
    assert reading.status.standstill is None
    reading.bench.close()


class ScriptedStop(threading.Event):
    """Waits for nothing, notes for how long it was asked to, and is set after a number of waits."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._most = waits

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if len(self.waits) == self._most:
            self.set()
        return self.is_set()


def test_a_broker_that_stays_away_is_asked_at_growing_distances(tmp_path: Path, broker: MemoryBroker) -> None:
    reading, stopping = Reading(tmp_path, broker), ScriptedStop(6)
    broker.away = "no broker answers"
    reading.reader.run(stopping)
    assert stopping.waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    reading.bench.close()


def test_a_backlog_is_no_failure_and_its_pause_does_not_grow(tmp_path: Path, broker: MemoryBroker) -> None:
    reading, stopping = Reading(tmp_path, broker, max_backlog_rows=100), ScriptedStop(9)
    reading.publish(*published(predictions(160)))
    reading.reader.run(stopping)
    assert set(stopping.waits) == {0.0, 0.5}
    reading.bench.close()


def test_lags_are_summed_over_partitions_and_the_longest_time_counts(reading: Reading) -> None:
    from event_backbone.ports import Lag

    reading.status.note_lags(
        {
            Partition("shop.predictions", 0): Lag(3, 1.5, 10),
            Partition("shop.predictions", 1): Lag(4, 9.0, 10),
            Partition("shop.labels", 0): Lag(1, 2.0, 10),
            Partition("shop.rejections", 0): Lag(5, 2.0, 10),
            Partition("shop.rejections", 1): Lag(0, 0.0),  # nobody knows yet where it begins
        }
    )
    lags = reading.bench.client.get("/api/state").get_json()["stream"]["lags"]
    assert lags == {"predictions": {"records": 7, "seconds": 9.0}, "labels": {"records": 1, "seconds": 2.0}}


def test_an_inbox_that_can_not_write_loses_nothing(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    reading.publish(foreign(TOPICS.predictions, "a", b"no json"), *published(predictions(5)))
    store, failures = reading.bench.inbox.store, iter([InboxUnavailableError("full"), ValueError("a bug")])

    def sometimes(*arguments: object) -> object:
        if (error := next(failures, None)) is not None:
            raise error
        return store(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reading.bench.inbox, "store", sometimes)
    reading.run(6)
    assert reading.bench.inbox.totals.predictions == 5
    assert len(reading.opened) == 2, "after a surprise everything is read again from the inbox's places"
    assert reading.bench.inbox.unreadable == {"json": 1}


def test_offsets_are_committed_for_other_peoples_tools(reading: Reading) -> None:
    reading.publish(*published(predictions(10)))
    reading.run(3)
    committed = reading.opened[0].committed
    assert sum(committed.values()) == 10
    assert {place_source(place): offset - 1 for place, offset in committed.items()} == reading.bench.inbox.positions()


def test_partitions_that_come_later_are_read_from_their_beginning(reading: Reading, broker: MemoryBroker) -> None:
    reading.publish(*published(predictions(4)))
    reading.step()
    later = Partition(TOPICS.predictions, 2)
    broker._logs[later] = []
    for message in published(predictions(4, first=4)):
        broker.append_to(later, message)
    reading.step()
    assert reading.bench.inbox.totals.predictions == 8
    assert reading.bench.inbox.positions()[place_source(later)] == 3
