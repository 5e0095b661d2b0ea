"""The summary of a run, for people and for programs."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from stream_generator.sending.tally import RunTotals


class LatencyMs(Struct, frozen=True):
    p50: float | None
    p99: float | None


class ScenarioRun(Struct, frozen=True):
    """The injected scenario; ``start_index`` is the first record it may have changed."""

    name: str
    start_index: int
    columns: list[str]


class Summary(Struct, frozen=True):
    """What ``--summary`` writes. ``asked`` is ``None`` for a stream without end."""

    run_id: str
    seed: int
    asked: int | None
    sent: int
    answered: int
    failed: int
    labels_sent: int
    labels_failed: int
    seconds: float
    records_per_s: float
    latency_ms: LatencyMs
    scenario: ScenarioRun
    faults: dict[str, int]
    interrupted: bool


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def summarize(
    totals: RunTotals,
    *,
    run_id: str,
    seed: int,
    asked: int | None,
    seconds: float,
    scenario: ScenarioRun,
    interrupted: bool,
) -> Summary:
    return Summary(
        run_id=run_id,
        seed=seed,
        asked=asked,
        sent=totals.sent,
        answered=totals.answered,
        failed=totals.failed,
        labels_sent=totals.labels_sent,
        labels_failed=totals.labels_failed,
        seconds=round(seconds, 3),
        records_per_s=round(totals.sent / seconds, 1) if seconds > 0 else 0.0,
        latency_ms=LatencyMs(_milliseconds(totals.p50_s), _milliseconds(totals.p99_s)),
        scenario=scenario,
        faults=totals.faults,
        interrupted=interrupted,
    )


def write_summary(summary: Struct, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")


def _as_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def summary_lines(summary: Summary) -> list[str]:
    latency = summary.latency_ms
    lines = [
        f"run        {summary.run_id}, seed {summary.seed}{', interrupted' if summary.interrupted else ''}",
        f"records    {summary.sent} sent, {summary.answered} answered, {summary.failed} failed",
        f"labels     {summary.labels_sent} sent, {summary.labels_failed} failed",
        f"latency    p50 {_as_text(latency.p50)} ms, p99 {_as_text(latency.p99)} ms, from due to answered",
        f"time       {summary.seconds:.1f} s, {summary.records_per_s:.0f} records/s",
    ]
    if summary.scenario.name != "none":
        lines.append(f"scenario   {summary.scenario.name}, from record {summary.scenario.start_index}")
    return lines + [f"failed     {number} with {reason}" for reason, number in sorted(summary.faults.items())]
