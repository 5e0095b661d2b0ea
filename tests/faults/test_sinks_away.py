"""Kafka and MongoDB are away for minutes: nobody who asks for a prediction notices, and everything arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from full_stack import LONG, Urls, running_stack
from monitoring_process import children_of, poll_until
from real_parts import KafkaBroker, MongoServer
from reconciliation import check_kept
from replica import Replica
from steady_client import SteadyClient, percentile_s

RATE_PER_S = 300
CALM_S, AWAY_S = (60, 180) if LONG else (6, 15)
DRAINED_WITHIN_S = 60
MEMORY_MAY_GROW_BYTES = 32 * 1024 * 1024
#: Below it, a difference says more about the machine than about us.
LATENCY_NOISE_S = 0.010 if LONG else 0.050


def close_the_ports(broker: KafkaBroker, mongo: MongoServer) -> None:
    broker.kill()
    mongo.stop()


def open_the_ports(broker: KafkaBroker, mongo: MongoServer) -> None:
    broker.start()
    mongo.start()


def freeze(broker: KafkaBroker, mongo: MongoServer) -> None:
    """Connections stay, and nobody answers."""
    broker.freeze()
    mongo.freeze()


def thaw(broker: KafkaBroker, mongo: MongoServer) -> None:
    broker.thaw()
    mongo.thaw()


Step = Callable[[KafkaBroker, MongoServer], None]
WAYS = {"ports closed": (close_the_ports, open_the_ports), "never answering": (freeze, thaw)}


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{pid} is no process with memory")


def memory_of(replica: Replica) -> dict[str, int]:
    """The process that serves, and the sidecar."""
    [worker] = children_of(replica.processes["serving"].pid)
    pids = {"serving": worker, "sidecar": replica.processes["sidecar"].pid}
    return {name: resident_bytes(pid) for name, pid in pids.items()}


def wait_until_drained(replica: Replica) -> float:
    """Seconds until no sink is more than a second of records behind."""
    started_at = time.monotonic()
    poll_until(
        lambda: all(sink["lag"] < RATE_PER_S for sink in replica.status()["sinks"].values()),
        DRAINED_WITHIN_S,
        "the sinks have everything",
    )
    return time.monotonic() - started_at


def wait_until_every_sink_is_named(replica: Replica) -> dict[str, str]:
    """What ``/status`` says of the sinks that are away: a frozen one is found out after its time limit."""

    def faults() -> dict[str, str]:
        return {name: sink["fault"] for name, sink in replica.status()["sinks"].items()}

    poll_until(lambda: all(faults().values()), 30, "/status names every sink that is away")
    return faults()


@pytest.mark.alone
@pytest.mark.parametrize("way", ["ports closed", pytest.param("never answering", marks=pytest.mark.long)])
@pytest.mark.timeout(900 if LONG else 240)
def test_requests_are_answered_as_ever_while_the_sinks_are_away(
    way: str, own_urls: Urls, kafka_broker: KafkaBroker, mongo_server: MongoServer, tmp_path: Path
) -> None:
    go, come = WAYS[way]
    with running_stack(tmp_path, own_urls, names=("serving", "sidecar")) as replica:
        client = SteadyClient(replica.prediction_url, seed=1, rate_per_s=RATE_PER_S)
        client.start()
        try:
            time.sleep(4)
            calm = [(time.monotonic(), time.monotonic() + CALM_S)]
            time.sleep(CALM_S)
            wait_until_drained(replica)
            memory_before = memory_of(replica)
            go(kafka_broker, mongo_server)
            away = (time.monotonic(), time.monotonic() + AWAY_S)
            time.sleep(AWAY_S)
            faults = wait_until_every_sink_is_named(replica)
            memory_after = memory_of(replica)
            come(kafka_broker, mongo_server)
            drained_s = wait_until_drained(replica)
            calm.append((time.monotonic(), time.monotonic() + CALM_S))
            time.sleep(CALM_S)
        finally:
            client.finish()
        p99_calm_s = percentile_s([one for period in calm for one in client.between(*period)], 0.99)
        p99_away_s = percentile_s(client.between(*away), 0.99)
        grown = {name: memory_after[name] - memory_before[name] for name in memory_before}
        print(f"p99 {p99_calm_s * 1000:.1f} ms undisturbed, {p99_away_s * 1000:.1f} ms with the sinks away", end="; ")
        print(f"drained {drained_s:.1f} s after their return; memory grew by {grown} bytes; faults {faults}")
        assert {one.status for one in client.timed} == {200}
        assert p99_away_s <= 2 * p99_calm_s + LATENCY_NOISE_S
        assert all(growth <= MEMORY_MAY_GROW_BYTES for growth in grown.values())
        check_kept(replica, own_urls, client)
