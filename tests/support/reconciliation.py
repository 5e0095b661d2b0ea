"""What MongoDB, Kafka and monitoring hold, read past our own code, and compared with what was sent."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from full_stack import Urls
from monitoring_process import poll_until
from monitoring_world import made_class, made_score
from record_producer import bootstrap_of, topic_of
from replica import Replica


class Sender(Protocol):
    """Whatever sends over HTTP and keeps books."""

    records: dict[str, dict[str, Any]]
    answers: dict[str, list[dict[str, Any]]]


@contextlib.contextmanager
def collection(mongo_url: str, kind: str, case: str = "shop") -> Iterator[Any]:
    """Raises :class:`ConnectionError` when the server cuts a read off, as it may while it catches up."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    with MongoClient[dict[str, Any]](mongo_url, serverSelectionTimeoutMS=10_000) as client:
        try:
            yield client.get_default_database()[f"{case}.{kind}"]
        except PyMongoError as error:
            raise ConnectionError(f"MongoDB: {error!r}") from error


def stored_predictions(mongo_url: str) -> dict[str, dict[str, Any]]:
    with collection(mongo_url, "predictions") as predictions:
        # The wire server does not bound an answer by its bytes, as MongoDB does.
        return {document["_id"]: document for document in predictions.find(batch_size=1000)}


class TopicReader:
    """Everything in one topic from its beginning, as it comes."""

    def __init__(self, kafka_url: str, kind: str, case: str = "shop") -> None:
        from kafka import KafkaConsumer, TopicPartition

        topic = topic_of(kafka_url, kind, case)
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap_of(kafka_url), group_id=None)
        self._partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_beginning()
        self.messages: list[Any] = []

    def read_to_the_end(self) -> list[Any]:
        ends = self._consumer.end_offsets(self._partitions)
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            for some in self._consumer.poll(500).values():
                self.messages += some
        return self.messages

    def values_by_key(self) -> dict[str, list[dict[str, Any]]]:
        found = defaultdict(list)
        for message in self.read_to_the_end():
            found[message.key.decode()].append(json.loads(message.value))
        return found

    def close(self) -> None:
        self._consumer.close()


def check_kept(
    replica: Replica,
    urls: Urls,
    client: Sender | None = None,
    *,
    produced: Mapping[str, dict[str, Any]] | None = None,
    acknowledged: set[str] | None = None,
    timeout_s: float = 60,
) -> dict[str, dict[str, Any]]:
    """Answered and acknowledged records are stored once, and every answer, the topic and monitoring agree with that.

    A record that the broker never acknowledged may be there or not.
    """
    sent = dict(client.records) if client else {}
    must = set(sent) | (acknowledged or set())
    records = {**sent, **(produced or {})}
    if client:
        assert set(sent) == set(client.answers), "some records were never answered"
    stored = _stored_at_last(urls.mongo, must, timeout_s)
    assert set(stored) <= set(records), f"never sent: {sorted(set(stored) - set(records))[:5]}"
    for record_id, document in stored.items():
        _check_document(document, records[record_id])
        for answer in client.answers.get(record_id, []) if client else []:
            assert answer == {name: document[name] for name in answer}, f"{record_id}: an answer is not what is stored"
    _check_topic(urls.kafka, stored, timeout_s)
    if "monitoring" in replica.processes:
        poll_until(
            lambda: replica.monitoring_totals()["predictions"] == len(stored),
            timeout_s,
            f"monitoring counts {len(stored)} once",
        )
    return stored


def _stored_at_last(mongo_url: str, must: set[str], timeout_s: float) -> dict[str, dict[str, Any]]:
    def count() -> int:
        with collection(mongo_url, "predictions") as predictions:
            return predictions.count_documents({})

    poll_until(lambda: count() >= len(must), timeout_s, f"{len(must)} are stored in MongoDB")
    [stored] = poll_until(lambda: [stored_predictions(mongo_url)], 60, "MongoDB reads out what it holds")
    missing = must - set(stored)
    assert not missing, f"answered or acknowledged, and not stored: {len(missing)}, such as {sorted(missing)[:5]}"
    return stored


def _check_document(document: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    assert document["record"] == record
    assert abs(document["score"] - made_score(record)) < 1e-6
    assert document["prediction"] == made_class(document["score"])


def _check_topic(kafka_url: str, stored: Mapping[str, dict[str, Any]], timeout_s: float) -> None:
    """The topic, deduplicated by key, is what is stored; a message that is there twice says the same twice."""
    reader = TopicReader(kafka_url, "predictions")
    try:
        poll_until(
            lambda: set(reader.values_by_key()) >= set(stored), timeout_s, "every stored prediction is published"
        )
        published = reader.values_by_key()
    finally:
        reader.close()
    assert set(published) == set(stored), "published and not stored"
    for record_id, values in published.items():
        for value in values:
            assert {
                name: stored[record_id][name] for name in value if name in stored[record_id]
            }.items() <= value.items()
            assert value["record"] == stored[record_id]["record"]
            assert value["predicted_at"] == stored[record_id]["predicted_at"]
