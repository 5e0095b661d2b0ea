"""Records in Kafka → predictions in MongoDB and Kafka, through one worker process, on real servers.

    python -m benchmarks.kafka_worker --stream var/census/splits/stream.jsonl

Prints records per second with both sinks and with Kafka alone, and what one poisonous record in a hundred costs, as the
median over pairs that alternate. The records are in the topic before the worker starts; the rate is taken between the
first tenth and the end, so that neither the start nor the model's loading counts. The model is the pinned one. Servers,
worker and this program share the machine, and most of its time goes to the MongoDB server: a faster one gives more.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import click
import requests

from benchmarks.parts import Parts, real_parts
from benchmarks.pinned_model import install_pinned_model, read_census
from benchmarks.processes import free_port, running
from event_backbone.case.files import find_case
from event_backbone.case.schema import Case
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Message

LEAST_BOTH, LEAST_KAFKA, LEAST_POISONED_RATIO = 5000, 8000, 0.85
POISON = b'{"poison": true}'


def messages(topic: str, records: Sequence[Mapping[str, Any]], count: int, *, poison_every: int) -> Iterator[Message]:
    bodies = [json.dumps(record).encode() for record in records]
    for number, body in enumerate(islice(cycle(bodies), count)):
        is_poison = poison_every and number % poison_every == 0
        yield Message(topic, f"r-{number}".encode(), POISON if is_poison else body)


class Bench:
    def __init__(self, parts: Parts, state_dir: Path, case: Case, records: Sequence[Mapping[str, Any]]) -> None:
        self._parts = parts
        self._state_dir = state_dir
        self._case = case
        self._records = records
        self._runs = 0

    def rate(self, count: int, *, with_mongo: bool, poison_every: int = 0) -> float:
        """Good records a second through one worker."""
        self._runs += 1
        namespace = f"run{self._runs}"
        kafka_url = f"{self._parts.kafka_url}/{namespace}"
        topics = Topics(namespace, self._case.name)
        sent = messages(topics.records, self._records, count, poison_every=poison_every)
        self._parts.fill(kafka_url, self._case.name, sent)
        sinks = [f"{self._parts.mongo_url}/{namespace}"] if with_mongo else []
        good = count - (-(-count // poison_every) if poison_every else 0)
        port = free_port()
        env = {
            "CASE": self._case.name,
            "STATE_DIR": str(self._state_dir),
            "SINKS": ",".join([*sinks, kafka_url]),
            "WORKER_PORT": str(port),
            "LOG_LEVEL": "WARNING",
        }
        url = f"http://127.0.0.1:{port}"
        with running(["-m", "prediction_service", "worker"], env, f"{url}/livez"):
            return _rate_until(url, good)


def _rate_until(url: str, good: int) -> float:
    """Between the first look after a tenth and the last one before the end: a look costs the worker milliseconds."""
    looks: list[tuple[float, float]] = []
    deadline = time.monotonic() + 300
    with requests.Session() as session:
        while time.monotonic() < deadline:
            done, now = _answered(session, url), time.perf_counter()
            if done >= good:
                return _rate(looks)
            if done >= good / 10:
                looks.append((done, now))
            time.sleep(0.25)
    raise RuntimeError(f"not all of {good} records came through in time")


def _rate(looks: Sequence[tuple[float, float]]) -> float:
    (first_done, first_at), (last_done, last_at) = looks[0], looks[-1]
    return (last_done - first_done) / (last_at - first_at)


def _answered(session: requests.Session, url: str) -> float:
    for line in session.get(f"{url}/metrics", timeout=5).text.splitlines():
        if line.startswith("prediction_answered_total{"):
            return float(line.split()[1])
    return 0.0


@click.command()
@click.option("--stream", type=click.Path(path_type=Path, exists=True), required=True, help="records to send")
@click.option("--count", default=60_000, show_default=True, help="records in one run")
@click.option("--rounds", default=3, show_default=True, help="runs of each kind")
@click.option("--pairs", default=5, show_default=True, help="pairs with and without poison")
@click.option("--kafka", help="URL of a broker to use instead of starting one")
@click.option("--mongo", help="URL of a server to use instead of starting one")
def main(stream: Path, count: int, rounds: int, pairs: int, kafka: str | None, mongo: str | None) -> None:
    """Throughput of the Kafka worker; exits 1 below the promised rates."""
    case = find_case("census", Path("cases"))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        records, labels = read_census(stream, case, limit=5000)
        state_dir = Path(folder)
        (state_dir / "census" / "bundles").mkdir(parents=True)
        install_pinned_model(state_dir / "census" / "bundles", case, records, labels)
        bench = Bench(stack.enter_context(real_parts(state_dir / "parts", kafka, mongo)), state_dir, case, records)
        for _ in range(2):
            bench.rate(count, with_mongo=True)  # the servers' own compilers need some seconds of work
        both = [bench.rate(count, with_mongo=True) for _ in range(rounds)]
        alone = [bench.rate(count, with_mongo=False) for _ in range(rounds)]
        ratios = []
        for _ in range(pairs):
            clean = bench.rate(count // 2, with_mongo=True)
            ratios.append(bench.rate(count // 2, with_mongo=True, poison_every=100) / clean)
    print(f"both sinks   {statistics.median(both):8.0f} records/s  ({min(both):.0f} to {max(both):.0f})")
    print(f"Kafka alone  {statistics.median(alone):8.0f} records/s  ({min(alone):.0f} to {max(alone):.0f})")
    poisoned = statistics.median(ratios) if ratios else 1.0
    print(f"1 % poison   ratio of good ones {poisoned:.2f}  ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")
    fast = statistics.median(both) >= LEAST_BOTH and statistics.median(alone) >= LEAST_KAFKA
    sys.exit(0 if fast and poisoned >= LEAST_POISONED_RATIO else 1)


if __name__ == "__main__":
    main()
