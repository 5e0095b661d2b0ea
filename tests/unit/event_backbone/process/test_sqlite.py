"""One writing transaction: all of it or nothing, and the connection is free afterwards."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from event_backbone.ports import Refusal
from event_backbone.process.sqlite import transaction
from prediction_service.delivery.cursors import RelayState, SinkState, read_relay_state


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(tmp_path / "file", isolation_level=None, timeout=0.05)) as opened:
        opened.execute("PRAGMA journal_mode = WAL")
        opened.execute("CREATE TABLE numbers (number INTEGER NOT NULL, body BLOB)")
        yield opened


def _add(db: sqlite3.Connection, number: int) -> None:
    db.execute("INSERT INTO numbers VALUES (?, NULL)", (number,))


def _numbers(db: sqlite3.Connection) -> list[int]:
    return [number for (number,) in db.execute("SELECT number FROM numbers")]


def test_what_was_done_is_committed(db: sqlite3.Connection, tmp_path: Path) -> None:
    with transaction(db):
        _add(db, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "file")) as other:
        assert _numbers(other) == [1]


def _add_and_fail(db: sqlite3.Connection, error: type[BaseException]) -> None:
    with transaction(db):
        _add(db, 1)
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_takes_everything_back(db: sqlite3.Connection, error: type[BaseException]) -> None:
    with pytest.raises(error):
        _add_and_fail(db, error)
    with transaction(db):
        _add(db, 2)
    assert _numbers(db) == [2]


def test_a_statement_that_is_refused_takes_back_those_before_it(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError), transaction(db):
        db.executemany("INSERT INTO numbers VALUES (?, NULL)", [(1,), (None,)])
    assert not db.in_transaction
    assert _numbers(db) == []


def test_a_full_disk_is_told_as_such_though_sqlite_rolled_back_by_itself(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA max_page_count = 4")
    with pytest.raises(sqlite3.OperationalError, match="full"), transaction(db):
        db.executemany("INSERT INTO numbers VALUES (?, zeroblob(?))", [(1, 0), (2, 100_000)])
    db.execute("PRAGMA max_page_count = 1000")
    with transaction(db):
        _add(db, 3)
    assert _numbers(db) == [3]


def test_another_writer_is_met_at_the_beginning(db: sqlite3.Connection, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "file", isolation_level=None, timeout=0)) as other:
        with transaction(other), pytest.raises(sqlite3.OperationalError, match="locked"), transaction(db):
            pytest.fail("began beside another writer")
        assert not db.in_transaction


def test_cursors_go_on_after_a_full_disk_and_nothing_moved_in_part(tmp_path: Path) -> None:
    with contextlib.closing(RelayState(tmp_path / "relay.sqlite", ["sink"])) as state:
        state._db.execute("PRAGMA max_page_count = 8")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            state.advance("sink", 7, [(Refusal(7, "schema"), bytes(100_000))], conflicts=1)
        assert read_relay_state(tmp_path / "relay.sqlite") == {"sink": SinkState(0, 0, None, 0)}
        state._db.execute("PRAGMA max_page_count = 1000")
        state.advance("sink", 7, [(Refusal(7, "schema"), bytes(100_000))], conflicts=1)
    assert read_relay_state(tmp_path / "relay.sqlite") == {"sink": SinkState(7, 1, None, 1)}


def test_cursors_go_on_after_a_row_that_can_not_be_written(tmp_path: Path) -> None:
    with contextlib.closing(RelayState(tmp_path / "relay.sqlite", ["sink"])) as state:
        with pytest.raises(sqlite3.Error):
            state.advance("sink", 7, [(Refusal(7, "schema"), object())])  # type: ignore[list-item]
        state.advance("sink", 7)
        assert state.delivered_seq("sink") == 7
