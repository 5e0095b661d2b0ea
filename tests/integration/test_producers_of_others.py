"""Real clients of others, with every codec, in transactions and outside, through worker, monitoring and a replay.

Every committed valid record is predicted and counted exactly once, every other one is named, and nothing that a
transaction aborted leaves a trace.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from foreign_producers import CLIENTS, made_plan, seed_of
from full_stack import Urls, make_topics, running_stack
from monitoring_process import PATIENCE, poll_until
from reconciliation import TopicReader, check_kept
from record_producer import bootstrap_of, topic_of
from recorded_topics import recorded
from replica import Replica


@pytest.fixture
def urls(kafka_url: str, mongo_url: str, kafka_namespace: str, mongo_database: str) -> Urls:
    made = Urls(f"{kafka_url}/{kafka_namespace}", f"{mongo_url}/{mongo_database}")
    make_topics(made.kafka)
    return made


def check_all(client: str, messages: int, urls: Urls, folder: Path) -> None:
    plan = made_plan(client, messages, seed_of(client))
    topic = topic_of(urls.kafka, "records")
    CLIENTS[client](plan, bootstrap_of(urls.kafka), topic, folder)
    with running_stack(folder, urls, names=("worker", "monitoring"), WORKER_MAX_INVALID_IN_A_ROW="1000") as replica:
        timeout_s = 60 * PATIENCE if messages > 1000 else 60
        check_kept(replica, urls, produced=plan.valid, acknowledged=set(plan.valid), timeout_s=timeout_s)
        check_named(plan.invalid, urls)
        poll_until(lambda: replica.monitoring_totals()["rejected_records"] == len(plan.invalid), 30, "they are counted")
        check_read_to_the_end(replica, urls)
        ids = [item.record_id for item in recorded(urls.kafka, folder / "cases")]
    assert sorted(map(str, ids)) == sorted([*plan.valid, *(key.decode() for key in plan.invalid)])


def check_named(invalid: set[bytes], urls: Urls) -> None:
    """Each is one dead letter, and nothing else is."""
    letters = TopicReader(urls.kafka, "dead-letters")
    try:
        poll_until(lambda: len(letters.read_to_the_end()) >= len(invalid), 30, "every invalid message is named")
        found = [letter.key for letter in letters.read_to_the_end()]
    finally:
        letters.close()
    assert sorted(found) == sorted(invalid)


def check_read_to_the_end(replica: Replica, urls: Urls) -> None:
    """A topic may end with what no reader is given: the worker is not late for that."""

    def lag() -> object:
        return requests.get(f"{replica.url_of('worker')}/status", timeout=5).json()["lag"]

    wanted = {topic_of(urls.kafka, kind): {"records": 0, "seconds": 0.0} for kind in ("records", "labels")}
    poll_until(lambda: lag() == wanted, 30, "nothing is left to read")
    ready = requests.get(f"{replica.url_of('worker')}/readyz", timeout=5)
    assert (ready.status_code, ready.json()["faults"]) == (200, {})


@pytest.mark.timeout(240)
@pytest.mark.parametrize("client", ["librdkafka", "aiokafka"])
def test_what_others_commit_is_predicted_and_counted_once_whatever_they_compress_by(
    client: str, urls: Urls, tmp_path: Path
) -> None:
    check_all(client, 500, urls, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("client", CLIENTS)
def test_ten_thousand_records_of_each_client(client: str, urls: Urls, tmp_path: Path) -> None:
    check_all(client, 10_000, urls, tmp_path)
