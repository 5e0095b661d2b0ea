"""What monitoring costs: an evaluation beside an Evidently run, an event, the whole service at a rate, and its memory.

    python -m benchmarks.monitoring --records 1000000
    python -m benchmarks.monitoring --quick

Real records of the stream split against the reference of the current bundle. Every number that is promised is printed
with its limit, and one that is missed makes the exit code 1.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.monitoring_evaluation import WINDOW_ROWS, evaluation_s, preset_s
from benchmarks.monitoring_ingestion import ingestion_us
from benchmarks.monitoring_load import RunningMonitor, running_monitor
from benchmarks.monitoring_stream import Stream
from event_backbone.settings import Settings, read_settings

RATE_PER_S, BATCHES_PER_S = 1000, 10
INGESTION_RUNS = 3
#: Records a request while memory is looked at, where only their number counts.
LARGE_BATCH = 1000
#: Records until every table and buffer has its size.
WARM_UP_RECORDS = 100_000
GROWTH_PER_RECORDS = 100_000

#: What is promised.
LARGEST_EVALUATION_SHARE = 1 / 15
MOST_INGESTION_US = 50.0
MOST_CPU_PERCENT = 20.0
MOST_RESIDENT_MB = 350.0
MOST_GROWTH_MB = 1.0


@dataclass
class Findings:
    """Prints each number as it is measured."""

    missed: int = 0

    def show(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        is_missed = limit is not None and value > limit
        self.missed += is_missed
        promise = "" if limit is None else f"   at most {limit:.4g}{'   MISSED' if is_missed else ''}"
        print(f"  {name:<58} {value:>9.4g} {unit:<10}{promise}", flush=True)


def show_evaluation(findings: Findings, settings: Settings, stream: Stream, rounds: int) -> None:
    print(f"one evaluation: {len(stream.case.columns)} columns, window of {WINDOW_ROWS} rows")
    preset = preset_s(settings, stream, max(3, rounds // 10))
    findings.show("Evidently's drift preset", preset * 1e3, "ms")
    for name, with_scores in (("without Evidently's scores", False), ("with them", True)):
        ours = evaluation_s(settings, stream, rounds, with_scores=with_scores)
        findings.show(f"ours, {name}", ours * 1e3, "ms")
        findings.show(f"ours, {name}, of the preset's time", ours / preset, "", LARGEST_EVALUATION_SHARE)


def show_ingestion(findings: Findings, settings: Settings, stream: Stream, records: int) -> None:
    batch = RATE_PER_S // BATCHES_PER_S
    print(f"one record, {batch} a request, median of {INGESTION_RUNS}")
    runs = [ingestion_us(settings, stream, records, batch) for _ in range(INGESTION_RUNS)]
    intake, whole = (statistics.median(metric_values) for metric_values in zip(*runs, strict=True))
    findings.show("kept, and in the windows", intake, "us")
    findings.show("the same with the stream detectors", whole, "us", MOST_INGESTION_US)


def show_load(findings: Findings, monitor: RunningMonitor, stream: Stream, seconds: float) -> None:
    print(f"{RATE_PER_S} records a second over HTTP, {BATCHES_PER_S} requests a second, {seconds:g} s; of one core")
    shares = monitor.cpu_shares(stream, seconds, RATE_PER_S, BATCHES_PER_S)
    findings.show("process that takes events", shares.ingest * 100, "%")
    findings.show("evaluator", shares.evaluator * 100, "%")
    findings.show("both", shares.whole * 100, "%", MOST_CPU_PERCENT)
    findings.show("Evidently's reports, beside them", shares.reports * 100, "%")


def show_memory(findings: Findings, monitor: RunningMonitor, stream: Stream, records: int) -> None:
    """Growth is counted after the first records; with too few for that it is not told."""
    print(f"memory of the process that takes events, over {records} records")
    bodies, resident = stream.bodies(LARGE_BATCH), [monitor.resident_mb]
    warm_mb = None
    for fed in range(LARGE_BATCH, records + 1, LARGE_BATCH):
        monitor.feed(next(bodies))
        if fed % (GROWTH_PER_RECORDS // 4) == 0:
            resident.append(monitor.resident_mb)
        if fed == WARM_UP_RECORDS:
            warm_mb = monitor.resident_mb
    monitor.wait_until_checked()
    resident.append(monitor.resident_mb)
    findings.show("largest", max(resident), "MB", MOST_RESIDENT_MB)
    if warm_mb is not None and records > WARM_UP_RECORDS:
        growth = (resident[-1] - warm_mb) / ((records - WARM_UP_RECORDS) / GROWTH_PER_RECORDS)
        findings.show(f"growth in {GROWTH_PER_RECORDS} records", growth, "MB", MOST_GROWTH_MB)


@click.command()
@click.option("--quick", is_flag=True, help="a minute: fewer rounds, a shorter load, 50,000 records")
@click.option("--records", type=click.IntRange(min=LARGE_BATCH), help="fed for memory  [default: 1000000]")
@click.option("--seconds", type=click.FloatRange(min=1), help="of the load  [default: 60]")
def main(quick: bool, records: int | None, seconds: float | None) -> None:
    """Measure what monitoring costs; exit with 1 when a promised number is missed."""
    os.environ["DO_NOT_TRACK"] = "true"
    settings = read_settings(Settings)
    stream, findings = Stream(settings, settings.load_case()), Findings()
    # Before Evidently is loaded: it isn't where events are taken in, and its many objects are looked through with ours.
    show_ingestion(findings, settings, stream, 20_000 if quick else 100_000)
    show_evaluation(findings, settings, stream, 30 if quick else 200)
    with tempfile.TemporaryDirectory() as folder, running_monitor(settings, Path(folder)) as monitor:
        for _, body in zip(range(5), stream.bodies(LARGE_BATCH), strict=False):
            monitor.feed(body)
        monitor.wait_until_checked()
        show_load(findings, monitor, stream, seconds or (10 if quick else 60))
        show_memory(findings, monitor, stream, records or (50_000 if quick else 1_000_000))
    if findings.missed:
        print(f"{findings.missed} promised numbers were missed")
        sys.exit(1)


if __name__ == "__main__":
    main()
