"""A start needs nobody: without Kafka, MongoDB and MLflow the last good bundle serves, and all arrives later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from full_stack import EVERYTHING, Urls, make_topics, settings_for
from kept_books import check_kept
from monitoring_process import poll_until
from real_parts import KafkaBroker, MongoServer, remove_folder
from replica import Client, Replica
from serving_world import install_champion

READY_WITHIN_S = 5.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    part = KafkaBroker(tmp_path / "kafka")
    yield part
    remove_folder(part)


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[MongoServer]:
    part = MongoServer(tmp_path / "mongo")
    yield part
    remove_folder(part)


@pytest.fixture
def replica(broker: KafkaBroker, mongo: MongoServer, tmp_path: Path) -> Iterator[Replica]:
    install_champion(tmp_path / "state", tmp_path / "cases")
    made = Replica(
        tmp_path / "state", tmp_path / "cases", names=EVERYTHING, **settings_for(Urls(broker.url, mongo.url))
    )
    yield made
    made.stop()
    print(made.logs())


@pytest.mark.timeout(180)
def test_a_start_needs_nobody_and_everything_arrives_when_they_come(
    broker: KafkaBroker, mongo: MongoServer, replica: Replica
) -> None:
    started_at = time.monotonic()
    replica.start("serving")
    poll_until(lambda: requests.get(f"{replica.prediction_url}/readyz", timeout=2).ok, 30, "the server is ready")
    assert time.monotonic() - started_at < READY_WITHIN_S
    for name in ("sidecar", "monitoring", "worker"):
        replica.start(name)
    replica.wait_until_ready()
    client = Client(replica.prediction_url, seed=1)
    client.start()
    try:
        poll_until(lambda: all(who_is_away(replica).values()), 60, "/status names who is away")
        assert set(who_is_away(replica)) == {"mongodb", "kafka", "registry"}
        assert requests.get(f"{replica.prediction_url}/readyz", timeout=2).ok
        mongo.start()
        broker.start()
        make_topics(broker.url)
        poll_until(lambda: not who_is_away(replica)["kafka"], 60, "the sidecar reaches Kafka")
    finally:
        client.finish()
    check_kept(replica, Urls(broker.url, f"{mongo.url}/streamgauge"), client)
    assert not who_is_away(replica)["mongodb"]


def who_is_away(replica: Replica) -> dict[str, Any]:
    status = replica.status()
    sinks = {name: sink["fault"] for name, sink in status["sinks"].items()}
    return {**sinks, "registry": status["registry"]["fault"]}
