"""Journals copied while they are written, and copies that come back without giving a number twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from prediction_world import prediction

from event_backbone.errors import SettingsError
from event_backbone.events.schema import Envelope, event_id
from event_backbone.in_memory.sink import MemorySink
from event_backbone.ports import Sink
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.process.file_lock import try_lock
from prediction_service.delivery.cursors import RelayState, read_relay_state
from prediction_service.delivery.relay import Relay
from prediction_service.journal.backup import back_up_journals, restore_journals
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.slots import JOURNAL_FILE, RELAY_FILE, claim_slot
from prediction_service.journal.writer import Journal


@contextlib.contextmanager
def journal_in(slot: Path) -> Iterator[Journal]:
    """As a server opens it."""
    sinks = read_relay_state(slot / RELAY_FILE) or {}
    delivered = max((sink.delivered_seq for sink in sinks.values()), default=0)
    journal = Journal(slot / JOURNAL_FILE, max_bytes=2**30, delivered_seq=delivered)
    yield journal
    journal.close()


def append(journal: Journal, *record_ids: str) -> None:
    journal.append([entry_of(prediction(record_id)) for record_id in record_ids])


def relay(slot: Path, sink: Sink) -> None:
    """As a sidecar does, until nothing is left."""
    with (
        contextlib.closing(JournalReader(slot / JOURNAL_FILE)) as journal,
        contextlib.closing(RelayState(slot / RELAY_FILE, [sink.name])) as state,
    ):
        one = Relay(journal, state, sink, batch_rows=10)
        while one.deliver_once():
            continue


class ByNumber(MemorySink):
    """Takes a pair of source and number for one row, as a reader with positions does."""

    def deliver(self, batch: list[Envelope]) -> object:  # type: ignore[override]
        self.met = {*getattr(self, "met", set()), *((one.source, one.seq, event_id(one.event)) for one in batch)}
        return super().deliver(batch)

    def events_of_one_number(self) -> int:
        """The most different events that came under one number of one source."""
        pairs = [(source, seq) for source, seq, _ in self.met]
        return max(pairs.count(pair) for pair in pairs)


def test_a_copy_holds_what_the_journal_held_while_it_is_written(tmp_path: Path) -> None:
    with journal_in(tmp_path / "journals" / "00") as journal:
        append(journal, "r1", "r2")
        [copied] = back_up_journals(tmp_path / "journals", tmp_path / "backup")
        append(journal, "r3")
    assert (copied.path, copied.rows) == (tmp_path / "backup" / "00.sqlite", 2)
    assert [path.name for path in (tmp_path / "backup").iterdir()] == ["00.sqlite"]


def test_a_journal_without_a_server_is_copied_too(tmp_path: Path) -> None:
    with journal_in(tmp_path / "journals" / "00") as journal:
        append(journal, "r1")
    [copied] = back_up_journals(tmp_path / "journals", tmp_path / "backup")
    [restored] = restore_journals([copied.path], tmp_path / "journals")
    assert (copied.rows, restored.rows) == (1, 1)
    assert len(back_up_journals(tmp_path / "journals", tmp_path / "another")) == 2


def test_a_restored_journal_gives_no_number_twice_and_loses_no_new_row(tmp_path: Path) -> None:
    journals, sink = tmp_path / "journals", ByNumber()
    with journal_in(journals / "00") as journal:
        append(journal, "r1", "r2")
        relay(journals / "00", sink)
        [copied] = back_up_journals(journals, tmp_path / "backup")
        append(journal, "r3", "r4")
        relay(journals / "00", sink)
    journals.rename(tmp_path / "lost")

    [restored] = restore_journals([copied.path], journals)
    slot, lock = claim_slot(journals)
    assert restored.path == slot / JOURNAL_FILE
    with journal_in(slot) as journal:
        append(journal, "r5", "r6")
        relay(slot, sink)
    lock.release()
    assert set(sink.kept) == {f"prediction:r{number}" for number in range(1, 7)}
    assert sink.events_of_one_number() == 1


def test_a_copy_put_back_by_hand_would_give_numbers_twice(tmp_path: Path) -> None:
    """Why there is a command: this is what it prevents."""
    slot, sink = tmp_path / "journals" / "00", ByNumber()
    with journal_in(slot) as journal:
        append(journal, "r1")
        [copied] = back_up_journals(tmp_path / "journals", tmp_path / "backup")
        append(journal, "r2")
        relay(slot, sink)
    for path in slot.iterdir():
        path.unlink()
    copied.path.rename(slot / JOURNAL_FILE)
    with journal_in(slot) as journal:
        append(journal, "r3")
        relay(slot, sink)
    assert sink.events_of_one_number() == 2


def test_a_copy_comes_back_beside_the_journals_that_are_there(tmp_path: Path) -> None:
    journals = tmp_path / "journals"
    with journal_in(journals / "00") as journal:
        append(journal, "r1")
        [copied] = back_up_journals(journals, tmp_path / "backup")
        lock = try_lock(journals / "01" / "writer.lock")  # a server that is just starting
        assert lock is not None
        restored = restore_journals([copied.path, copied.path], journals)
        lock.release()
        first_id = journal.journal_id
    assert [one.path.parent.name for one in restored] == ["02", "03"]
    ids = set()
    for one in restored:
        with contextlib.closing(JournalReader(one.path)) as reader:
            ids.add(reader.journal_id)
    assert len({*ids, first_id}) == 3


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 500])
def test_what_is_no_copy_is_named_and_nothing_is_made(tmp_path: Path, content: bytes) -> None:
    with journal_in(tmp_path / "journals" / "00") as journal:
        append(journal, "r1")
        [copied] = back_up_journals(tmp_path / "journals", tmp_path / "backup")
    wrong = tmp_path / "wrong.sqlite"
    wrong.write_bytes(content)
    with pytest.raises(SettingsError, match=r"wrong\.sqlite: is no copy of a journal"):
        restore_journals([copied.path, wrong], tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_a_backup_needs_an_empty_folder_and_a_journal(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no journal"):
        back_up_journals(tmp_path / "journals", tmp_path / "backup")
    with journal_in(tmp_path / "journals" / "00") as journal:
        append(journal, "r1")
    back_up_journals(tmp_path / "journals", tmp_path / "backup")
    with pytest.raises(SettingsError, match="must be an empty folder"):
        back_up_journals(tmp_path / "journals", tmp_path / "backup")
