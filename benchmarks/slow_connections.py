"""Latency beside connections that send slowly or nothing, against the same without them, in one run.

    python -m benchmarks.slow_connections --stream var/census/splits/stream.jsonl

A hundred connections without a key and thirty with one announce a body, send a byte of it, and no more. Holds that the
99th percentile of others' ``/predict`` is at most twice the undisturbed, and that probes answer within 100 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.open_loop import OpenLoop, Outcome
from benchmarks.pinned_model import install_pinned_model, read_census
from benchmarks.processes import free_port, running
from event_backbone.case.files import find_case
from event_backbone.guards.api_keys import line_for, new_key

#: The promises: p99 beside slow connections over that without them, and the slowest probe.
MOST_P99_RATIO, SLOWEST_PROBE_S = 2.0, 0.1
STRANGERS, HOLDERS = 100, 30
#: Opened over so long, as they come: all at the same moment they would be a crowd, not slow ones.
_OPENED_OVER_S = 1.0


@contextlib.contextmanager
def slow_connections(port: int, key: str) -> Iterator[None]:
    """All of them, to the paths that a stranger may try, kept open."""
    firsts = ["POST /predict", "GET /", "GET /livez", "POST /"]
    heads = [f"{firsts[number % len(firsts)]} HTTP/1.1" for number in range(STRANGERS)]
    heads += [f"POST /predict HTTP/1.1\r\nX-API-Key: {key}"] * HOLDERS
    with contextlib.ExitStack() as stack:
        for head in heads:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(f"{head}\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{{".encode())
            time.sleep(_OPENED_OVER_S / len(heads))
        yield


@contextlib.contextmanager
def probing(url: str, seconds: list[float]) -> Iterator[None]:
    """How long each probe took, ten a second."""
    ended = threading.Event()

    def probe() -> None:
        while not ended.wait(0.1):
            started = time.perf_counter()
            with urllib.request.urlopen(url, timeout=30) as response:
                response.read()
            seconds.append(time.perf_counter() - started)

    prober = threading.Thread(target=probe)
    prober.start()
    try:
        yield
    finally:
        ended.set()
        prober.join()


def measure(stream: Path, rate: float, seconds: float, rounds: int) -> bool:
    case, port, key = find_case("census", Path("cases")), free_port(), new_key()
    p99s: dict[str, list[float]] = {"undisturbed": [], "disturbed": []}
    probes: list[float] = []
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        state_dir, keys = Path(folder), Path(folder) / "keys"
        keys.write_text(line_for("bench", key) + "\n")
        records, labels = read_census(stream, case, limit=5000)
        bodies = [json.dumps(record).encode() for record in records]
        (state_dir / "census" / "bundles").mkdir(parents=True)
        install_pinned_model(state_dir / "census" / "bundles", case, records, labels)
        env = {"CASE": "census", "STATE_DIR": folder, "PREDICTION_PORT": str(port), "LOG_LEVEL": "ERROR"}
        with running(
            ["-m", "prediction_service"], env | {"API_KEYS_FILE": str(keys)}, f"http://127.0.0.1:{port}/readyz"
        ):

            def run(prefix: str) -> Outcome:
                client = OpenLoop(port, bodies, max_connections=16, api_key=key)
                return asyncio.run(client.run(rate, seconds, seed=1, prefix=prefix))

            run("warm")
            for number in range(rounds):
                quiet = run(f"undisturbed-{number}")
                with slow_connections(port, key), probing(f"http://127.0.0.1:{port}/readyz", probes):
                    beside = run(f"disturbed-{number}")
                for name, outcome in (("undisturbed", quiet), ("disturbed", beside)):
                    p99s[name].append(outcome.quantile_s(200, 0.99))
                    refused += outcome.broken + sum(map(len, outcome.latencies_s.values())) - outcome.count(200)
    quiet_s, beside_s = (statistics.median(p99s[name]) for name in ("undisturbed", "disturbed"))
    print(f"p99 undisturbed {quiet_s * 1000:.2f} ms, beside slow connections {beside_s * 1000:.2f} ms")
    print(
        f"p99 ratio       {beside_s / quiet_s:.2f}, slowest probe {max(probes) * 1000:.0f} ms, not answered {refused}"
    )
    return beside_s / quiet_s <= MOST_P99_RATIO and max(probes) <= SLOWEST_PROBE_S and not refused


@click.command()
@click.option("--stream", type=click.Path(path_type=Path, exists=True), required=True, help="records to send")
@click.option("--rate", default=300.0, show_default=True, help="records per second")
@click.option("--seconds", default=10.0, show_default=True, help="length of each open loop")
@click.option("--rounds", default=5, show_default=True)
def main(stream: Path, rate: float, seconds: float, rounds: int) -> None:
    """p99 of others beside slow connections; exits 1 when a promise is broken."""
    sys.exit(0 if measure(stream, rate, seconds, rounds) else 1)


if __name__ == "__main__":
    main()
