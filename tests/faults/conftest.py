"""A namespace of Kafka with its topics and a database of MongoDB for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from full_stack import Urls, make_topics
from real_parts import KafkaBroker, MongoServer


@pytest.fixture
def urls(kafka_url: str, mongo_url: str, kafka_namespace: str, mongo_database: str) -> Urls:
    """On the parts that all tests share."""
    made = Urls(f"{kafka_url}/{kafka_namespace}", f"{mongo_url}/{mongo_database}")
    make_topics(made.kafka)
    return made


@pytest.fixture
def own_urls(
    kafka_broker: KafkaBroker, mongo_server: MongoServer, kafka_namespace: str, mongo_database: str
) -> Iterator[Urls]:
    """On the parts that a test may kill."""
    made = Urls(f"{kafka_broker.url}/{kafka_namespace}", f"{mongo_server.url}/{mongo_database}")
    make_topics(made.kafka)
    yield made
    for part in (kafka_broker, mongo_server):
        part.thaw()
