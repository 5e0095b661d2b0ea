"""Windows over arriving rows, and the checks that are due."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitoring_world import enveloped, made_case, predictions

from event_backbone.case import MonitoringSettings
from event_backbone.events import Erasure, FaultCount, ModelRef, Rejections
from monitoring_service.inbox import Inbox
from monitoring_service.restoring import restored_windows
from monitoring_service.standing import Standing
from monitoring_service.windows import Absent, RejectedRecords, Row, Windows, next_check

CASE = made_case(window_rows=100, minimum_rows=50, check_every_rows=10)
SCHEDULE = CASE.monitoring


def row(number: int, *, version: str = "1", bundle: str = "b", values: tuple[object, ...] = (1.0, 2, "card")) -> Row:
    model = ModelRef("m", version)
    return Row(
        number, f"r{number}", values, number / 1000, "yes", model, bundle, f"2026-01-01T00:00:{number % 60:02}Z", 0
    )


def filled(rows: int, *, checked_row: int = 0) -> Windows:
    windows = Windows(CASE, rows_counted=0, checked_row=checked_row)
    windows.add([row(number) for number in range(1, rows + 1)], [], rows)
    return windows


def due_rows(windows: Windows) -> list[int]:
    found = []
    while (view := windows.wait_for_due(0)) is not None:
        found.append(view.row)
        windows.mark_checked(view.row)
    return found


def test_checks_stand_at_exact_multiples_from_the_minimum_on() -> None:
    schedule = MonitoringSettings(window_rows=1000, minimum_rows=210, check_every_rows=50)
    assert [next_check(after, schedule) for after in (0, 249, 250, 251, 299, 300)] == [250, 250, 300, 300, 300, 350]


@given(st.lists(st.integers(1, 70), max_size=12))
def test_the_checks_do_not_depend_on_how_rows_come_in_batches(batches: list[int]) -> None:
    windows, number, found = Windows(CASE, rows_counted=0, checked_row=0), 0, []
    for size in batches:
        windows.add([row(number + index) for index in range(1, size + 1)], [], number + size)
        number += size
        found += due_rows(windows)
    assert found == list(range(50, number + 1, 10))


def test_a_window_ends_at_its_row_and_has_no_more_rows_than_the_case_says() -> None:
    windows = filled(137)
    views = {}
    while (view := windows.wait_for_due(0)) is not None:
        views[view.row] = [one.number for one in view.rows]
        windows.mark_checked(view.row)
    assert views[50] == list(range(1, 51))
    assert views[130] == list(range(31, 131))
    assert [one.number for one in windows.newest().rows] == list(range(38, 138))


def test_nothing_is_due_below_the_minimum() -> None:
    assert filled(49).wait_for_due(0) is None
    assert filled(49).backlog_rows == 0


def test_rows_wait_until_their_check_is_made() -> None:
    windows = filled(500)
    assert windows.backlog_rows == 451
    view = windows.wait_for_due(0)
    assert view is not None
    assert view.row == 50
    assert windows.due_until(windows.last_due_row) == 46
    assert windows.last_due_row == 500
    windows.mark_checked(500)
    assert windows.backlog_rows == 0
    assert windows.last_due_row == 500


def test_a_wait_is_as_long_as_the_oldest_due_check_waits() -> None:
    now = [100.0]
    windows = Windows(CASE, rows_counted=0, checked_row=0, clock=lambda: now[0])
    windows.add([row(number) for number in range(1, 56)], [], 55)
    now[0] += 7
    windows.add([row(56)], [], 56)
    assert windows.waiting_s == 7
    windows.mark_checked(50)
    assert windows.waiting_s == 0


def test_an_erased_row_leaves_its_place_empty() -> None:
    windows = filled(60)
    windows.remove([3, 60])
    view = windows.wait_for_due(0)
    assert view is not None
    assert view.row == 50
    assert 3 not in [one.number for one in view.rows]
    assert len(view.rows) == 49


def test_the_message_has_inputs_of_all_rows_and_scores_of_the_newest_version() -> None:
    windows = Windows(CASE, rows_counted=0, checked_row=0)
    rows = [row(number, version="1", bundle="old") for number in range(1, 41)]
    rows += [row(number, version="2", bundle="new") for number in range(41, 51)]
    windows.add(rows, [], 50)
    view = windows.wait_for_due(0)
    assert view is not None
    message = view.as_message(CASE.column_names)
    assert (message.row, message.rows, message.bundle_sha256) == (50, 50, "new")
    assert len(message.columns["price"]) == 50
    assert message.scores == [number / 1000 for number in range(41, 51)]


def test_a_column_that_some_record_does_not_name_is_left_out_of_the_message() -> None:
    windows = filled(49)
    windows.add([row(50, values=(1.0, Absent.ABSENT, None))], [], 50)
    view = windows.wait_for_due(0)
    assert view is not None
    assert view.as_message(CASE.column_names).columns.keys() == {"price", "payment"}


def test_rejected_shares_are_those_since_the_oldest_row_of_the_window() -> None:
    windows = filled(60)
    faults = [FaultCount("price", "range", 10), FaultCount("price", "missing", 5), FaultCount("items", "type", 5)]
    windows.add([], [RejectedRecords(60, 20, faults)], 60)
    assert windows.rejections().share == pytest.approx(20 / 80)
    assert windows.rejections().share_of("price") == pytest.approx(15 / 80)
    assert windows.rejections().share_of("payment") == 0
    windows.add([row(number) for number in range(61, 160)], [], 159)
    assert windows.rejections().share == pytest.approx(20 / 120)
    windows.add([row(160)], [], 160)
    assert windows.rejections().share == 0


def test_before_the_first_record_no_share_is_known() -> None:
    assert Windows(CASE, rows_counted=0, checked_row=0).rejections().share is None


@pytest.mark.parametrize("checked_row", [0, 50, 290, 300])
def test_windows_come_back_from_the_inbox_as_they_were(tmp_path: Path, checked_row: int) -> None:
    inbox = Inbox(tmp_path / "inbox.sqlite", CASE)
    live = Windows(CASE, rows_counted=0, checked_row=0)
    rejections = Rejections("x", "shop", "", "", 7, [FaultCount("price", "range", 7)])
    for events in (predictions(250), [rejections], [Erasure("r240", "shop", "")], predictions(57, first=250)):
        stored = inbox.store(enveloped(events))
        live.add(stored.rows, stored.rejected, stored.rows_counted)
        live.remove(stored.erased)
    if checked_row:
        live.mark_checked(checked_row)
    restored = restored_windows(CASE, inbox, Standing(checked_row=checked_row))
    assert restored.newest() == live.newest()
    assert restored.wait_for_due(0) == live.wait_for_due(0)
    assert restored.backlog_rows == live.backlog_rows
    assert restored.rejections() == live.rejections()
    inbox.close()


def test_rows_no_check_will_look_at_are_forgotten() -> None:
    windows = filled(1000)
    windows.mark_checked(1000)
    assert windows.first_row_needed == 901
    assert len(windows._rows) == 100
