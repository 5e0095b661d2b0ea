"""Everything at once: a replica, workers and monitoring between a real Kafka and a MongoDB."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from record_producer import bootstrap_of, topic_of
from replica import Replica, running_replica
from serving_world import install_champion

#: FAULTS=long: many kills and outages of minutes, as in ``make faults``; else a short form for every day.
LONG = os.environ.get("FAULTS") == "long"
#: FAULT_SEEDS=1,2,3 repeats what is random in other orders.
SEEDS = [int(seed) for seed in os.environ.get("FAULT_SEEDS", "1").split(",")]

EVERYTHING = ("serving", "sidecar", "monitoring", "worker")
KINDS = ("records", "predictions", "labels", "rejections", "dead-letters")


@dataclass(frozen=True)
class Urls:
    """A namespace of Kafka and a database of MongoDB that a test has for itself."""

    kafka: str
    mongo: str


def make_topics(kafka_url: str, partitions: int = 3) -> None:
    from kafka import KafkaAdminClient
    from kafka.admin import NewTopic

    admin = KafkaAdminClient(bootstrap_servers=bootstrap_of(kafka_url))
    try:
        topics = [
            NewTopic(topic_of(kafka_url, kind), num_partitions=partitions, replication_factor=1) for kind in KINDS
        ]
        admin.create_topics(topics)
    finally:
        admin.close()


def settings_for(urls: Urls) -> dict[str, str]:
    return {"SINKS": f"{urls.mongo},{urls.kafka}", "MONITORING_EVENTS": urls.kafka}


@contextlib.contextmanager
def running_stack(folder: Path, urls: Urls, *, names: Sequence[str] = EVERYTHING, **settings: str) -> Iterator[Replica]:
    """The topics are there already."""
    install_champion(folder / "state", folder / "cases")
    everything = {**settings_for(urls), **settings}
    with running_replica(folder / "state", folder / "cases", names=names, **everything) as replica:
        yield replica
