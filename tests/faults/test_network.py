"""Connections to the sinks that are slow, cut, torn or silent: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fault_figures import checked_by_the_command, note_figures, size
from full_stack import LONG, SEEDS, Urls, running_stack
from monitoring_process import poll_until
from real_parts import KafkaBroker, MongoServer, Proxy, Toxiproxy
from reconciliation import check_kept
from replica import Client

#: Toxic → its attributes: times in ms, sizes in bytes.
TOXICS: dict[str, dict[str, int]] = {
    "latency": {"latency": 400, "jitter": 200},
    "bandwidth": {"rate": 20},
    "slicer": {"average_size": 64, "size_variation": 32, "delay": 200},
    "limit_data": {"bytes": 20_000},
    "timeout": {"timeout": 700},
    "reset_peer": {"timeout": 300},
}
EACH_FOR_S = 10.0 if LONG else 2.0
#: Connections to MongoDB that are cut in the middle of something, in each direction.
CUTS = int(size("CUTS", short=6, long=60))
#: From within the first header of a message to behind a whole bulk write of 100 rows.
CUT_BETWEEN_BYTES = (1, 60_000)


@pytest.fixture
def mongo_proxy(toxiproxy: Toxiproxy, mongo_server: MongoServer) -> Iterator[Proxy]:
    proxy = toxiproxy.proxy(mongo_server.port)
    yield proxy
    proxy.remove()


@pytest.fixture
def kafka_proxy(toxiproxy: Toxiproxy, kafka_broker: KafkaBroker) -> Iterator[Proxy]:
    proxy = toxiproxy.proxy(kafka_broker.proxied_port, kafka_broker.advertised_port)
    yield proxy
    proxy.remove()


@pytest.mark.long
@pytest.mark.parametrize("stream", ["downstream", "upstream"])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(400)
def test_bad_connections_to_both_sinks_lose_nothing_and_double_nothing(
    kafka_proxy: Proxy,
    mongo_proxy: Proxy,
    own_urls: Urls,
    seed: int,
    stream: str,
    tmp_path: Path,
) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    badly = [through(proxy, url) for proxy, url in ((mongo_proxy, own_urls.mongo), (kafka_proxy, own_urls.kafka))]
    settings = {"SINKS": ",".join(badly), "SINK_TIMEOUT_S": "2", "RELAY_BATCH_ROWS": "100"}
    names = ("serving", "sidecar", "monitoring")
    with running_stack(tmp_path, own_urls, names=names, **settings) as replica:
        client = Client(replica.prediction_url, seed)
        client.start()
        try:
            for kind in rng.sample(sorted(TOXICS), len(TOXICS)):
                for proxy in (kafka_proxy, mongo_proxy):
                    proxy.add(kind, stream=stream, **TOXICS[kind])
                time.sleep(EACH_FOR_S)
                for proxy in (kafka_proxy, mongo_proxy):
                    proxy.clear()
                    proxy.cut()
                time.sleep(0.3)
                for proxy in (kafka_proxy, mongo_proxy):
                    proxy.restore()
                poll_until(lambda: not any(away(replica.status())), 60, f"the sinks are reached again after {kind}")
        finally:
            client.finish()
        check_kept(replica, own_urls, client)
        assert all(sink["parked"] == 0 for sink in replica.status()["sinks"].values())


def through(proxy: Proxy, url: str) -> str:
    """The same URL at the proxy's port."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"127.0.0.1:{proxy.port}").geturl()


def away(status: dict[str, dict[str, dict[str, object]]]) -> list[bool]:
    return [bool(sink["fault"]) for sink in status["sinks"].values()]


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(3600 if LONG else 400)
def test_a_mongodb_that_goes_in_the_middle_of_a_bulk_write_keeps_each_row_once(
    mongo_proxy: Proxy, own_urls: Urls, seed: int, tmp_path: Path
) -> None:
    """A failover as a client sees it: the connection ends after the n-th byte, of the write or of its answer."""
    rng = random.Random(seed)
    settings = {
        "SINKS": f"{through(mongo_proxy, own_urls.mongo)},{own_urls.kafka}",
        "SINK_TIMEOUT_S": "2",
        "RELAY_BATCH_ROWS": "100",
    }
    with running_stack(tmp_path, own_urls, names=("serving", "sidecar", "monitoring"), **settings) as replica:
        client = Client(replica.prediction_url, seed)
        client.start()
        try:
            for number in range(2 * CUTS):
                cut_after(mongo_proxy, rng, "upstream" if number % 2 else "downstream")
                poll_until(lambda: not any(away(replica.status())), 60, f"MongoDB is reached again after cut {number}")
        finally:
            client.finish()
        check_kept(replica, own_urls, client)
        assert all(sink["parked"] == 0 for sink in replica.status()["sinks"].values())
        note_figures(
            cuts=2 * CUTS, **checked_by_the_command(replica, [own_urls.mongo, own_urls.kafka], tmp_path, client)
        )


def cut_after(proxy: Proxy, rng: random.Random, stream: str) -> None:
    """Each new connection ends behind some byte, for a moment; the logarithm spreads cuts over small and large."""
    first, last = CUT_BETWEEN_BYTES
    size_bytes = int(first * (last / first) ** rng.random())
    proxy.add("limit_data", stream=stream, bytes=size_bytes)
    time.sleep(rng.uniform(0.3, 1.0))
    proxy.clear()
    proxy.cut()
    proxy.restore()
