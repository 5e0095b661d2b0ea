"""Logs and topics as recorded streams, and Kafka as a target, on memory twins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from generator_world import FakeClock, toy_case

from event_backbone.errors import RejectedError, SettingsError, TryAgainLaterError
from event_backbone.events.cloud_events import header, is_ours
from event_backbone.events.schema import Envelope, Erasure, Event, Label, ModelRef, Prediction, format_utc
from event_backbone.in_memory.log import MemoryLog
from event_backbone.in_memory.stream import MemoryBroker, MemoryPublisher
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import event_of, messages_of
from event_backbone.ports import Lag, Message, Partition, Received
from stream_generator.recording.jsonl import LinesRecording
from stream_generator.recording.kafka import KafkaRecording
from stream_generator.recording.log import LogRecording
from stream_generator.recording.port import Period, Recording
from stream_generator.sending.kafka_target import KafkaTarget
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.retrying import Patience, Persistence
from stream_generator.sending.targets import LabelOut, SendResult

START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
CASE = toy_case()
TOPICS = Topics("ns", CASE.name)
NOW = "2026-02-01T00:00:00.000000Z"


def _at(seconds: float) -> str:
    return format_utc(START + timedelta(seconds=seconds))


def _prediction(record_id: str, seconds: float) -> Prediction:
    record = {"size": 1, "weight": None, "colour": "red"}
    return Prediction(record_id, CASE.name, "0", record, "yes", 0.5, ModelRef("m", "1"), "0", _at(seconds), "h")


def _persistence(clock: FakeClock | None = None) -> Persistence:
    return Persistence(clock or FakeClock(), Patience(total_s=5.0))


def _ids(recording: Recording, after: str | None = None) -> list[str | None]:
    return [recorded.record_id for recorded in recording.items(after)]


class _CountsPages(MemoryLog):
    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.fails = 0

    def predictions(self, **asked: Any) -> Any:
        if self.fails:
            self.fails -= 1
            raise TryAgainLaterError("away")
        self.largest = max(self.largest, asked["limit"])
        return super().predictions(**asked)


def _log(number: int) -> _CountsPages:
    log = _CountsPages()
    log.keep([_prediction(f"r{index:03}", index) for index in range(number)])
    log.keep([Label("r001", CASE.name, "no", _at(50)), Label("r001", CASE.name, "yes", _at(60))])
    return log


def test_a_log_is_read_page_by_page_with_the_latest_labels() -> None:
    log = _log(25)
    recording = LogRecording(log, Period(), NOW, _persistence(), page_rows=10)
    items = list(recording.items())
    assert (recording.count(), log.largest) == (25, 10)
    assert [item.record_id for item in items] == [f"r{index:03}" for index in range(25)]
    assert [(item.label, item.labelled_at) for item in items if item.label] == [("yes", _at(60))]


def test_reading_goes_on_behind_a_cursor() -> None:
    recording = LogRecording(_log(25), Period(), NOW, _persistence(), page_rows=10)
    cursors = [item.cursor for item in recording.items()]
    assert _ids(recording, cursors[16]) == [f"r{index:03}" for index in range(17, 25)]


def test_what_is_logged_after_the_start_is_left_out() -> None:
    log = _log(3)
    log.keep([_prediction("new", 30 * 3600)])
    assert _ids(LogRecording(log, Period(), NOW, _persistence())) == ["r000", "r001", "r002"]


def test_a_period_is_taken_from_a_log() -> None:
    period = Period(START + timedelta(seconds=5), START + timedelta(seconds=7))
    assert _ids(LogRecording(_log(25), period, NOW, _persistence())) == ["r005", "r006"]


def test_a_log_that_is_away_for_a_moment_is_asked_again() -> None:
    log = _log(25)
    log.fails = 3
    assert len(_ids(LogRecording(log, Period(), NOW, _persistence(), page_rows=10))) == 25


def test_a_log_that_stays_away_ends_the_replay() -> None:
    log = _log(3)
    log.fails = 10_000
    with pytest.raises(TryAgainLaterError):
        _ids(LogRecording(log, Period(), NOW, _persistence()))


class _OnePartition:
    """A partition from an offset on, and how much was read at once."""

    def __init__(self, messages: Sequence[Received], offset: int) -> None:
        self._messages, self._next = messages, offset

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        page = [one for one in self._messages if one.offset >= self._next][:max_messages]
        self._next += len(page)
        return page

    def lags(self) -> Mapping[Partition, Lag]:
        return {Partition("any", 0): Lag(0, 0.0)}

    def close(self) -> None:
        """Nothing is held."""

    commit = pause = resume = None


class Broker:
    """A memory broker with a clock, asked as a recording asks."""

    def __init__(self, partitions: int = 3) -> None:
        self.seconds = 0.0
        self.memory = MemoryBroker(partitions=partitions, clock=lambda: START.timestamp() + self.seconds)
        self.memory.create_topics(TOPICS.all)

    def ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        return {partition: len(self.memory.log(partition)) for partition in self.memory.partitions_of(topics)}

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> dict[Partition, int]:
        return {
            partition: sum(message.timestamp_ms < timestamp_ms for message in self.memory.log(partition))
            for partition in self.memory.partitions_of(topics)
        }

    def open(self, partition: Partition, offset: int) -> Any:
        return _OnePartition(self.memory.log(partition), offset)

    def publish(self, event: Event, seconds: float) -> None:
        self.seconds = seconds
        for message in messages_of(Envelope("replica", 1, event), TOPICS, CASE.sha256):
            self.memory.append(message)

    def recording(self, *topics: str, period: Period = Period()) -> KafkaRecording:
        return KafkaRecording(self, topics or (TOPICS.predictions, TOPICS.labels), CASE, period, _persistence())


@pytest.fixture
def broker() -> Broker:
    made = Broker()
    for index in range(500):
        made.publish(_prediction(f"r{index:03}", index), index)
    made.publish(Label("r007", CASE.name, "yes", _at(10.5)), 10.5)
    return made


def test_partitions_are_merged_in_time_order(broker: Broker) -> None:
    items = list(broker.recording().items())
    assert broker.recording().count() == 501
    assert [item.record_id for item in items if item.record is not None] == [f"r{index:03}" for index in range(500)]
    place = next(index for index, item in enumerate(items) if item.record is None)
    label = items[place]
    assert (place, label.record_id, label.label, label.labelled_at, label.at) == (
        11,
        "r007",
        "yes",
        _at(10.5),
        None,
    )


def test_reading_topics_goes_on_behind_a_cursor_and_ends_where_the_first_run_would_have(broker: Broker) -> None:
    items = broker.recording().items()
    cursor = [next(items) for _ in range(100)][-1].cursor
    broker.publish(_prediction("later", 600), 600)
    behind = _ids(broker.recording(), cursor)
    assert behind == [f"r{index:03}" for index in range(99, 500)]


def test_a_period_of_topics_is_about_the_times_of_messages(broker: Broker) -> None:
    period = Period(START + timedelta(seconds=9), START + timedelta(seconds=12))
    assert _ids(broker.recording(period=period)) == ["r009", "r010", "r007", "r011"]


def test_what_is_no_record_is_left_out(broker: Broker) -> None:
    broker.publish(Erasure("r001", CASE.name, _at(501)), 501)
    broker.memory.append(Message(TOPICS.predictions, b"x", b"{", ()))
    assert len(_ids(broker.recording(TOPICS.predictions))) == 500


def test_records_of_others_keep_their_ids_whereever_they_stand() -> None:
    broker = Broker(partitions=1)
    bodies = [b'{"x": 1, "schema_version": 1}', b'{"x": 2, "record_id": "two"}', b'{"x": 3}', b"[]", b"{"]
    for number, (key, body) in enumerate(zip([b"one", None, None, b"l", b"m"], bodies, strict=True)):
        broker.seconds = number
        broker.memory.append(Message(TOPICS.records, key, body, ()))
    items = list(broker.recording(TOPICS.records).items())
    assert [(item.record_id, item.record) for item in items] == [
        ("one", {"x": 1}),
        ("two", {"x": 2}),
        (f"{TOPICS.records}-0-2", {"x": 3}),
    ]
    assert [item.at for item in items] == [_at(0), _at(1), _at(2)]


def test_a_topic_that_is_missing_is_told() -> None:
    broker = Broker()
    broker.memory = MemoryBroker()
    with pytest.raises(SettingsError, match="there is no such topic"):
        broker.recording().count()


class _Producer(MemoryPublisher):
    def look_up(self, topics: Sequence[str]) -> None:
        assert self._broker.partitions_of(topics)


def _target(broker: Broker, clock: FakeClock | None = None) -> KafkaTarget:
    return KafkaTarget(_Producer(broker.memory), TOPICS, _persistence(clock), 500)


def test_records_and_labels_become_messages_of_another_producer() -> None:
    broker = Broker()
    target = _target(broker)
    items = [Outgoing(f"r-{index}", json.dumps({"x": index}).encode(), None, None) for index in range(5)]
    assert target.send_records(items) == [SendResult()] * 5
    assert target.send_labels([LabelOut("r-1", "yes", _at(3))]) == [SendResult()]
    records, (label,) = broker.memory.messages(TOPICS.records), broker.memory.messages(TOPICS.labels)
    assert sorted((message.key, message.value) for message in records) == [
        (b"r-%d" % i, b'{"x": %d}' % i) for i in range(5)
    ]
    assert {header(message.headers, "ce_type") for message in records} == {b"io.streamgauge.record"}
    assert not any(is_ours(message.headers, CASE.name) for message in [*records, label])
    assert event_of(label, CASE) == Label("r-1", CASE.name, "yes", _at(3))


def test_a_message_that_is_refused_for_good_is_final_and_its_neighbours_are_taken() -> None:
    broker = Broker()
    broker.memory.max_message_bytes = 50
    items = [Outgoing("a", b"{}", None, None), Outgoing("b", b"x" * 100, None, None), Outgoing("c", b"{}", None, None)]
    assert _target(broker).send_records(items) == [SendResult(), SendResult("too_large"), SendResult()]


def test_a_broker_that_stays_away_leaves_the_outcome_open() -> None:
    broker, clock = Broker(), FakeClock()
    broker.memory.away = "away"
    assert _target(broker, clock).send_records([Outgoing("a", b"{}", None, None)]) == [
        SendResult("broker", is_final=False)
    ]
    assert clock.now() - 1000.0 <= 5.0


# Cursors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursor", ["", "x", "-14", "1", "15", "999", "9" * 400, "\u0663", " 14", "1_4"])
def test_what_is_no_place_behind_a_line_is_no_cursor_of_a_file(cursor: str, tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"record":{}}\n' * 3)
    recording = LinesRecording(path, Period(), needs_times=False)
    assert [len(list(recording.items(after))) for after in (None, "0", "14", "28", "42")] == [3, 3, 2, 1, 0]
    with pytest.raises(RejectedError, match="is no cursor of this log"):
        list(recording.items(cursor))


@pytest.mark.parametrize(
    "cursor",
    ["", "7", "[[]]", "[1]", '[["a",0,1]]', '[["a",0,-1,5]]', '[["a",0,1,1e999]]', "[" * 100_000, '["\ud800"]'],
)
def test_what_is_no_list_of_places_is_no_cursor_of_topics(cursor: str) -> None:
    broker = MemoryBroker()
    recording = KafkaRecording(broker, (TOPICS.predictions,), CASE, Period(), _persistence())  # type: ignore[arg-type]
    with pytest.raises(RejectedError, match="is no cursor of this log"):
        list(recording.items(cursor))
