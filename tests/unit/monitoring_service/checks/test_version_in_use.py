"""Which version a window is about, and that two side by side do not undo each other's checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring_bench import Bench
from monitoring_world import enveloped, predictions
from msgspec.structs import replace

from event_backbone.events.schema import ModelRef
from monitoring_service.checks.version_in_use import version_in_use
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.messages import WindowMeasures

OLD, NEW = ("1", "b" * 64), ("2", "d" * 64)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    by_reference(bench)
    bench.measurer.drifting = True
    yield bench
    bench.close()


def by_reference(bench: Bench) -> None:
    """Let each bundle have a reference of its own."""
    measure = bench.measurer.measure

    def with_reference(window: JudgedWindow) -> WindowMeasures:
        return replace(measure(window), reference_id=window.source.bundle_sha256)

    bench.measurer.measure = with_reference  # type: ignore[method-assign]


def receive(bench: Bench, versions: list[tuple[str, str]]) -> None:
    """Rows of these versions, one after the other."""
    first = bench.inbox.totals.predictions
    events = [
        replace(event, model=ModelRef("m", version), bundle_sha256=bundle)
        for event, (version, bundle) in zip(predictions(len(versions), first=first), versions, strict=True)
    ]
    stored = bench.inbox.store(enveloped(events))
    bench.windows.add(stored.rows, stored.rejected, stored.rows_counted)


def drifted(bench: Bench) -> bool:
    return any(one.name == "drift" and one.active for one in bench.snapshots.conditions())


def version(bench: Bench) -> str:
    check_result = bench.results.state.check_result
    assert check_result is not None
    return check_result.model.version


def test_two_versions_side_by_side_do_not_break_the_run_of_checks(bench: Bench) -> None:
    """The newest row of every other check is the other version's."""
    receive(bench, [OLD, NEW] * 25)
    bench.run_all()
    first = version(bench)
    for newest in (OLD, NEW) * 3:
        other = NEW if newest == OLD else OLD
        receive(bench, [newest, other] * 4 + [other, newest])
        bench.run_all()
        assert version(bench) == first
    assert drifted(bench)
    assert len(bench.results.read().episodes) == len(bench.case.columns)


def test_a_version_that_no_longer_answers_goes_with_the_next_check(bench: Bench) -> None:
    receive(bench, [OLD] * 50)
    receive(bench, [OLD] * 3 + [NEW] * 7)
    bench.run_all()
    assert version(bench) == "1"
    receive(bench, [NEW] * 10)
    bench.run_all()
    assert version(bench) == "2"


def test_a_few_rows_of_the_old_version_do_not_hold_the_new_one_up(bench: Bench) -> None:
    receive(bench, [OLD] * 50 + [NEW] * 4 + [OLD] * 2 + [NEW] * 4)
    bench.run_all()
    assert version(bench) == "2"


def test_a_restart_between_two_checks_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    receive(bench, [OLD] * 50)
    bench.run_all()
    again = Bench(tmp_path)
    receive(again, [OLD, NEW] * 5)
    again.run_all()
    assert version(again) == "1"
    again.close()


def test_without_new_rows_it_is_the_newest_rows_version(bench: Bench) -> None:
    receive(bench, [OLD] * 20 + [NEW])
    rows = bench.windows.newest().rows
    assert version_in_use(rows, 21, rows.sources[0]).model.version == "2"
