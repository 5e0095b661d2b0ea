"""What worker, monitoring and a replay make of messages that only others send: the rows of docs/kafka.md.

All on one worker and one monitoring. Each test sends what its row is about between records that are well, which must be
predicted and counted, and looks at nothing but its own messages and the sums.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from full_stack import Urls, make_topics, running_stack
from monitoring_process import poll_until
from monitoring_world import made_record
from reconciliation import TopicReader, collection, stored_predictions
from record_producer import bootstrap_of, topic_of
from recorded_topics import recorded
from replica import Replica

from event_backbone.kafka.access import kafka_access
from event_backbone.settings import ConnectionSettings
from prediction_service.operations.dead_letters import messages_until_now

pytestmark = pytest.mark.timeout(240)
YEAR_MS = 365 * 86_400_000
FAR_AHEAD_MS = int(time.time() * 1000) + 600 * YEAR_MS


class World:
    """Running processes on topics of one partition each, and a producer of others."""

    def __init__(self, urls: Urls, folder: Path, replica: Replica) -> None:
        from confluent_kafka import Producer
        from confluent_kafka.admin import AdminClient

        self.urls, self.folder, self.replica = urls, folder, replica
        self._options = {"bootstrap.servers": bootstrap_of(urls.kafka)}
        self._producer = Producer(self._options)
        self._admin = AdminClient(self._options)

    def topic(self, kind: str) -> str:
        return topic_of(self.urls.kafka, kind)

    def send(self, kind: str, key: bytes | None, value: bytes | None, **options: Any) -> int:
        """Return the message's offset, once it is there."""
        outcomes: list[tuple[Any, int]] = []
        self._producer.produce(
            self.topic(kind), value, key, on_delivery=lambda error, at: outcomes.append((error, at.offset())), **options
        )
        assert self._producer.flush(30) == 0
        [(error, offset)] = outcomes
        assert error is None
        return offset

    def send_compressed(self, kind: str, value: bytes, codec: str) -> int:
        """A batch of one message; what a topic takes is as large as it is when it is compressed."""
        from confluent_kafka import Producer

        usual, large = self._producer, {"compression.type": codec, "message.max.bytes": 100_000_000}
        self._producer = Producer({**self._options, **large})
        try:
            return self.send(kind, None, value)
        finally:
            self._producer = usual

    def send_well(self, **options: Any) -> str:
        record_id = f"well-{uuid.uuid4()}"
        self.send("records", record_id.encode(), json.dumps(made_record(random.Random(record_id))).encode(), **options)
        return record_id

    def transaction(self) -> Any:
        from confluent_kafka import Producer

        producer = Producer({**self._options, "transactional.id": self.topic("records")})
        producer.init_transactions(30)
        producer.begin_transaction()
        return producer

    def drop_before(self, kind: str, offset: int) -> None:
        """What retention does, at once."""
        from confluent_kafka import TopicPartition

        for future in self._admin.delete_records([TopicPartition(self.topic(kind), 0, offset)]).values():
            future.result(30)

    def committed(self) -> int | None:
        """Where the worker's group goes on in the topic of records."""
        from confluent_kafka import Consumer, TopicPartition

        group = f"{self.urls.kafka.rpartition('/')[2]}.worker-shop"
        consumer = Consumer({**self._options, "group.id": group})
        try:
            [place] = consumer.committed([TopicPartition(self.topic("records"), 0)], 10)
        finally:
            consumer.close()
        return int(place.offset)

    def status(self) -> Mapping[str, Any]:
        """The worker's."""
        return dict(requests.get(f"{self.replica.url_of('worker')}/status", timeout=5).json())

    def check_predicted(self, *record_ids: str) -> None:
        """These are stored, and monitoring counts what is stored once."""
        poll_until(lambda: set(stored_predictions(self.urls.mongo)) >= set(record_ids), 60, "all are predicted")
        stored = len(stored_predictions(self.urls.mongo))
        poll_until(lambda: self.replica.monitoring_totals()["predictions"] == stored, 60, "monitoring counts each once")

    def letters_of(self, kind: str, offset: int, count: int = 1) -> list[dict[str, Any]]:
        """Dead letters about one place: key, value and headers of each."""
        reader = TopicReader(self.urls.kafka, "dead-letters")

        def about() -> list[dict[str, Any]]:
            decoded = [
                {"key": one.key, "value": one.value, **{name: value.decode() for name, value in one.headers}}
                for one in reader.read_to_the_end()
            ]
            place = self.topic(kind), str(offset)
            return [one for one in decoded if (one["dl_topic"], one["dl_offset"]) == place]

        try:
            poll_until(lambda: len(about()) >= count, 30, f"{count} dead letters")
            found = about()
        finally:
            reader.close()
        assert len(found) == count
        return found


def take_any_time(urls: Urls, *kinds: str) -> None:
    """By themselves topics refuse what is an hour ahead."""
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry("message.timestamp.after.max.ms", str(2**63 - 1), incremental_operation=AlterConfigOpType.SET)
    for kind in kinds:
        resource = ConfigResource(ResourceType.TOPIC, topic_of(urls.kafka, kind), incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": bootstrap_of(urls.kafka)})
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(30)


@pytest.fixture(scope="module")
def world(kafka_url: str, mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    urls = Urls(f"{kafka_url}/{name}", f"{mongo_url}/{name}")
    make_topics(urls.kafka, partitions=1)
    take_any_time(urls, "records", "labels")
    folder = tmp_path_factory.mktemp("world")
    with running_stack(folder, urls, names=("worker", "monitoring")) as replica:
        yield World(urls, folder, replica)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_batch_that_expands_beyond_the_limit_is_a_dead_letter(world: World, codec: str) -> None:
    """Zeros: snappy alone makes so many of them no smaller than what a topic takes by default."""
    before = world.send_well()
    offset = world.send_compressed("records", bytes(40 * 1024 * 1024), codec)
    after = world.send_well()
    world.check_predicted(before, after)
    [letter] = world.letters_of("records", offset)
    assert (letter["dl_reason"], letter["value"]) == ("oversized_batch", None)
    assert f"offsets {offset} to {offset}" in letter["dl_faults"]


def test_a_tombstone_in_records_is_a_dead_letter(world: World) -> None:
    first, offset, last = world.send_well(), world.send("records", b"a key", None), world.send_well()
    world.check_predicted(first, last)
    [letter] = world.letters_of("records", offset)
    assert (letter["key"], letter["value"], letter["dl_reason"]) == (b"a key", None, "json")


def test_a_tombstone_of_others_erases_nothing_and_is_a_dead_letter(world: World) -> None:
    record_id = world.send_well()
    world.check_predicted(record_id)
    poll_until(lambda: world.replica.monitoring_totals()["predictions"], 30, "it is counted")
    offset = world.send("predictions", record_id.encode(), None)
    [letter] = world.letters_of("predictions", offset)
    assert (letter["dl_reason"], letter["dl_service"]) == ("type", "monitoring")
    assert world.replica.monitoring_totals()["erasures"] == 0
    world.check_predicted(record_id)


def test_a_message_with_neither_key_nor_value_is_a_dead_letter_by_its_place(world: World) -> None:
    first, offset, last = world.send_well(), world.send("records", None, None), world.send_well()
    world.check_predicted(first, last)
    [letter] = world.letters_of("records", offset)
    assert letter["dl_id"] == f"{world.topic('records')}-0-{offset}"
    assert (letter["value"], letter["dl_reason"], letter["dl_without_key"]) == (None, "json", "1")


def test_a_record_without_key_or_id_is_predicted_under_its_place(world: World) -> None:
    offset = world.send("records", None, json.dumps(made_record(random.Random(1))).encode())
    world.check_predicted(f"{world.topic('records')}-0-{offset}")


def test_a_null_header_is_an_empty_one(world: World) -> None:
    headers = [("trace", None), ("dl_id", None), ("twice", b"1"), ("twice", None)]
    record_id = world.send_well(headers=headers)
    offset = world.send("records", b"bad", b"no json", headers=[("trace", None)])
    world.check_predicted(record_id)
    [letter] = world.letters_of("records", offset)
    assert letter["dl_header_trace"] == ""


def test_a_records_own_time_may_be_any_number(world: World) -> None:
    times = (-1, -20 * YEAR_MS, 1, FAR_AHEAD_MS, 2**62)
    sent = [world.send_well(timestamp=timestamp_ms) for timestamp_ms in times]
    sent.append(world.send_well())
    world.check_predicted(*sent)
    nothing = {"records": 0, "seconds": 0.0}
    poll_until(lambda: world.status()["lag"][world.topic("records")] == nothing, 30, "the worker is not late")
    items = {item.record_id: item.at for item in recorded(world.urls.kafka, world.folder / "cases")}
    assert [items[record_id] for record_id in sent[:3]] == [
        "1969-12-31T23:59:59.999000Z",
        "1950-01-06T00:00:00.000000Z",
        "1970-01-01T00:00:00.001000Z",
    ]
    assert items[sent[4]] == "9999-12-31T23:59:59.000000Z"


def test_a_label_without_a_time_takes_that_of_its_message_unless_that_is_none(world: World) -> None:
    world.send("labels", b"r1", b'{"label": "yes"}', timestamp=1_700_000_000_123)
    without = world.send("labels", b"r2", b'{"label": "yes"}', timestamp=-1)
    beyond = world.send("labels", b"r3", b'{"label": "yes"}', timestamp=2**62)
    own = b'{"label": "no", "labelled_at": "2026-01-01T00:00:00Z"}'
    world.send("labels", b"r4", own, timestamp=-20 * YEAR_MS)
    with collection(world.urls.mongo, "labels") as labels:
        poll_until(lambda: labels.count_documents({}) == 2, 60, "the labels with a time are kept")
        kept = {one["record_id"]: one["labelled_at"] for one in labels.find({})}
    assert kept == {"r1": "2023-11-14T22:13:20.123000Z", "r4": "2026-01-01T00:00:00.000000Z"}
    for offset in (without, beyond):
        letters = world.letters_of("labels", offset, count=2)
        assert {(one["dl_reason"], one["dl_service"]) for one in letters} == {
            ("label", "worker"),
            ("label", "monitoring"),
        }


def test_what_a_broker_dropped_before_it_was_read_is_named_by_its_places(world: World) -> None:
    kept = world.send_well()
    first = world.send("records", b"bad", b"no json") + 1
    world.check_predicted(kept)
    poll_until(lambda: world.committed() == first, 30, "everything is committed")
    world.replica.processes["worker"].terminate()
    assert world.replica.processes["worker"].wait(20) == 0
    dropped = [world.send_well() for _ in range(3)]
    left = world.send_well()
    world.drop_before("records", first + 3)
    world.replica.start("worker")
    world.check_predicted(kept, left)
    assert not set(stored_predictions(world.urls.mongo)) & set(dropped)
    [letter] = world.letters_of("records", first + 2)
    assert letter["dl_reason"] == "gone"
    [fault] = json.loads(letter["dl_faults"])
    assert fault["message"] == f"offsets {first} to {first + 2} were dropped by the broker before they were read"


def test_what_a_reader_of_all_partitions_missed_is_named_as_well(world: World) -> None:
    """Monitoring keeps its places itself, so it knows after any restart where it was to go on."""
    world.check_predicted(world.send_well())
    monitoring = world.replica.processes["monitoring"]
    monitoring.terminate()
    assert monitoring.wait(20) == 0
    first = world.send("rejections", b"x", b"{}")
    world.send("rejections", b"x", b"{}")
    world.drop_before("rejections", first + 2)
    world.replica.start("monitoring")
    [letter] = world.letters_of("rejections", first + 1)
    assert (letter["dl_reason"], letter["dl_service"]) == ("gone", "monitoring")


def test_dead_letters_are_listed_also_where_their_topic_ends_with_no_message(world: World) -> None:
    """As one does that somebody aborts a transaction in; its end is not waited for."""
    transaction = world.transaction()
    transaction.produce(world.topic("dead-letters"), b"{}", b"never there")
    assert transaction.flush(30) == 0
    transaction.abort_transaction(30)
    access = kafka_access(world.urls.kafka, ConnectionSettings(_env_file=None))  # type: ignore[call-arg]
    found = list(messages_until_now(access, world.topic("dead-letters"), timeout_s=10))
    assert found
    assert b"never there" not in {one.key for one in found}


def test_an_open_transaction_holds_up_what_stands_behind_it_and_nobody_is_late_for_that(world: World) -> None:
    before = world.send_well()
    transaction = world.transaction()
    record = json.dumps(made_record(random.Random(7))).encode()
    transaction.produce(world.topic("records"), record, b"in-transaction")
    assert transaction.flush(30) == 0
    behind = world.send_well()
    world.check_predicted(before)
    time.sleep(12)  # longer than a partition may stand still
    status = world.status()
    assert status["lag"][world.topic("records")] == {"records": 0, "seconds": 0.0}
    assert status["faults"] == {}
    assert behind not in stored_predictions(world.urls.mongo)
    transaction.abort_transaction(30)
    world.check_predicted(before, behind)
    assert "in-transaction" not in stored_predictions(world.urls.mongo)
