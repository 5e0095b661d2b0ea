"""The relay: a sink gets every row in order, and the journal is trimmed only behind it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from prediction_world import made_record, prediction

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Envelope, Label, Prediction
from event_backbone.in_memory.sink import MemorySink
from event_backbone.ports import Delivered
from event_backbone.prediction_log.journal_layout import entry_of
from prediction_service.delivery import relay as relay_module
from prediction_service.delivery.cursors import RelayState, SinkState, read_relay_state
from prediction_service.delivery.relay import Relay, run_relay
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import Journal
from prediction_service.serving.journal_maintenance import JournalMaintenance


class World:
    """A journal, its cursors, and relays to sinks in memory."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._stack = stack
        self.state_path = folder / "relay.sqlite"
        self.journal = stack.enter_context(closing(Journal(folder / "journal.sqlite", max_bytes=2**30)))
        self.sink = MemorySink()

    def relay(self, *sinks: MemorySink, batch_rows: int = 100) -> Relay:
        """A relay to the first of the sinks; all of them are in the settings."""
        sinks = sinks or (self.sink,)
        reader = self._stack.enter_context(closing(JournalReader(self.journal.path)))
        names = [sink.name for sink in sinks]
        state = self._stack.enter_context(closing(RelayState(self.state_path, names)))
        return Relay(reader, state, sinks[0], batch_rows=batch_rows)

    def keep(self, *numbers: int) -> None:
        self.journal.append([entry_of(prediction(f"r{number}", seed=number)) for number in numbers])

    def trim(self) -> int:
        """Trim everything that may go; how many rows are left."""
        JournalMaintenance(self.journal, self.state_path, retention_s=0, retention_bytes=0)()
        return sum(self.journal.row_counts().values())

    def states(self) -> dict[str, SinkState] | None:
        return read_relay_state(self.state_path)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def delivered(sink: MemorySink) -> list[str]:
    return [envelope.event.record_id for envelope in sink.kept.values()]


def refusing(*record_ids: str) -> Callable[[Envelope], str | None]:
    """Predictions of these records are refused."""

    def refuse(envelope: Envelope) -> str | None:
        event = envelope.event
        return "prediction" if isinstance(event, Prediction) and event.record_id in record_ids else None

    return refuse


# Delivery -------------------------------------------------------------------------------------------------------------


def test_rows_come_in_order_with_their_place_in_the_journal(world: World) -> None:
    world.keep(3, 1)
    world.keep(2)
    relay = world.relay(batch_rows=2)
    assert [relay.deliver_once() for _ in range(3)] == [2, 1, 0]
    assert delivered(world.sink) == ["r3", "r1", "r2"]
    assert [(envelope.source, envelope.seq) for envelope in world.sink.kept.values()] == [
        (world.journal.journal_id, seq) for seq in (1, 2, 3)
    ]
    assert world.states() == {"memory": SinkState(3, 0, None)}


def test_the_cursor_stays_until_the_sink_has_acknowledged(world: World) -> None:
    world.keep(1, 2)
    world.sink.away = "cable cut"
    relay = world.relay()
    with pytest.raises(TryAgainLaterError, match="cable cut"):
        relay.deliver_once()
    assert world.states() == {"memory": SinkState(0, 0, None)}
    world.sink.away = None
    assert relay.deliver_once() == 2
    assert delivered(world.sink) == ["r1", "r2"]


def test_a_relay_that_dies_before_its_cursor_moved_delivers_again(world: World) -> None:
    world.keep(1)
    relay = world.relay()

    def die(*_: object) -> None:
        raise SystemExit

    relay._state.advance = die
    with pytest.raises(SystemExit):
        relay.deliver_once()
    assert delivered(world.sink) == ["r1"]
    assert world.relay().deliver_once() == 1
    assert delivered(world.sink) == ["r1"]


def test_a_new_relay_goes_on_where_the_last_one_stopped(world: World) -> None:
    world.keep(1, 2)
    world.relay().deliver_once()
    world.keep(3)
    assert world.relay().deliver_once() == 1


def test_gaps_in_the_journal_are_no_obstacle(world: World) -> None:
    world.keep(1, 2, 3)
    world.journal.erase("r1", "garden")
    world.journal.erase("r3", "garden")
    world.relay().deliver_once()
    assert [type(envelope.event).__name__ for envelope in world.sink.kept.values()] == [
        "Prediction",
        "Erasure",
        "Erasure",
    ]


# Parked rows ----------------------------------------------------------------------------------------------------------


def test_a_row_refused_for_good_is_parked_and_its_neighbours_go_on(world: World) -> None:
    world.keep(1, 2, 3)
    world.sink.refuse = refusing("r2")
    world.relay().deliver_once()
    assert delivered(world.sink) == ["r1", "r3"]
    assert world.states() == {"memory": SinkState(3, 1, None)}


def test_a_row_that_is_refused_again_is_parked_once(world: World) -> None:
    world.keep(1)
    world.sink.refuse = refusing("r1")
    relay = world.relay()
    relay.deliver_once()
    relay._state.advance("memory", 0)
    relay.deliver_once()
    assert world.states() == {"memory": SinkState(1, 1, None)}


def test_an_erased_record_is_no_longer_parked_nor_in_any_file(world: World, tmp_path: Path) -> None:
    secret = prediction("r1", record=made_record(soil="unforgotten!"))
    world.journal.append([entry_of(secret), entry_of(prediction("r10"))])
    world.sink.refuse = refusing("r1", "r10")
    relay = world.relay()
    relay.deliver_once()
    assert world.states() == {"memory": SinkState(2, 2, None)}
    world.journal.erase("r1", "garden")
    relay.deliver_once()
    assert world.states() == {"memory": SinkState(3, 1, None)}
    left = b"".join(path.read_bytes() for path in tmp_path.glob("relay.sqlite*"))
    assert b"unforgotten!" not in left
    assert b'"record_id":"r10"' in left


def test_a_record_that_came_back_after_its_erasure_stays_parked(world: World) -> None:
    world.keep(1)
    world.sink.refuse = refusing("r1")
    relay = world.relay()
    relay.deliver_once()
    world.journal.erase("r1", "garden")
    relay.deliver_once()
    assert world.trim() == 0  # with the entry of the erasure this journal forgets that the id was used
    world.keep(1)
    relay.deliver_once()
    assert world.states() == {"memory": SinkState(3, 1, None)}


def test_what_a_sink_says_is_erased_is_no_longer_parked(world: World) -> None:
    world.keep(1)
    world.sink.refuse = refusing("r1")
    relay = world.relay()
    relay.deliver_once()
    label = entry_of(Label("r1", "garden", "yes", "2026-01-01T00:00:00.000000Z"))
    world.journal.append([label])
    deliver = world.sink.deliver
    world.sink.deliver = lambda batch: replace(deliver(batch), erased=frozenset({"r1"}))
    relay.deliver_once()
    assert world.states() == {"memory": SinkState(2, 0, None)}


# Conflicts ------------------------------------------------------------------------------------------------------------


def test_conflicts_are_added_up(world: World) -> None:
    relay = world.relay()
    for number, count in enumerate((2, 0, 3)):
        world.keep(number)
        world.sink.deliver = lambda _, count=count: Delivered(conflicts=count)
        relay.deliver_once()
    assert world.states() == {"memory": SinkState(3, 0, None, 5)}


def old_state_file(path: Path) -> None:
    """What a sidecar of before conflicts were counted left behind."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE cursors (sink TEXT PRIMARY KEY, delivered_seq INTEGER NOT NULL, fault TEXT);"
            "CREATE TABLE parked (sink TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL,"
            " parked_at TEXT NOT NULL, PRIMARY KEY (sink, seq));"
            "INSERT INTO cursors VALUES ('memory', 1, 'cable cut');"
        )


def test_a_state_file_of_an_earlier_version_is_read_and_goes_on(world: World) -> None:
    old_state_file(world.state_path)
    assert world.states() == {"memory": SinkState(1, 0, "cable cut")}
    world.keep(1, 2)
    assert world.relay().deliver_once() == 1
    assert world.relay().deliver_once() == 0
    assert world.states() == {"memory": SinkState(2, 0, None)}


def test_a_state_file_may_lie_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "what?#is 100% this" / "relay.sqlite"
    path.parent.mkdir()
    with closing(RelayState(path, ["memory"])) as state:
        state.advance("memory", 7)
    assert read_relay_state(path) == {"memory": SinkState(7, 0, None)}


# Trimming behind the sinks --------------------------------------------------------------------------------------------


def test_nothing_is_trimmed_before_a_sidecar_said_what_is_delivered(world: World) -> None:
    world.keep(1, 2)
    assert world.states() is None
    assert world.trim() == 2


def test_nothing_is_lost_while_a_sink_is_away(world: World) -> None:
    world.keep(1, 2)
    world.sink.away = "cable cut"
    relay = world.relay()
    with pytest.raises(TryAgainLaterError):
        relay.deliver_once()
    assert world.trim() == 2
    world.sink.away = None
    relay.deliver_once()
    assert world.trim() == 0
    assert delivered(world.sink) == ["r1", "r2"]


def test_the_slowest_sink_holds_the_rows_back(world: World) -> None:
    slow = MemorySink("slow")
    world.keep(1, 2, 3)
    world.relay(world.sink, slow).deliver_once()
    assert world.trim() == 3
    world.relay(slow, world.sink, batch_rows=2).deliver_once()
    assert world.trim() == 1


def test_a_sink_removed_from_the_settings_releases_its_cursor(world: World) -> None:
    gone = MemorySink("gone")
    world.keep(1, 2)
    world.relay(world.sink, gone).deliver_once()
    assert world.trim() == 2
    world.relay(world.sink).deliver_once()
    assert set(world.states() or {}) == {"memory"}
    assert world.trim() == 0


def test_where_no_sink_is_in_the_settings_nobody_is_waited_for(world: World) -> None:
    world.keep(1, 2)
    RelayState(world.state_path, []).close()
    assert world.trim() == 0


def test_a_new_sink_starts_at_the_oldest_row_there_is(world: World) -> None:
    late = MemorySink("late")
    world.keep(1, 2)
    world.relay().deliver_once()
    world.relay(late, world.sink).deliver_once()
    assert delivered(late) == ["r1", "r2"]


# The thread -----------------------------------------------------------------------------------------------------------


class ScriptedStop:
    """Stands in for the stop event: notes every wait, and stops after a number of them."""

    def __init__(self, rounds: int, between: Callable[[int], None] = lambda _: None) -> None:
        self.waits: list[float] = []
        self._rounds = rounds
        self._between = between

    def wait(self, wait_s: float) -> bool:
        self._between(len(self.waits))
        self.waits.append(wait_s)
        return len(self.waits) > self._rounds


def test_it_backs_off_while_a_sink_is_away_and_says_why(world: World) -> None:
    world.keep(1)
    world.sink.away = "cable cut"
    stop = ScriptedStop(7)
    run_relay(world.relay(), stop, chance=lambda: 0.0)
    assert stop.waits == [0.0, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0]
    assert world.states() == {"memory": SinkState(0, 0, "cable cut")}


def test_it_never_waits_longer_than_its_bound_whatever_the_sink_asks_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep(1)
    relay = world.relay()

    def come_back_tomorrow() -> int:
        raise TryAgainLaterError("closed", retry_after_s=86_400)

    monkeypatch.setattr(relay, "deliver_once", come_back_tomorrow)
    stop = ScriptedStop(1)
    run_relay(relay, stop)
    assert stop.waits[-1] == relay_module.BACKOFF_S[1]


def test_on_return_everything_is_delivered_and_the_fault_is_gone(world: World) -> None:
    world.keep(1, 2, 3)
    world.sink.away = "cable cut"

    def return_in_the_third_round(number: int) -> None:
        if number == 2:
            world.sink.away = None

    stop = ScriptedStop(6, return_in_the_third_round)
    run_relay(world.relay(batch_rows=2), stop, idle_s=0.25)
    assert delivered(world.sink) == ["r1", "r2", "r3"]
    assert world.states() == {"memory": SinkState(3, 0, None)}
    assert stop.waits[3:] == [0.0, 0.0, 0.25, 0.25]


def test_a_relay_told_to_stop_delivers_no_further_batch(world: World) -> None:
    world.keep(1)
    stop = threading.Event()
    stop.set()
    run_relay(world.relay(), stop)
    assert delivered(world.sink) == []


def test_labels_travel_like_predictions(world: World) -> None:
    label = Label("r1", "garden", "yes", "2026-01-01T00:00:00.000000Z")
    world.journal.append([entry_of(label)])
    world.relay().deliver_once()
    assert [envelope.event for envelope in world.sink.kept.values()] == [label]
