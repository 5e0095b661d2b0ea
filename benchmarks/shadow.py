"""What a shadow costs the replies: pairs of runs without and with one, on one replica with its monitoring.

    python -m benchmarks.shadow --stream var/census/splits/stream.jsonl

Requests come at a steady rate on average, and latency counts from when they were due. A run begins when everything
before it was delivered. Prints the 99th percentile of each run, the ratio of each pair and their median, and whether
every record got its second opinion; exits 1 above the promised ratio.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from benchmarks.open_loop import OpenLoop
from benchmarks.pinned_model import install_pinned_model, read_census
from benchmarks.processes import free_port, running
from event_backbone.case.files import find_case
from prediction_service.model_sync.shadow_model import SHADOW_POINTER

#: The median ratio of the 99th percentiles above which this benchmark fails.
MOST_RATIO = 1.15
_DELIVERED_WITHIN_S = 120.0


class Replica:
    """A server and its monitoring, which stay, and a sidecar for each run."""

    def __init__(self, state_dir: Path, stack: ExitStack) -> None:
        self.port, monitoring_port = free_port(), free_port()
        self.url, self.monitoring_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{monitoring_port}"
        self._env = {
            "CASE": "census",
            "STATE_DIR": str(state_dir),
            "LOG_LEVEL": "ERROR",
            "PREDICTION_PORT": str(self.port),
            "MONITORING_PORT": str(monitoring_port),
            "SINKS": self.monitoring_url,
            # A machine that stalls makes replies late here, and refuses none.
            "MAX_IN_FLIGHT": "200",
            "SERVER_THREADS": "220",
            # Nobody answers there: the pointers of the bundle store are what counts.
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        }
        stack.enter_context(running(["-m", "monitoring_service"], self._env, f"{self.monitoring_url}/readyz"))
        stack.enter_context(running(["-m", "prediction_service"], self._env, f"{self.url}/readyz"))

    @contextmanager
    def relayed(self, *, with_shadow: bool) -> Iterator[None]:
        """A sidecar that has delivered everything there was; also when it ends."""
        env = {**self._env, "SHADOW_ALIAS": "challenger" if with_shadow else ""}
        with running(["-m", "prediction_service", "sidecar"], env, f"{self.url}/readyz"):
            self._wait_until_delivered(1 + with_shadow)
            yield
            self._wait_until_delivered(1 + with_shadow)

    def _wait_until_delivered(self, sinks: int) -> None:
        deadline = time.monotonic() + _DELIVERED_WITHIN_S
        while time.monotonic() < deadline:
            found = asked(f"{self.url}/status")["sinks"]
            if len(found) == sinks and not any(sink["lag"] or sink["fault"] for sink in found.values()):
                return
            time.sleep(0.5)
        raise TimeoutError(f"not delivered within {_DELIVERED_WITHIN_S:g} s: {found}")

    def totals(self) -> Mapping[str, int]:
        totals: Mapping[str, int] = asked(f"{self.monitoring_url}/api/state")["totals"]
        return totals


def asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as response:
        return json.load(response)


def p99_ms(replica: Replica, bodies: list[bytes], rate_per_s: float, seconds: float, *, prefix: str) -> float:
    """One run; anything but an answer is an error."""
    outcome = asyncio.run(OpenLoop(replica.port, bodies).run(rate_per_s, seconds, seed=1, prefix=prefix))
    if outcome.broken or set(outcome.latencies_s) != {200}:
        raise RuntimeError(f"not every request was answered: {[*outcome.latencies_s]}, {outcome.broken} broken")
    return 1000 * outcome.quantile_s(200, 0.99)


def measure(stream: Path, pairs: int, rate_per_s: float, seconds: float) -> Iterator[tuple[float, float]]:
    """The 99th percentile without and with a shadow, in milliseconds, pair by pair; every other pair begins with it."""
    case = find_case("census", Path("cases"))
    records, labels = read_census(stream, case, limit=5000)
    bodies = [json.dumps(record).encode() for record in records]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bundles_dir = Path(folder) / "census" / "bundles"
        bundles_dir.mkdir(parents=True)
        install_pinned_model(bundles_dir, case, records, labels)
        install_pinned_model(bundles_dir, case, records[1000:], labels[1000:], pointer=SHADOW_POINTER)
        replica = Replica(Path(folder), stack)
        with replica.relayed(with_shadow=False):
            p99_ms(replica, bodies, rate_per_s, seconds / 2, prefix="warm")
        for pair in range(pairs):
            found = {}
            for with_shadow in (False, True) if pair % 2 == 0 else (True, False):
                with replica.relayed(with_shadow=with_shadow):
                    prefix = f"p{pair}-{int(with_shadow)}"
                    found[with_shadow] = p99_ms(replica, bodies, rate_per_s, seconds, prefix=prefix)
            yield found[False], found[True]
        with replica.relayed(with_shadow=True):
            totals = replica.totals()
        print(f"{totals['predictions']} records answered, {totals['shadows']} with a second opinion")
        if totals["shadows"] != totals["predictions"]:
            raise RuntimeError("some records have no second opinion")


@click.command()
@click.option("--stream", type=click.Path(path_type=Path, exists=True), required=True, help="records to send")
@click.option("--pairs", default=5, show_default=True)
@click.option("--rate", default=300.0, show_default=True, help="requests a second")
@click.option("--seconds", default=20.0, show_default=True, help="length of one run")
def main(stream: Path, pairs: int, rate: float, seconds: float) -> None:
    """The 99th percentile of replies with a shadow over that without."""
    ratios = []
    for without, with_shadow in measure(stream, pairs, rate, seconds):
        ratios.append(with_shadow / without)
        print(f"p99 without {without:7.2f} ms, with {with_shadow:7.2f} ms, ratio {ratios[-1]:.2f}", flush=True)
    median = statistics.median(ratios)
    print(f"median of {pairs} pairs {median:.2f}, at most {MOST_RATIO} promised")
    sys.exit(0 if median <= MOST_RATIO else 1)


if __name__ == "__main__":
    main()
