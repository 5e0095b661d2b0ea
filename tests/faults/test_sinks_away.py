"""Kafka and MongoDB, or the sidecar, are away for long: nobody who asks notices, and everything arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_figures import checked_by_the_command, note_figures, size
from full_stack import LONG, SEEDS, Urls, running_stack
from monitoring_process import children_of, poll_until
from real_parts import KafkaBroker, MongoServer
from reconciliation import check_kept
from replica import Replica
from steady_client import SteadyClient, percentile_s

RATE_PER_S = size("RATE_PER_S", short=300, long=300)
CALM_S, AWAY_S = size("CALM_S", short=6, long=60), size("AWAY_S", short=15, long=180)
DRAINED_WITHIN_S = 120 if LONG else 60
MEMORY_MAY_GROW_BYTES = 16 * 1024 * 1024
#: Below it, a difference says more about the machine than about us.
LATENCY_NOISE_S = 0.010 if LONG else 0.050


def close_the_ports(broker: KafkaBroker, mongo: MongoServer, _replica: Replica) -> None:
    broker.kill()
    mongo.stop()


def open_the_ports(broker: KafkaBroker, mongo: MongoServer, _replica: Replica) -> None:
    broker.start()
    mongo.start()


def freeze(broker: KafkaBroker, mongo: MongoServer, _replica: Replica) -> None:
    """Connections stay, and nobody answers."""
    broker.freeze()
    mongo.freeze()


def thaw(broker: KafkaBroker, mongo: MongoServer, _replica: Replica) -> None:
    broker.thaw()
    mongo.thaw()


def stop_the_sidecar(_broker: KafkaBroker, _mongo: MongoServer, replica: Replica) -> None:
    replica.freeze("sidecar")


def let_the_sidecar_go_on(_broker: KafkaBroker, _mongo: MongoServer, replica: Replica) -> None:
    replica.thaw("sidecar")


Step = Callable[[KafkaBroker, MongoServer, Replica], None]
SIDECAR_STOPPED = "sidecar stopped"
WAYS: dict[str, tuple[Step, Step]] = {
    "ports closed": (close_the_ports, open_the_ports),
    "never answering": (freeze, thaw),
    SIDECAR_STOPPED: (stop_the_sidecar, let_the_sidecar_go_on),
}


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


def wait_until_the_lag_is_told(replica: Replica) -> dict[str, int]:
    """A sidecar that is stopped says nothing: the replica itself says how far the sinks are behind."""

    def lags() -> dict[str, int]:
        return {name: sink["lag"] for name, sink in replica.status()["sinks"].items()}

    poll_until(lambda: min(lags().values()) > RATE_PER_S, 30, "/status tells the lag of every sink")
    return lags()


@pytest.mark.alone
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "way", ["ports closed", *(pytest.param(way, marks=pytest.mark.long) for way in WAYS if way != "ports closed")]
)
@pytest.mark.timeout(6000 if LONG else 240)
def test_requests_are_answered_as_ever_while_the_sinks_are_away(
    way: str, seed: int, own_urls: Urls, kafka_broker: KafkaBroker, mongo_server: MongoServer, tmp_path: Path
) -> None:
    go, come = WAYS[way]
    with running_stack(tmp_path, own_urls, names=("serving", "sidecar")) as replica:
        client = SteadyClient(replica.prediction_url, seed, rate_per_s=RATE_PER_S)
        client.start()
        try:
            time.sleep(4)
            calm = [(time.monotonic(), time.monotonic() + CALM_S)]
            time.sleep(CALM_S)
            wait_until_drained(replica)
            memory_before = memory_of(replica)
            go(kafka_broker, mongo_server, replica)
            away = (time.monotonic(), time.monotonic() + AWAY_S)
            time.sleep(AWAY_S)
            if way == SIDECAR_STOPPED:
                wait_until_the_lag_is_told(replica)
            else:
                wait_until_every_sink_is_named(replica)
            memory_after = memory_of(replica)
            come(kafka_broker, mongo_server, replica)
            drained_s = wait_until_drained(replica)
            calm.append((time.monotonic(), time.monotonic() + CALM_S))
            time.sleep(CALM_S)
        finally:
            client.finish()
        p99_calm_s = percentile_s([one for period in calm for one in client.between(*period)], 0.99)
        p99_away_s = percentile_s(client.between(*away), 0.99)
        grown = {name: memory_after[name] - memory_before[name] for name in memory_before}
        assert {one.status for one in client.timed} == {200}
        assert p99_away_s <= 2 * p99_calm_s + LATENCY_NOISE_S
        assert all(growth <= MEMORY_MAY_GROW_BYTES for growth in grown.values())
        check_kept(replica, own_urls, client, timeout_s=DRAINED_WITHIN_S)
        note_figures(
            minutes=round(AWAY_S / 60, 2),
            rate_per_s=round(len(client.between(*away)) / AWAY_S),
            p99_calm_ms=round(p99_calm_s * 1000, 1),
            p99_away_ms=round(p99_away_s * 1000, 1),
            grown_mb=round(max(grown.values()) / 2**20, 1),
            drained_s=round(drained_s, 1),
            **checked_by_the_command(replica, [own_urls.mongo, own_urls.kafka], tmp_path, client),
        )
