"""Kafka's admin client: list topics and offsets, and make missing topics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.client import API_VERSION, quiet, translated
from event_backbone.ports import Partition


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it is or should be; ``configs`` are Kafka's own names and values."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def _admin(access: KafkaAccess, timeout_s: float) -> Iterator[Any]:
    from kafka import KafkaAdminClient

    quiet()
    with translated(access):
        timeout_ms = int(timeout_s * 1000)
        client = KafkaAdminClient(
            **access.client_options, bootstrap_timeout_ms=timeout_ms, request_timeout_ms=timeout_ms
        )
        try:
            yield client
        finally:
            client.close()


def list_topics(access: KafkaAccess, names: Sequence[str], *, timeout_s: float = 10.0) -> dict[str, TopicSpec]:
    """Those of ``names`` that are there, with the settings that differ from the broker's own."""
    with _admin(access, timeout_s) as client:
        return _described(client, names)


def _described(client: Any, names: Sequence[str]) -> dict[str, TopicSpec]:
    from kafka.admin import ConfigResource, ConfigResourceType

    known = [one for one in client.describe_topics(list(names)) if one["error_code"] == 0]
    resources = [ConfigResource(ConfigResourceType.TOPIC, one["name"]) for one in known]
    configs = client.describe_configs(resources)["topic"] if resources else {}
    return {
        one["name"]: TopicSpec(
            one["name"],
            len(one["partitions"]),
            min((len(partition["replica_nodes"]) for partition in one["partitions"]), default=0),
            {name: config["value"] for name, config in configs.get(one["name"], {}).items()},
        )
        for one in known
    }


def create_topics(access: KafkaAccess, specs: Sequence[TopicSpec], *, timeout_s: float = 10.0) -> list[str]:
    """Make the topics that are not there and return their names; what is there is left as it is.

    On return every topic has a leader for each of its partitions.
    Raises :class:`TryAgainLaterError` when Kafka is away or refuses.
    """
    from kafka.errors import TopicAlreadyExistsError

    with _admin(access, timeout_s) as client:
        known = _described(client, [spec.name for spec in specs])
        missing = [spec for spec in specs if spec.name not in known]
        for spec in missing:
            wanted = {
                "num_partitions": spec.partitions,
                "replication_factor": spec.replication,
                "configs": dict(spec.configs),
            }
            with contextlib.suppress(TopicAlreadyExistsError):  # somebody else makes them, too
                client.create_topics({spec.name: wanted})
        client.wait_for_topics([spec.name for spec in specs], timeout_ms=int(timeout_s * 1000))
    return [spec.name for spec in missing]


def partitions_of(access: KafkaAccess, topics: Sequence[str], *, timeout_s: float = 10.0) -> list[Partition]:
    """Every partition of those topics that are there."""
    with _admin(access, timeout_s) as client:
        described = client.describe_topics(list(topics))
        return [Partition(one["name"], place["partition_index"]) for one in described for place in one["partitions"]]


def end_offsets(access: KafkaAccess, topics: Sequence[str], *, timeout_s: float = 10.0) -> dict[Partition, int]:
    """Where each partition ends for who reads what is committed: before the first open transaction."""
    places = partitions_of(access, topics, timeout_s=timeout_s)
    with _consumer(access, timeout_s) as consumer:
        found = consumer.end_offsets([_kafkas(place) for place in places], timeout_ms=int(timeout_s * 1000))
        return {place: found[_kafkas(place)] for place in places}


def offsets_at(
    access: KafkaAccess, topics: Sequence[str], timestamp_ms: int, *, timeout_s: float = 10.0
) -> dict[Partition, int]:
    """The first offset of each partition whose message is not older than a time since 1970; else its end.

    Of 1970 and before it is the beginning: there may be messages whose own time is older.
    """
    ends = end_offsets(access, topics, timeout_s=timeout_s)
    wanted = {_kafkas(place): timestamp_ms for place in ends}
    with _consumer(access, timeout_s) as consumer:
        if timestamp_ms <= 0:
            begins = consumer.beginning_offsets(list(wanted), timeout_ms=int(timeout_s * 1000))
            return {place: begins[_kafkas(place)] for place in ends}
        found = consumer.offsets_for_times(wanted, timeout_ms=int(timeout_s * 1000)) if wanted else {}
    return {
        place: end if (at := found.get(_kafkas(place))) is None or at.offset < 0 else at.offset
        for place, end in ends.items()
    }


def _kafkas(place: Partition) -> Any:
    from kafka import TopicPartition

    return TopicPartition(place.topic, place.number)


@contextlib.contextmanager
def _consumer(access: KafkaAccess, timeout_s: float) -> Iterator[Any]:
    from kafka import KafkaConsumer

    quiet()
    with translated(access):
        consumer = KafkaConsumer(
            **access.client_options,
            api_version=API_VERSION,
            request_timeout_ms=max(int(timeout_s * 1000), 1000),
            isolation_level="read_committed",
        )
        try:
            yield consumer
        finally:
            consumer.close()
