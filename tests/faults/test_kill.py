"""SIGKILL in the middle of a stream: whatever was answered or acknowledged is stored, published and counted once."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from fault_figures import checked_by_the_command, note_figures, size
from full_stack import LONG, SEEDS, Urls, running_stack
from monitoring_process import children_of, is_running, poll_until
from real_parts import KafkaBroker
from reconciliation import check_kept
from record_producer import RecordProducer
from replica import Client, Replica, check_books, direct_children_of, running_replica
from serving_world import install_champion

#: One round kills each of them once; the long form makes more than a hundred kills.
ROUNDS = int(size("ROUNDS", short=1, long=15))


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    """The embedded default: monitoring is the only sink."""
    install_champion(tmp_path / "state", tmp_path / "cases")
    with running_replica(tmp_path / "state", tmp_path / "cases") as running:
        yield running


def kill_serving_worker(replica: Replica) -> None:
    """Its parent starts another by itself."""
    replica.kill_worker("serving")


def kill_serving_parent(replica: Replica) -> None:
    [worker] = direct_children_of(replica.processes["serving"].pid)
    replica.kill("serving")
    poll_until(lambda: not is_running(worker), 5, "the worker died with its parent")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{replica.prediction_url}/livez", timeout=2)
    replica.start("serving")


def kill_sidecar(replica: Replica) -> None:
    replica.kill("sidecar")
    replica.start("sidecar")


def kill_monitoring_worker(replica: Replica) -> None:
    replica.kill_worker("monitoring")


def kill_monitoring_parent(replica: Replica) -> None:
    pids = children_of(replica.processes["monitoring"].pid)
    replica.kill("monitoring")
    poll_until(lambda: not any(is_running(pid) for pid in pids), 60, "worker and evaluator died with their parent")
    replica.start("monitoring")


def kill_worker(replica: Replica) -> None:
    replica.kill("worker")
    replica.start("worker")


PROCESS_KILLS = [
    kill_serving_worker,
    kill_serving_parent,
    kill_sidecar,
    kill_monitoring_worker,
    kill_monitoring_parent,
    kill_worker,
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(3600 if LONG else 300)
def test_whatever_is_killed_nothing_is_lost_and_nothing_is_there_twice(
    own_urls: Urls, kafka_broker: KafkaBroker, seed: int, tmp_path: Path
) -> None:
    def kill_broker(_replica: Replica) -> None:
        kafka_broker.kill()
        time.sleep(rng.uniform(0, 2))
        kafka_broker.start()

    print(f"seed {seed}")
    rng = random.Random(seed)
    with running_stack(tmp_path, own_urls) as replica:
        client, producer = Client(replica.prediction_url, seed), RecordProducer(own_urls.kafka, seed)
        client.start()
        producer.start()
        try:
            for _ in range(ROUNDS):
                kill_each(replica, [*PROCESS_KILLS, kill_broker], rng, client)
        finally:
            client.finish()
            producer.finish()
        books = {"produced": producer.records, "acknowledged": producer.acknowledged}
        stored = check_kept(replica, own_urls, client, **books, timeout_s=120)
        assert replica.monitoring_totals()["conflicts"] == 0
        assert len(client.answers) > 200
        assert len(producer.acknowledged) > 200
        checked = checked_by_the_command(replica, [own_urls.mongo, own_urls.kafka], tmp_path, client)
        note_figures(kills=ROUNDS * (len(PROCESS_KILLS) + 1), **checked, stored=len(stored))


def kill_each(replica: Replica, kills: list[Callable[[Replica], None]], rng: random.Random, client: Client) -> None:
    """In a random order, at random moments; what was killed is back before the next one."""
    for kill in rng.sample(kills, len(kills)):
        time.sleep(rng.uniform(0.5, 1.5))
        print(f"after {len(client.answers)} answers: {kill.__name__}")
        kill(replica)
        replica.wait_until_ready()


@pytest.mark.timeout(120)
def test_predictions_go_on_while_monitoring_is_away_and_are_counted_when_it_returns(replica: Replica) -> None:
    client = Client(replica.prediction_url, seed=5)
    client.start()
    try:
        replica.kill("monitoring")
        answered = len(client.answers)
        poll_until(lambda: len(client.answers) > answered + 100, 30, "records are answered without monitoring")
        assert requests.get(f"{replica.prediction_url}/readyz", timeout=5).ok
        poll_until(lambda: replica.status()["sinks"]["monitoring"]["fault"], 30, "/status names the sink that is away")
        replica.start("monitoring")
        replica.wait_until_ready()
    finally:
        client.finish()
    check_books(client, replica)


@pytest.mark.timeout(120)
def test_sigterm_loses_nothing(replica: Replica) -> None:
    client = Client(replica.prediction_url, seed=6)
    client.start()
    try:
        time.sleep(1)
        replica.processes["serving"].send_signal(signal.SIGTERM)
        assert replica.processes["serving"].wait(15) == 0
        replica.start("serving")
        replica.wait_until_ready()
    finally:
        client.finish()
    check_books(client, replica)


@pytest.mark.timeout(120)
def test_a_worker_that_is_killed_again_and_again_is_replaced_each_time(replica: Replica) -> None:
    for _ in range(4):
        for name in ("serving", "monitoring"):
            replica.kill_worker(name)
        replica.wait_until_ready()
    assert all(process.poll() is None for process in replica.processes.values())
