"""The end of a run, and how far it is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from generator_world import FakeClock

from stream_generator.commands.progress import LINE_EVERY_S, BarProgress, PlainProgress
from stream_generator.commands.summary import ScenarioRun, Summary, summarize, summary_lines, write_summary
from stream_generator.sending.tally import Tally


def _tally() -> Tally:
    tally = Tally()
    for _ in range(8):
        tally.answered(0.002)
    tally.failed("503")
    tally.failed("503")
    tally.labels_sent(7)
    tally.labels_failed(1, "422")
    return tally


def _summary(tally: Tally, scenario: str = "shift") -> Summary:
    injected = ScenarioRun(scenario, 5, ["size"])
    return summarize(tally.totals(), run_id="r", seed=3, asked=10, seconds=2.0, scenario=injected, interrupted=False)


def test_the_file_says_what_the_run_check_reads(tmp_path: Path) -> None:
    write_summary(_summary(_tally()), tmp_path / "kept" / "sent.json")
    content = json.loads((tmp_path / "kept" / "sent.json").read_bytes())
    assert content["latency_ms"] == {"p50": pytest.approx(2.0, rel=0.01), "p99": pytest.approx(2.0, rel=0.01)}
    del content["latency_ms"]
    assert content == {
        "run_id": "r",
        "seed": 3,
        "asked": 10,
        "sent": 10,
        "answered": 8,
        "failed": 2,
        "labels_sent": 7,
        "labels_failed": 1,
        "seconds": 2.0,
        "records_per_s": 5.0,
        "scenario": {"name": "shift", "start_index": 5, "columns": ["size"]},
        "faults": {"503": 2, "labels 422": 1},
        "interrupted": False,
    }


def test_people_read_the_same() -> None:
    text = "\n".join(summary_lines(_summary(_tally())))
    assert "10 sent, 8 answered, 2 failed" in text
    assert "7 sent, 1 failed" in text
    assert "p50 2.0 ms, p99 2.0 ms" in text
    assert "shift, from record 5" in text
    assert "2 with 503" in text


def test_a_run_without_an_answer_has_no_latency_and_no_drift_is_not_mentioned() -> None:
    text = "\n".join(summary_lines(_summary(Tally(), scenario="none")))
    assert "p50 - ms" in text
    assert "scenario" not in text


def test_a_line_is_written_every_few_seconds() -> None:
    clock, out = FakeClock(), io.StringIO()
    with PlainProgress(20, clock, out) as progress:
        for _ in range(21):
            progress.show(10, _tally().totals().as_text())
            clock.time += LINE_EVERY_S / 10
    assert out.getvalue().splitlines() == ["10 of 20: 8 answered, 2 failed, 7 labels, p99 2 ms"] * 2


@pytest.mark.parametrize("total", [20, None])
def test_the_bar_shows_the_same_numbers(total: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    with BarProgress(total) as progress:
        progress.show(10, _tally().totals().as_text())
    shown = " ".join(capsys.readouterr().err.split())
    assert f"10/{total or '?'}" in shown
