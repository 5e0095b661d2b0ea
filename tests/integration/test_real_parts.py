"""The parts that tests start: they keep their port and their data, and can be cut off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from monitoring_process import poll_until
from pymongo import MongoClient
from pymongo.errors import BulkWriteError, PyMongoError
from real_parts import KafkaBroker, MongoServer, Toxiproxy, accepts_connections


@pytest.fixture
def mongo(mongo_server: MongoServer) -> Iterator[MongoClient[dict[str, Any]]]:
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_server.url, serverSelectionTimeoutMS=5000)
    yield client
    client.close()


def make_topic(broker: KafkaBroker, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
    admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=1)])
    admin.close()


def published(port: int, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=f"127.0.0.1:{port}")
    for value in values:
        producer.send(topic, value)
    producer.flush()
    producer.close()


def read(port: int, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(topic, bootstrap_servers=f"127.0.0.1:{port}", auto_offset_reset="earliest", group_id=None)
    try:
        found: list[bytes] = []
        poll_until(
            lambda: found.extend(m.value for ms in consumer.poll(500).values() for m in ms) or len(found) >= count, 30
        )
        return found
    finally:
        consumer.close()


@pytest.mark.timeout(120)
def test_a_killed_broker_comes_back_with_what_it_acknowledged(kafka_broker: KafkaBroker) -> None:
    make_topic(kafka_broker, "kept")
    values = [str(number).encode() for number in range(1000)]
    published(kafka_broker.port, "kept", values)
    kafka_broker.kill()
    assert not accepts_connections(kafka_broker.port)
    kafka_broker.start()
    assert sorted(read(kafka_broker.port, "kept", 1000)) == sorted(values)


@pytest.mark.timeout(120)
def test_a_broker_behind_a_proxy_is_reached_through_the_proxy_alone(
    kafka_broker: KafkaBroker, toxiproxy: Toxiproxy
) -> None:
    proxy = toxiproxy.proxy(kafka_broker.proxied_port, kafka_broker.advertised_port)
    make_topic(kafka_broker, "proxied")
    published(proxy.port, "proxied", [b"one"])
    assert read(proxy.port, "proxied", 1) == [b"one"]
    proxy.cut()
    assert not accepts_connections(proxy.port)
    proxy.restore()
    proxy.add("latency", latency=300)
    started_at = time.monotonic()
    assert read(proxy.port, "proxied", 1) == [b"one"]
    assert time.monotonic() - started_at > 0.3
    proxy.clear()
    proxy.remove()


@pytest.mark.timeout(120)
def test_a_stopped_mongodb_comes_back_with_its_data(
    mongo_server: MongoServer, mongo: MongoClient[dict[str, Any]]
) -> None:
    rows = mongo["parts"]["rows"].with_options()
    rows.insert_many([{"_id": number} for number in range(1000)], ordered=False)
    mongo_server.stop()
    with pytest.raises(PyMongoError):
        rows.count_documents({})
    mongo_server.start()
    assert rows.count_documents({}) == 1000
    with pytest.raises(BulkWriteError) as refused:
        rows.insert_many([{"_id": 1}, {"_id": 2000}], ordered=False)
    assert [error["code"] for error in refused.value.details["writeErrors"]] == [11000]
    assert rows.count_documents({}) == 1001


def test_the_shared_parts_answer(kafka_url: str, mongo_url: str) -> None:
    for url in (kafka_url, mongo_url):
        assert accepts_connections(int(url.rpartition(":")[2].partition("/")[0]))
