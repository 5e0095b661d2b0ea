"""A Kafka broker and a MongoDB server for benchmarks: those that are given, or the ones the tests start."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from event_backbone.kafka.access import kafka_access
from event_backbone.kafka.admin import TopicSpec, create_topics
from event_backbone.kafka.producer import KafkaPublisher
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Message
from event_backbone.settings import ConnectionSettings

#: The tests know how to start the real servers on a machine without containers.
_TESTS = Path(__file__).parents[1] / "tests" / "support"


@dataclass(frozen=True, slots=True)
class Parts:
    kafka_url: str
    mongo_url: str

    def fill(self, kafka_url: str, case_name: str, messages: Iterable[Message]) -> None:
        """Make the topics of a case and publish these messages."""
        access = kafka_access(kafka_url, ConnectionSettings())
        names = Topics(access.namespace, case_name).all
        create_topics(access, [TopicSpec(name, partitions=6, replication=1) for name in names])
        publisher, waiting = KafkaPublisher(access, timeout_s=60), iter(messages)
        while chunk := list(islice(waiting, 5000)):
            publisher.publish(chunk)
        publisher.close()


@contextmanager
def real_parts(folder: Path, kafka_url: str | None, mongo_url: str | None) -> Iterator[Parts]:
    """Start what is not given."""
    with kafka_broker(folder / "kafka", kafka_url) as kafka, mongo_server(folder / "mongo", mongo_url) as mongo:
        yield Parts(kafka, mongo)


@contextmanager
def kafka_broker(folder: Path, url: str | None) -> Iterator[str]:
    """Its URL: the one that is given, or that of one the tests know how to start."""
    if url is not None:
        yield url
        return
    with _started("KafkaBroker", folder) as started:
        yield started


@contextmanager
def mongo_server(folder: Path, url: str | None) -> Iterator[str]:
    """The same for MongoDB."""
    if url is not None:
        yield url
        return
    with _started("MongoServer", folder) as started:
        yield started


@contextmanager
def _started(kind: str, folder: Path) -> Iterator[str]:
    sys.path.insert(0, str(_TESTS))
    parts = importlib.import_module("real_parts")
    part = getattr(parts, kind)(folder, parts.OPTIMIZING_JAVA)
    try:
        part.start()
        yield part.url
    finally:
        part.stop()
