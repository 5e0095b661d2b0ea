"""Monitoring reads a real broker: killed, poisoned, with partitions that come later and a broker that goes away."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from monitoring_process import MonitoringProcess, poll_until
from monitoring_stream import foreign, published
from monitoring_world import START, label, prediction, predictions
from real_parts import KafkaBroker

from event_backbone.events.cloud_events import header
from event_backbone.events.schema import Erasure, Event, FaultCount, Rejections
from event_backbone.kafka.access import KafkaAccess, kafka_access
from event_backbone.kafka.admin import TopicSpec, create_topics
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.kafka.producer import KafkaPublisher
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Message, Received
from event_backbone.settings import ConnectionSettings

SCHEDULE: dict[str, Any] = {"window_rows": 200, "minimum_rows": 100, "check_every_rows": 20}
SECRET = b"a secret payment"


class Stream:
    """The case's topics on a broker, in a namespace of this test; what is published is known here as well."""

    def __init__(self, broker_url: str, namespace: str) -> None:
        self.url = f"{broker_url}/{namespace}"
        self.topics = Topics(namespace, "shop")
        settings = ConnectionSettings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings adds it
        self.access: KafkaAccess = kafka_access(self.url, settings)
        self._publisher = KafkaPublisher(self.access)
        self._seq = 0

    def create(self) -> None:
        create_topics(self.access, [TopicSpec(name, 2, 1) for name in self.topics.all], timeout_s=30)

    def publish(self, *messages: Message) -> None:
        assert list(self._publisher.publish(messages)) == []

    def publish_events(self, *events: Event) -> None:
        self.publish(*published(events, topics=self.topics, first_seq=self._seq + 1))
        self._seq += len(events)

    def add_partitions(self, count: int) -> None:
        from kafka import KafkaAdminClient

        admin = KafkaAdminClient(bootstrap_servers=list(self.access.servers))
        admin.create_partitions({self.topics.predictions: count, self.topics.labels: count})
        admin.close()
        # A producer hears of new partitions within minutes; another one knows them.
        self._publisher.close()
        self._publisher = KafkaPublisher(self.access)

    def read(self, topic: str) -> list[Received]:
        """Everything in a topic, read from its beginning."""
        stream = KafkaAssignedConsumer(self.access, [topic], lambda _partition: None)
        found: list[Received] = []

        def is_all() -> bool:
            found.extend(stream.poll(timeout_s=0.5, max_messages=10_000))
            return all(lag.records == 0 and lag.next_offset is not None for lag in stream.lags().values())

        poll_until(is_all, 30)
        stream.close()
        return found

    def close(self) -> None:
        self._publisher.close()


@pytest.fixture
def stream(kafka_url: str, kafka_namespace: str) -> Iterator[Stream]:
    stream = Stream(kafka_url, kafka_namespace)
    stream.create()
    yield stream
    stream.close()


def monitoring_of(folder: Path, stream: Stream, **settings: str) -> MonitoringProcess:
    return MonitoringProcess(folder, settings={"MONITORING_EVENTS": stream.url, **settings}, **SCHEDULE)


@pytest.fixture
def monitoring(tmp_path: Path, stream: Stream) -> Iterator[MonitoringProcess]:
    monitoring = monitoring_of(tmp_path, stream)
    monitoring.start()
    yield monitoring
    monitoring.stop()


def totals_of(monitoring: MonitoringProcess) -> dict[str, int]:
    return dict(monitoring.state()["totals"])


def wait_until_all_is_read(monitoring: MonitoringProcess) -> Any:
    """The state once no partition has anything left."""

    def state_without_lag() -> Any:
        state = monitoring.state()
        lags = state["stream"]["lags"]
        return state if len(lags) == 3 and not any(lag["records"] for lag in lags.values()) else None

    return poll_until(state_without_lag, 60, "everything is read")


def values_by_key(messages: list[Received]) -> dict[bytes | None, set[bytes]]:
    found: dict[bytes | None, set[bytes]] = {}
    for message in messages:
        found.setdefault(message.key, set()).add(message.value or b"")
    return found


def test_totals_equal_the_topics_deduplicated_by_key_whatever_dies_meanwhile(
    stream: Stream, monitoring: MonitoringProcess
) -> None:
    rng = random.Random(4)
    poison = 0
    for step in range(40):
        made = predictions(25, first=step * 25, bundle_sha256=monitoring.bundle_sha256)
        stream.publish_events(*made, *(label(one.record_id) for one in made[:20]))
        stream.publish_events(Rejections(f"x{step}", "shop", START, START, 2, [FaultCount("price", "range", 2)]))
        again = rng.sample(made, 5)
        stream.publish_events(*again, prediction(again[0].record_id, {"price": 0.5}))
        stream.publish(
            foreign(stream.topics.labels, made[20].record_id, b'{"label":"no"}'),
            foreign(stream.topics.predictions, f"p{step}", b'{"schema_version":7}'),
        )
        poison += 1
        if step in (8, 30):
            os.kill(monitoring.worker_pid(), signal.SIGKILL)
        if step == 15:
            monitoring.kill()
            monitoring.start()
        if step == 22:
            stream.add_partitions(5)
        time.sleep(0.1)
    state = wait_until_all_is_read(monitoring)
    good = [one for one in stream.read(stream.topics.predictions) if header(one.headers, "ce_id")]
    distinct = values_by_key(good)
    totals = state["totals"]
    assert totals["predictions"] == len(distinct) == 1000
    assert totals["conflicts"] == sum(len(contents) - 1 for contents in distinct.values()) == 40
    assert totals["labels"] == 40 * 21
    assert totals["rejected_records"] == 80
    assert totals["duplicates"] == 40 * 5
    assert state["waiting_labels"] == 0
    assert state["stream"]["unreadable"] == {"schema_version": poison}
    letters = stream.read(stream.topics.dead_letters)
    assert {header(letter.headers, "dl_reason") for letter in letters} == {b"schema_version"}
    assert len({header(letter.headers, "dl_id") for letter in letters}) == poison
    partitions = {source for source in state["sources"] if f"{stream.topics.predictions}:" in source}
    assert len(partitions) == 5
    assert monitoring.wait_for_checks(1000)["quality"]["labelled_rows"] > 0


def test_events_over_http_and_from_kafka_are_counted_once(stream: Stream, monitoring: MonitoringProcess) -> None:
    from monitoring_world import body_of

    events = [*predictions(50), *(label(f"r{number}") for number in range(50))]
    stream.publish_events(*events[:60])
    monitoring.post_until_taken(body_of(events[40:]))
    poll_until(lambda: totals_of(monitoring)["labels"] == 50)
    wait_until_all_is_read(monitoring)
    assert (totals_of(monitoring)["predictions"], totals_of(monitoring)["duplicates"]) == (50, 20)
    page = requests.get(monitoring.url, timeout=5).text
    assert 'id="stream"' in page


def test_the_group_shows_how_far_monitoring_is(stream: Stream, monitoring: MonitoringProcess) -> None:
    from kafka import KafkaAdminClient

    stream.publish_events(*predictions(30))

    def committed() -> int:
        admin = KafkaAdminClient(bootstrap_servers=list(stream.access.servers))
        try:
            groups = admin.list_group_offsets(stream.topics.group("monitoring"))
            (offsets,) = groups.values() if stream.topics.group("monitoring") in groups else (groups,)
            return sum(found.offset for place, found in offsets.items() if place.topic == stream.topics.predictions)
        finally:
            admin.close()

    poll_until(lambda: committed() == 30, 30)
    assert (
        'monitoring_lag_records{case="shop",topic="predictions"} 0.0'
        in requests.get(f"{monitoring.url}/metrics", timeout=5).text
    )


def test_too_many_unreadable_messages_stop_the_service_with_the_reason(tmp_path: Path, stream: Stream) -> None:
    monitoring = monitoring_of(tmp_path, stream, MONITORING_UNREADABLE_LIMIT="5")
    stream.publish_events(*predictions(20))
    monitoring.start()
    try:
        poll_until(lambda: totals_of(monitoring)["predictions"] == 20)
        stream.publish(*[foreign(stream.topics.labels, "same-key", b"no json") for _ in range(9)])
        assert monitoring.wait(30) == 1
    finally:
        monitoring.stop()
    lines = monitoring.log.read_text()
    assert "5 messages in a row can't be read" in lines
    assert "Traceback" not in lines
    assert len(stream.read(stream.topics.dead_letters)) == 4


def test_an_erasure_leaves_nothing_of_the_record_in_the_folder(stream: Stream, monitoring: MonitoringProcess) -> None:
    made = predictions(200, bundle_sha256=monitoring.bundle_sha256)
    secret = prediction("gone", {**made[0].record, "payment": SECRET.decode()}, monitoring.bundle_sha256)
    stream.publish_events(*made[:50], secret, *made[50:], label("gone"))
    monitoring.wait_for_checks(200)
    folder = monitoring.folder / "var" / "shop" / "monitoring"

    def holding() -> set[str]:
        return {path.name for path in folder.rglob("*") if path.is_file() and SECRET in path.read_bytes()}

    poll_until(lambda: any(name.endswith(".html") for name in holding()), 120, "a report shows the record")
    stream.publish_events(Erasure("gone", "shop", START))
    poll_until(lambda: totals_of(monitoring)["erasures"] == 1)
    poll_until(lambda: holding() == set(), 30, "nothing of it is left")
    assert requests.get(f"{monitoring.url}/reports/latest", timeout=5).status_code == 404
    stream.publish_events(secret, label("gone"))
    wait_until_all_is_read(monitoring)
    assert holding() == set()
    assert totals_of(monitoring)["predictions"] == 201


def test_one_that_stands_by_reads_on_where_the_killed_one_was(tmp_path: Path, stream: Stream) -> None:
    active, other = (monitoring_of(tmp_path, stream) for _ in range(2))
    other.log = tmp_path / "other.log"
    sending = threading.Thread(target=lambda: [send(stream, step) for step in range(100)])
    try:
        active.start()
        other.start()
        sending.start()
        poll_until(lambda: totals_of(active)["predictions"] > 300)
        active.kill()
        poll_until(lambda: requests.get(f"{other.url}/readyz", timeout=5).ok, 20, "it takes over")
        sending.join()
        poll_until(lambda: totals_of(other)["predictions"] == 1000)
        totals = wait_until_all_is_read(other)["totals"]
        assert (totals["predictions"], totals["labels"], totals["duplicates"]) == (1000, 1000, 0)
    finally:
        if sending.ident is not None:
            sending.join()
        for monitoring in (active, other):
            monitoring.stop()


def send(stream: Stream, step: int) -> None:
    made = predictions(10, first=step * 10)
    stream.publish_events(*made, *(label(one.record_id) for one in made))
    time.sleep(0.05)


@pytest.mark.long
def test_a_broker_that_is_away_costs_nothing_but_time(
    tmp_path: Path, kafka_broker: KafkaBroker, kafka_namespace: str
) -> None:
    stream = Stream(kafka_broker.url, kafka_namespace)
    stream.create()
    stream.publish_events(*predictions(100))
    kafka_broker.kill()
    monitoring = monitoring_of(tmp_path, stream)
    try:
        monitoring.start()
        poll_until(lambda: requests.get(f"{monitoring.url}/readyz", timeout=5).ok, 20, "a start needs no broker")
        state = poll_until(lambda: (found := monitoring.state())["stream"]["reachable"] is False and found, 30)
        assert {one["name"] for one in state["conditions"] if one["active"]} == {"stream_away"}
        kafka_broker.start()
        poll_until(lambda: totals_of(monitoring)["predictions"] == 100)
        stream.publish_events(*predictions(50, first=100))
        poll_until(lambda: totals_of(monitoring)["predictions"] == 150)
        kafka_broker.kill()
        poll_until(lambda: monitoring.state()["stream"]["reachable"] is False, 30)
        assert "monitoring_lag_records{" not in requests.get(f"{monitoring.url}/metrics", timeout=5).text
        kafka_broker.start()
        stream.publish_events(*predictions(50, first=150), *predictions(50, first=100))
        poll_until(lambda: totals_of(monitoring)["predictions"] == 200)
        state = wait_until_all_is_read(monitoring)
        assert state["totals"]["duplicates"] == 50
        assert not any(one["active"] for one in state["conditions"] if one["name"] == "stream_away")
    finally:
        monitoring.stop()
        stream.close()
        kafka_broker.stop()
        kafka_broker.start()
