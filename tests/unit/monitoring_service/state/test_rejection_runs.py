"""A stream of which nothing passes is told about, although no window is due."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring_bench import Bench
from monitoring_world import START, enveloped

from event_backbone.events.schema import FaultCount, Rejections


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def refuse(bench: Bench, records: int, name: str) -> None:
    rejections = Rejections(name, "shop", START, START, records, [FaultCount("price", "range", records)])
    stored = bench.inbox.store(enveloped([rejections]))
    bench.windows.add(stored.rows, stored.rejected, stored.rows_counted)


def refused_columns(bench: Bench) -> set[str | None]:
    return {one.column for one in bench.snapshots.conditions() if one.name == "rejected" and one.active}


def test_a_stream_that_is_refused_as_a_whole_is_broken_after_as_many_records_as_three_checks(bench: Bench) -> None:
    for step in range(1, 4):
        assert refused_columns(bench) == set()
        refuse(bench, 10, f"x{step}")
        bench.checks.step(bench.stopping, 0)
    assert refused_columns(bench) == {"price"}
    (condition,) = [one for one in bench.snapshots.conditions() if one.active]
    assert (condition.value, condition.threshold) == (1.0, 0.05)


def test_a_few_refusals_are_no_check(bench: Bench) -> None:
    refuse(bench, 9, "x1")
    for _ in range(5):
        bench.checks.step(bench.stopping, 0)
    assert refused_columns(bench) == set()


def test_it_ends_when_records_pass_again_and_their_windows_are_checked(bench: Bench) -> None:
    for step in range(1, 4):
        refuse(bench, 10, f"x{step}")
        bench.checks.step(bench.stopping, 0)
    bench.receive(300)
    bench.run_all()
    assert refused_columns(bench) == set()


def test_refusals_that_were_judged_are_not_judged_again_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    for step in range(1, 3):
        refuse(bench, 10, f"x{step}")
        bench.checks.step(bench.stopping, 0)
    bench.close()
    again = Bench(tmp_path)
    for _ in range(5):
        again.checks.step(again.stopping, 0)
    assert refused_columns(again) == set()
    refuse(again, 10, "x3")
    again.checks.step(again.stopping, 0)
    assert refused_columns(again) == {"price"}
    again.close()


def test_a_restart_in_between_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    for step in range(1, 4):
        refuse(bench, 10, f"x{step}")
        bench.checks.step(bench.stopping, 0)
    before = bench.snapshots.conditions()
    bench.close()
    again = Bench(tmp_path)
    assert again.snapshots.conditions() == before
    again.checks.step(again.stopping, 0)
    assert refused_columns(again) == {"price"}
    again.close()
