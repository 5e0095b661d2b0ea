"""How far a replay is, and the file that says so."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
from generator_world import FakeClock

from event_backbone.errors import SettingsError
from stream_generator.sending.pacing import StoppableClock
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.resuming import LowWaterMark, Mark, NoMarks, ReplayOf, ReplayState, StateFile
from stream_generator.sending.schedule import Schedule

REPLAY = ReplayOf(case="toy", source="mongodb://db/streamgauge", target="http://there", since=None, until=None)


def _item(index: int, record_id: str | None = None, due_s: float | None = None) -> Outgoing:
    return Outgoing(record_id or f"r-{index}", b"{}", due_s, None, index=index, cursor=f"c{index}")


def _begun(number: int, start: Mark = Mark()) -> LowWaterMark:
    marks = LowWaterMark(start)
    for index in range(start.done, start.done + number):
        marks.begun(_item(index))
    return marks


def test_the_mark_stands_before_the_first_item_without_an_outcome() -> None:
    marks = _begun(4)
    for index in (1, 2):
        marks.settled(index)
    assert marks.reached() == Mark(0, None)
    marks.settled(0)
    assert marks.reached() == Mark(3, "c2")
    assert not marks.is_complete
    marks.settled(3)
    assert (marks.reached(), marks.is_complete) == (Mark(4, "c3"), True)


def test_a_later_run_counts_on() -> None:
    marks = _begun(2, Mark(10, "c9"))
    assert marks.reached() == Mark(10, "c9")
    marks.settled(10)
    assert (marks.reached(), marks.items_begun) == (Mark(11, "c10"), 12)


def test_an_item_whose_outcome_nobody_knows_is_where_a_later_run_begins() -> None:
    marks = _begun(5)
    marks.settled(0)
    marks.lost(2)
    marks.settled(1)
    marks.settled(3)
    marks.begun(_item(5))
    marks.settled(5)
    assert (marks.reached(), marks.is_complete) == (Mark(2, "c1"), False)


def test_nothing_is_held_behind_a_lost_item() -> None:
    marks = _begun(3)
    marks.lost(0)
    for index in range(3, 1000):
        marks.begun(_item(index))
        marks.settled(index)
    assert (len(marks._open), len(marks._settled)) == (0, 0)


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "deep" / "state.json")
    assert file.read(REPLAY) is None
    state = ReplayState(REPLAY, "run-1", "2026-01-31T08:00:00Z", Mark(7, "c6"))
    file.write(state)
    assert file.read(REPLAY) == state
    assert [path.name for path in file.path.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("source", "night.jsonl"), ("since", "2026-01-31T08:00:00.000000Z"), ("target", "kafka://b"), ("labels", False)],
)
def test_the_state_of_another_replay_is_refused_by_what_differs(field: str, value: object, tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.write(ReplayState(REPLAY, "run-1", "2026-01-31T08:00:00Z"))
    with pytest.raises(SettingsError, match="is the state of another replay") as raised:
        file.read(msgspec.structs.replace(REPLAY, **{field: value}))
    assert [fault.place for fault in raised.value.faults] == [field]


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"SQLite format 3"])
def test_a_file_that_is_no_state_is_told_and_kept(body: bytes, tmp_path: Path) -> None:
    path = tmp_path / "precious.txt"
    path.write_bytes(body)
    with pytest.raises(SettingsError, match="is no state of a replay"):
        StateFile(path).read(REPLAY)
    assert path.read_bytes() == body


def test_what_is_due_together_leaves_together_up_to_a_bound() -> None:
    clock = FakeClock()
    schedule = Schedule(
        [_item(0, due_s=0.0), _item(1, due_s=0.0), _item(2, due_s=0.0), _item(3, due_s=1.0)], clock, NoMarks()
    )
    taken = []
    while batch := schedule.take(2):
        taken.append([due.item.index for due in batch])
        schedule.landed(batch)
    assert (taken, clock.waits) == ([[0, 1], [2], [3]], [1.0])


def test_two_records_of_one_id_are_never_in_one_call() -> None:
    schedule = Schedule([_item(0, "same"), _item(1, "same"), _item(2)], FakeClock(), NoMarks())
    first = schedule.take(10)
    assert [due.item.index for due in first] == [0]
    schedule.landed(first)
    assert [due.item.index for due in schedule.take(10)] == [1, 2]


def test_a_record_waits_until_the_one_of_its_id_is_answered() -> None:
    schedule = Schedule([_item(0, "same"), _item(1, "same")], StoppableClock(), NoMarks())
    first, second = schedule.take(1), list[int]()
    waiting = threading.Thread(target=lambda: second.extend(due.item.index for due in schedule.take(1)))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    schedule.landed(first)
    waiting.join(10)
    assert second == [1]
