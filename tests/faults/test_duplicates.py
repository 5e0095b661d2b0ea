"""Storms of duplicates: the same records from many connections, from several replicas, and from Kafka again."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from full_stack import Urls, running_stack
from monitoring_process import free_port, poll_until
from monitoring_world import made_record
from reconciliation import TopicReader, check_kept, collection, stored_predictions
from record_producer import RecordProducer, bootstrap_of, topic_of
from replica import Replica

RECORDS, CONNECTIONS = 200, 12


class Storm:
    """Every connection sends every record, each in an order of its own."""

    def __init__(self, server_urls: list[str]) -> None:
        rng = random.Random(11)
        self._urls = server_urls
        self.records = {f"storm-{number}": made_record(rng) for number in range(RECORDS)}
        self.answers: dict[str, list[dict[str, Any]]] = {record_id: [] for record_id in self.records}

    def run(self) -> None:
        threads = [threading.Thread(target=self._send_all, args=(number,)) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send_all(self, number: int) -> None:
        order = random.Random(number).sample(sorted(self.records), RECORDS)
        url = self._urls[number % len(self._urls)]
        with requests.Session() as session:
            for record_id in order:
                body = {"record_id": record_id, **self.records[record_id]}
                response = session.post(f"{url}/predict", json=body, timeout=30)
                assert response.status_code == 200, response.text
                self.answers[record_id].append(response.json())


@pytest.mark.timeout(120)
def test_the_same_records_from_many_connections_are_one_prediction_each(urls: Urls, tmp_path: Path) -> None:
    with running_stack(tmp_path, urls, names=("serving", "sidecar", "monitoring")) as replica:
        storm = Storm([replica.prediction_url])
        storm.run()
        assert {len(answers) for answers in storm.answers.values()} == {CONNECTIONS}
        check_kept(replica, urls, storm)
        assert replica.monitoring_totals()["conflicts"] == 0


@pytest.mark.long
@pytest.mark.timeout(120)
def test_the_same_records_to_two_replicas_are_stored_and_counted_once(urls: Urls, tmp_path: Path) -> None:
    with running_stack(tmp_path, urls, names=("serving", "sidecar", "monitoring")) as replica:
        second_url = start_second_server(replica)
        storm = Storm([replica.prediction_url, second_url])
        storm.run()
        poll_until(lambda: len(stored_predictions(urls.mongo)) == RECORDS, 60, "each record is stored")
        poll_until(lambda: every_sink_has_everything(replica, second_url), 60, "both journals are drained")
        stored = stored_predictions(urls.mongo)
        assert len(stored) == RECORDS
        for record_id, answers in storm.answers.items():
            assert {(answer["prediction"], answer["score"]) for answer in answers} == {
                (stored[record_id]["prediction"], stored[record_id]["score"])
            }
        with collection(urls.mongo, "conflicts") as conflicts:
            assert conflicts.count_documents({}) == 0
        poll_until(lambda: replica.monitoring_totals()["predictions"] == RECORDS, 60, f"monitoring counts {RECORDS}")


def start_second_server(replica: Replica) -> str:
    """On the same volume, with a journal of its own; the one sidecar drains both."""
    port = free_port()
    replica.start("serving-2", PREDICTION_PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    poll_until(lambda: requests.get(f"{url}/readyz", timeout=2).ok, 30, "the second server is ready")
    return url


def every_sink_has_everything(replica: Replica, *other_urls: str) -> bool:
    statuses = [requests.get(f"{url}/status", timeout=5).json() for url in (replica.prediction_url, *other_urls)]
    return all(status["sinks"] and sink["lag"] == 0 for status in statuses for sink in status["sinks"].values())


@pytest.mark.timeout(180)
def test_records_that_kafka_delivers_again_change_nothing(urls: Urls, tmp_path: Path) -> None:
    producer = RecordProducer(urls.kafka, seed=3, duplicates=0.5)
    with running_stack(tmp_path, urls, names=("worker", "monitoring")) as replica:
        producer.publish(1000)
        producer.finish()
        books = {"produced": producer.records, "acknowledged": producer.acknowledged}
        stored = check_kept(replica, urls, **books)
        replica.processes["worker"].terminate()
        assert replica.processes["worker"].wait(20) == 0
        begin_again(urls.kafka)
        replica.start("worker")
        replica.wait_until_ready()
        poll_until(lambda: lag_of(replica) == 0, 60, "every record is read again")
        assert check_kept(replica, urls, **books) == stored
        assert replica.monitoring_totals()["conflicts"] == 0
        reader = TopicReader(urls.kafka, "dead-letters")
        assert reader.read_to_the_end() == []
        reader.close()


def lag_of(replica: Replica) -> int | None:
    """Records that the worker has not committed, when it has partitions."""
    status = requests.get(f"{replica.url_of('worker')}/status", timeout=5).json()
    records = sum(lag["records"] for topic, lag in status["lag"].items() if topic.endswith("records"))
    return records if status["partitions"] else None


def begin_again(kafka_url: str) -> None:
    """Move every group that reads the records back to the beginning."""
    from kafka import KafkaAdminClient, TopicPartition
    from kafka.structs import OffsetAndMetadata

    topic = topic_of(kafka_url, "records")
    namespace = topic.partition(".")[0]
    admin = KafkaAdminClient(bootstrap_servers=bootstrap_of(kafka_url))
    try:
        groups = [group["group_id"] for group in admin.list_groups() if group["group_id"].startswith(namespace)]
        readers = [g for g in groups if any(p.topic == topic for p in admin.list_group_offsets(g)[g])]
        assert readers, f"no group reads {topic}: {groups}"
        for group in readers:
            zero = {TopicPartition(topic, number): OffsetAndMetadata(0, "", -1) for number in range(3)}
            admin.alter_group_offsets(group, zero)
    finally:
        admin.close()
