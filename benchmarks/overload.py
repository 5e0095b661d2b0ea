"""Overload: an open loop at 1.5 times capacity, against the same at half capacity, in one run.

    python -m benchmarks.overload --stream var/census/splits/stream.jsonl

Holds that every answer is 200 or 503 with Retry-After, that the 99th percentile of the accepted ones is at most three
times that at half capacity, and that everything answered is in the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.open_loop import OpenLoop, Outcome
from benchmarks.pinned_model import install_pinned_model, read_census
from benchmarks.processes import free_port, running
from event_backbone.case.files import find_case
from prediction_service.journal.reader import JournalReader

#: The promise: p99 of the accepted requests at 1.5 times capacity over that at half capacity.
MOST_P99_RATIO = 3.0


def capacity_per_s(port: int, bodies: list[bytes], seconds: float) -> float:
    """Answers per second with 16 connections that never pause, measured with the same client as the rest."""
    asyncio.run(OpenLoop(port, bodies).run_closed(16, 2.0, prefix="warm"))
    return asyncio.run(OpenLoop(port, bodies).run_closed(16, seconds, prefix="capacity"))


def lost(journal: Path, outcome: Outcome) -> int:
    """Answered with 200 and not in the journal."""
    with contextlib.closing(JournalReader(journal)) as reader:
        return sum(reader.prediction(record_id) is None for record_id in outcome.answered_ids)


def report(name: str, outcome: Outcome) -> None:
    statuses = {status: outcome.count(status) for status in sorted(outcome.latencies_s)}
    p50, p99 = (outcome.quantile_s(200, share) * 1000 for share in (0.5, 0.99))
    print(f"{name:14} {statuses}  accepted p50 {p50:.2f} ms, p99 {p99:.2f} ms, broken {outcome.broken}", flush=True)


def measure(stream: Path, seconds: float, seed: int) -> bool:
    case = find_case("census", Path("cases"))
    with tempfile.TemporaryDirectory() as folder:
        state_dir, port = Path(folder), free_port()
        records, labels = read_census(stream, case, limit=5000)
        bodies = [json.dumps(record).encode() for record in records]
        (state_dir / "census" / "bundles").mkdir(parents=True)
        install_pinned_model(state_dir / "census" / "bundles", case, records, labels)
        env = {"CASE": "census", "STATE_DIR": folder, "PREDICTION_PORT": str(port), "LOG_LEVEL": "ERROR"}
        with running(["-m", "prediction_service"], env, f"http://127.0.0.1:{port}/readyz"):
            capacity = capacity_per_s(port, bodies, 6.0)
            print(f"capacity       {capacity:.0f} answers/s", flush=True)
            half = asyncio.run(OpenLoop(port, bodies).run(capacity / 2, seconds, seed=seed, prefix="half"))
            report("0.5 x capacity", half)
            over = asyncio.run(OpenLoop(port, bodies).run(capacity * 1.5, seconds, seed=seed, prefix="over"))
            report("1.5 x capacity", over)
            missing = lost(state_dir / "census" / "journals" / "00" / "journal.sqlite", over)
    ratio = over.quantile_s(200, 0.99) / half.quantile_s(200, 0.99)
    clean = set(over.latencies_s) <= {200, 503} and not (over.without_retry_after or over.broken or missing)
    bare = over.without_retry_after
    print(f"p99 ratio      {ratio:.2f}, answered and lost {missing}, 503 without Retry-After {bare}")
    return clean and ratio <= MOST_P99_RATIO


@click.command()
@click.option("--stream", type=click.Path(path_type=Path, exists=True), required=True, help="records to send")
@click.option("--seconds", default=30.0, show_default=True, help="length of each open loop")
@click.option("--seed", default=1, show_default=True)
def main(stream: Path, seconds: float, seed: int) -> None:
    """Latency and lost records at 1.5 times capacity; exits 1 when a promise is broken."""
    sys.exit(0 if measure(stream, seconds, seed) else 1)


if __name__ == "__main__":
    main()
