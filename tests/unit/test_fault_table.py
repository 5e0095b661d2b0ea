"""The fault table: what is due next, books that add up, and a page that claims what was measured."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import fault_table
from tests.fault_table import SCENARIOS, Run, Scenario, append_run, due, next_seed, page, read_runs, spend

ROOT = Path(__file__).parents[2]
KILLS = SCENARIOS[0]
CHECKED = {"answered": 100, "lost": 0, "doubled": 0, "differing": 0, "repeated": 0}


def run_of(scenario: Scenario, seed: int = 1, made: float | None = None, **figures: Any) -> Run:
    """A run that made so much of its fault; a failed one without."""
    measured = None if made is None else {scenario.figure: made, **CHECKED, **figures}
    outcome = "failed" if made is None else "passed"
    return Run(scenario.name, seed, 10, outcome, "2026-01-31T08:00:00+00:00", 60.0, "abc", False, measured)


def test_books_add_up_between_runs_and_a_torn_line_costs_itself(tmp_path: Path) -> None:
    books = tmp_path / "table" / "books.jsonl"
    runs = [run_of(KILLS, 1, 7), run_of(KILLS, 2), run_of(KILLS, 3, 14)]
    for run in runs:
        append_run(books, run)
    with books.open("a") as file:
        file.write('{"scenario": "SIG')
    assert read_runs(books) == runs
    assert fault_table.done(KILLS, runs) == 21
    assert next_seed(KILLS, runs, 1) == 4
    assert next_seed(KILLS, runs, 100) == 100


def test_what_is_furthest_from_its_target_is_due_and_what_has_met_it_is_not() -> None:
    met = [run_of(scenario, 1, scenario.target) for scenario in SCENARIOS]
    assert due(met, 1e6) is None
    others = [run for run in met if run.scenario != KILLS.name]
    scenario, size = due([*others, run_of(KILLS, 1, KILLS.target - 7)], 1e6) or (None, 0)
    assert (scenario, size) == (KILLS, 1)


def test_a_run_is_as_large_as_the_time_allows_and_none_is_made_that_does_not_fit() -> None:
    assert due([], 60) is None or due([], 60)[0].fixed_s < 60  # type: ignore[index]
    assert KILLS.size_within(KILLS.fixed_s + 2.5 * KILLS.each_s, 1000) == 2
    assert KILLS.size_within(KILLS.fixed_s + 0.5 * KILLS.each_s, 1000) is None
    assert KILLS.size_within(1e9, 1000) == KILLS.largest


def test_a_machine_that_is_busy_gets_smaller_runs() -> None:
    quick, slow = (replace(run_of(KILLS), seconds=seconds) for seconds in (1, 3 * KILLS.seconds(10)))
    assert fault_table.slowness([quick]) == 1
    assert fault_table.slowness([slow]) == pytest.approx(3)
    assert fault_table.slowness([slow, *[quick] * 5]) == 1


def test_only_what_was_chosen_is_due() -> None:
    scenario, _ = due([], 1e6, SCENARIOS[3:4]) or (None, 0)
    assert scenario == SCENARIOS[3]
    assert due([run_of(SCENARIOS[3], 1, SCENARIOS[3].target)], 1e6, SCENARIOS[3:4]) is None


def test_what_was_cut_off_says_nothing() -> None:
    assert "| 0, 0 | - | - | - |" in page([replace(run_of(KILLS), outcome="cut off")])


def test_what_failed_comes_again_when_the_others_had_their_turn() -> None:
    first, _ = due([], 1e6) or (None, 0)
    assert first is not None
    second, _ = due([run_of(first)], 1e6) or (None, 0)
    assert second is not None
    assert second != first
    assert [one for one in SCENARIOS if due([run_of(other) for other in SCENARIOS if other != one], 1e6)[0] == one] == [  # type: ignore[index]
        *SCENARIOS
    ]


def test_a_failed_run_is_booked_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.0, 1e6])
    monkeypatch.setattr(fault_table.time, "monotonic", lambda: next(times))
    books = tmp_path / "books.jsonl"
    assert spend(60, 5, books=books, run=lambda scenario, size, seed, timeout_s: run_of(scenario, seed)) == 1
    [run] = read_runs(books)
    assert (run.seed, run.figures) == (5, None)
    assert "| 0, 1 | 5 | - | - |" in page([run])


def test_the_page_says_what_was_made_of_each_target() -> None:
    assert "0 runs never" in page([])
    away = next(one for one in SCENARIOS if one.figure == "minutes")
    figures = {"rate_per_s": 500, "p99_calm_ms": 10.0, "p99_away_ms": 11.0, "grown_mb": 3.5, "drained_s": 20.0}
    written = page([run_of(KILLS, 1, 7), run_of(KILLS, 2, 7), run_of(away, 3, 3, **figures)])
    assert "| 14 of 1,000 kills | 2, 0 | 1, 2 | 200 | 0, 0, 0 |" in written
    assert "| 3 | 500/s | 10, 11 ms | 1.10 | +3.5 MB | 20 s | 3 | normal |" in written


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_scenario_is_a_test_that_takes_its_size_and_notes_its_figure(scenario: Scenario) -> None:
    path, _, name = scenario.test.partition("::")
    text = (ROOT / path).read_text()
    functions = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert name.partition("[")[0] in functions
    assert f'size("{scenario.setting}"' in text
    assert re.search(rf"\b{scenario.figure}=", text)
