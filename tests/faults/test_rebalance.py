"""Workers that share the partitions of a topic, and replicas that go for good."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests
from full_stack import Urls, make_topics, running_stack
from monitoring_process import free_port, poll_until
from reconciliation import check_kept
from record_producer import RecordProducer
from replica import Client, Replica

WORKERS = ("worker", "worker-2", "worker-3")
PARTITIONS = 6


def partitions_of(replica: Replica, name: str) -> set[str]:
    status = requests.get(f"{replica.url_of(name)}/status", timeout=5).json()
    return {partition for partition in status["partitions"] if partition.rpartition("-")[0].endswith("records")}


def share_all(replica: Replica, names: tuple[str, ...]) -> bool:
    """Whether together they have each partition once, and each as many as any other."""
    shares = [partitions_of(replica, name) for name in names]
    assert len(set().union(*shares)) == PARTITIONS
    return all(len(some) == PARTITIONS // len(names) for some in shares)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_rest_take_over_when_a_worker_is_killed(
    kafka_url: str, mongo_url: str, kafka_namespace: str, mongo_database: str, tmp_path: Path
) -> None:
    urls = Urls(f"{kafka_url}/{kafka_namespace}", f"{mongo_url}/{mongo_database}")
    make_topics(urls.kafka, partitions=PARTITIONS)
    producer = RecordProducer(urls.kafka, seed=1, rate_per_s=200)
    with running_stack(tmp_path, urls, names=(*WORKERS, "monitoring")) as replica:
        producer.start()
        try:
            poll_until(lambda: share_all(replica, WORKERS), 60, "three workers share the partitions")
            time.sleep(2)
            replica.kill("worker-2")
            rest = ("worker", "worker-3")
            poll_until(lambda: share_all(replica, rest), 90, "two workers have all partitions")
            replica.start("worker-2")
            poll_until(lambda: share_all(replica, WORKERS), 60, "the third one is back")
            time.sleep(2)
        finally:
            producer.finish()
        check_kept(replica, urls, produced=producer.records, acknowledged=producer.acknowledged)
        assert producer.acknowledged == set(producer.records)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_the_journal_of_a_replica_that_went_for_good_is_drained_by_another_sidecar(urls: Urls, tmp_path: Path) -> None:
    with running_stack(tmp_path, urls, names=("serving", "monitoring")) as replica:
        port = free_port()
        replica.start("serving-2", PREDICTION_PORT=str(port))
        second_url = f"http://127.0.0.1:{port}"
        poll_until(lambda: requests.get(f"{second_url}/readyz", timeout=2).ok, 30, "the second replica is ready")
        client = Client(second_url, seed=2)
        client.start()
        poll_until(lambda: len(client.answers) > 200, 30, "the second replica answers")
        client.finish()
        replica.kill("serving-2")
        replica.start("sidecar")
        check_kept(replica, urls, client)
