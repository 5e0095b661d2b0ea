"""Windows over arriving rows, and the checks that are due."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitoring_world import enveloped, made_case, predictions

from event_backbone.case.schema import MonitoringSettings
from event_backbone.events.schema import Erasure, FaultCount, ModelRef, Rejections
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.inbox.store import Inbox
from monitoring_service.lifecycle.restore import restored_windows
from monitoring_service.state.monitor_state import MonitorState
from monitoring_service.windows.columns import as_list, unpacked, unpacked_floats
from monitoring_service.windows.row_buffer import WindowRow
from monitoring_service.windows.sliding_window import RejectedRecords, Windows, WindowView, next_check

CASE = made_case(window_rows=100, minimum_rows=50, check_every_rows=10)
SCHEDULE = CASE.monitoring


RECORD = {"price": 1.0, "items": 2, "payment": "card"}


def row(number: int, *, version: str = "1", bundle: str = "b", received_at: float = 0.0, **record: object) -> WindowRow:
    model, at = ModelRef("m", version), f"2026-01-01T00:00:{number % 60:02}Z"
    return WindowRow(number, {**RECORD, **record}, number / 1000, "yes", model, bundle, at, received_at)


def content(view: WindowView | None) -> object:
    """Everything a window says, comparable."""
    if view is None:
        return None
    rows = view.rows
    arrays = (rows.numbers, rows.scores, rows.predictions, rows.received_at, rows.predicted_at)
    columns = {name: (as_list(values), values.fault) for name, values in rows.columns.items()}
    sources = [rows.sources[code] for code in rows.source_codes]
    return view.row, view.newest, columns, sources, [array.tolist() for array in arrays]


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
        views[view.row] = view.rows.numbers.tolist()
        windows.mark_checked(view.row)
    assert views[50] == list(range(1, 51))
    assert views[130] == list(range(31, 131))
    assert windows.newest().rows.numbers.tolist() == list(range(38, 138))


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
    assert 3 not in view.rows.numbers.tolist()
    assert len(view.rows) == 49


def test_the_message_has_inputs_of_all_rows_and_scores_of_one_version() -> None:
    windows = Windows(CASE, rows_counted=0, checked_row=0)
    rows = [row(number, version="1", bundle="old") for number in range(1, 41)]
    rows += [row(number, version="2", bundle="new") for number in range(41, 51)]
    windows.add(rows, [], 50)
    view = windows.wait_for_due(0)
    assert view is not None
    message = JudgedWindow(view, view.rows.sources[view.rows.source_codes[-1]]).message()
    assert (message.row, message.rows, message.bundle_sha256) == (50, 50, "new")
    assert as_list(unpacked(message.columns["price"])) == [1.0] * 50
    assert as_list(unpacked(message.columns["payment"])) == ["card"] * 50
    assert unpacked_floats(message.scores).tolist() == [number / 1000 for number in range(41, 51)]
    assert unpacked_floats(message.predictions).tolist() == [1.0] * 10


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({"price": 1.0, "payment": None}, {"items": "not_in_window"}),
        ({**RECORD, "price": "12"}, {"price": "not_a_number"}),
        ({**RECORD, "price": True}, {"price": "not_a_number"}),
        ({**RECORD, "price": 10**400, "items": [1]}, {"price": "not_a_number", "items": "not_a_number"}),
        ({**RECORD, "payment": 7}, {"payment": "not_text"}),
        ({"payment": {"a": 1}}, {"price": "not_in_window", "items": "not_in_window", "payment": "not_text"}),
        ({**RECORD, "price": 10**40, "items": None, "payment": None}, {}),
    ],
    ids=["not named", "text", "truth value", "too large, a list", "number", "several", "unusual and fine"],
)
def test_a_value_that_can_not_be_is_the_fault_of_its_column_while_a_window_holds_the_row(
    record: dict[str, object], faults: dict[str, str]
) -> None:
    windows = filled(49)
    windows.add([WindowRow(50, record, 0.5, "yes", ModelRef("m", "1"), "b", "", 0.0)], [], 50)
    found = {name: values.fault for name, values in windows.newest().rows.columns.items() if values.fault}
    assert found == faults
    windows.add([row(number) for number in range(51, 151)], [], 150)
    assert not any(values.fault for values in windows.newest().rows.columns.values())


def test_a_time_window_leaves_out_what_came_too_long_before_its_newest_row() -> None:
    case = made_case(window_rows=100, minimum_rows=50, check_every_rows=10, window_s=60)
    windows = Windows(case, rows_counted=0, checked_row=0)
    windows.add([row(number, received_at=float(number)) for number in range(1, 81)], [], 80)
    view = windows.wait_for_due(0)
    assert view is not None
    assert view.rows.numbers.tolist() == list(range(1, 51)), "by its own newest row"
    assert windows.newest().rows.numbers.tolist() == list(range(20, 81))
    windows.add([], [RejectedRecords(80, 39, [])], 80)
    assert windows.rejections().share == pytest.approx(39 / 100)
    windows.add([row(81, received_at=5000.0)], [], 81)
    assert windows.newest().rows.numbers.tolist() == [81]


def test_a_window_stays_as_it_was_taken_while_rows_arrive_and_go() -> None:
    windows = filled(100)
    view = windows.newest()
    before = content(view)
    windows.remove([7, 99])
    for first in range(101, 9000, 50):
        windows.add([row(number, payment=f"new-{number}") for number in range(first, first + 50)], [], first + 49)
        windows.mark_checked(first + 49)
    assert content(view) == before
    assert windows.newest().rows.numbers.tolist() == list(range(8901, 9001))


def test_memory_is_bounded_however_many_rows_and_names_come() -> None:
    windows = Windows(CASE, rows_counted=0, checked_row=0)
    for first in range(1, 40_001, 100):
        many = [row(number, version=f"{number}", payment=f"new-{number}") for number in range(first, first + 100)]
        windows.add(many, [], first + 99)
        windows.mark_checked(first + 99)
    assert windows._rows.capacity <= 2048
    payment = windows.newest().rows.columns["payment"]
    assert as_list(payment) == [f"new-{number}" for number in range(39_901, 40_001)]
    assert len(payment.names) <= 1100
    assert len(windows.newest().rows.sources) <= 1100


def test_names_beyond_what_is_kept_share_one() -> None:
    case = made_case(window_rows=5000, minimum_rows=50)
    windows = Windows(case, rows_counted=0, checked_row=0)
    windows.add([row(number, payment=f"new-{number}") for number in range(1, 2001)], [], 2000)
    windows.add([row(2001, payment="x" * 100_000)], [], 2001)
    found = as_list(windows.newest().rows.columns["payment"])
    assert found[:1000] == [f"new-{number}" for number in range(1, 1001)]
    assert set(found[1000:]) == {"(other)"}


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
    restored = restored_windows(CASE, inbox, MonitorState(checked_row=checked_row))
    assert content(restored.newest()) == content(live.newest())
    assert content(restored.wait_for_due(0)) == content(live.wait_for_due(0))
    assert restored.backlog_rows == live.backlog_rows
    assert restored.rejections() == live.rejections()
    inbox.close()


def test_rows_no_check_will_look_at_are_forgotten() -> None:
    windows = filled(1000)
    windows.mark_checked(1000)
    assert windows.first_row_needed == 901
    assert len(windows._rows) == 100
