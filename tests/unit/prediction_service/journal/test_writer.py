"""The journal: what it keeps, what it gives back, how it stays small and what a damaged file still holds."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from prediction_world import made_record, prediction

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Erasure, Event, Label, Prediction, Rejections, content_hash, decode_event
from event_backbone.prediction_log.journal_layout import entry_of
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import HeldEntry, Journal, JournalUnavailableError

FAR = "9999-01-01T00:00:00.000000Z"
PLENTY = 2**30


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.sqlite", max_bytes=PLENTY)) as opened:
        yield opened


@pytest.fixture
def reader(journal: Journal) -> Iterator[JournalReader]:
    with closing(JournalReader(journal.path)) as opened:
        yield opened


def label(record_id: str = "r1", value: str = "yes", at: str = "2026-01-01T00:00:00.000000Z") -> Label:
    return Label(record_id, "garden", value, at)


def rejections() -> Rejections:
    return Rejections("x1", "garden", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", 3, [])


def keep(journal: Journal, *events: Event) -> list[HeldEntry]:
    return journal.append([entry_of(event) for event in events])


def keep_predictions(journal: Journal, numbers: Sequence[int]) -> None:
    keep(journal, *(prediction(f"r{number}") for number in numbers))


def seqs(reader: JournalReader) -> list[int]:
    return [row.seq for row in reader.after(0, limit=10_000)]


def ids(path: Path) -> list[str]:
    with closing(JournalReader(path)) as reader:
        return [row.event.record_id for row in reader.after(0, limit=10_000)]


# Once by identity -----------------------------------------------------------------------------------------------------


def test_a_new_event_is_kept_as_it_is(journal: Journal, reader: JournalReader) -> None:
    events = [prediction("r1"), label("r1"), rejections()]
    assert [kept.new for kept in keep(journal, *events)] == [True, True, True]
    assert [row.event for row in reader.after(0, limit=10)] == events
    assert journal.row_counts() == {"prediction": 1, "label": 1, "rejections": 1}


def test_the_same_id_with_the_same_content_gives_back_what_is_stored(journal: Journal) -> None:
    first = prediction("r1", predicted_at="2026-01-01T00:00:00.000001Z")
    keep(journal, first)
    (kept,) = keep(journal, prediction("r1", predicted_at="2026-01-01T00:00:00.000002Z"))
    assert (kept.new, kept.content_hash) == (False, first.content_hash)
    assert decode_event(kept.body) == first


def test_the_same_id_with_other_content_shows_the_stored_digest_and_changes_nothing(
    journal: Journal, reader: JournalReader
) -> None:
    first = prediction("r1", seed=1)
    keep(journal, first)
    (kept,) = keep(journal, prediction("r1", seed=2))
    assert (kept.new, kept.content_hash) == (False, first.content_hash)
    assert [row.event for row in reader.after(0, limit=10)] == [first]


def test_one_id_twice_in_a_batch_is_stored_once(journal: Journal, reader: JournalReader) -> None:
    assert [kept.new for kept in keep(journal, *[prediction("r1")] * 3, prediction("r2"))] == [True, False, False, True]
    assert len(seqs(reader)) == 2
    assert journal.row_counts() == {"prediction": 2}


def test_a_large_batch_with_known_and_repeated_ids_tells_each_of_them_apart(
    journal: Journal, reader: JournalReader
) -> None:
    keep_predictions(journal, range(0, 300, 3))
    batch = [prediction(f"r{number}") for number in [*range(300), *range(300)]]
    new = [kept.new for kept in keep(journal, *batch)]
    assert new == [number % 3 != 0 for number in range(300)] + [False] * 300
    assert len(seqs(reader)) == 300
    assert journal.row_counts() == {"prediction": 300}


def test_labels_of_one_record_with_other_times_or_values_are_all_kept(journal: Journal) -> None:
    labels = [label(), label(value="no"), label(at="2026-01-02T00:00:00.000000Z"), label()]
    assert [kept.new for kept in keep(journal, *labels)] == [True, True, True, False]


def test_many_threads_that_append_the_same_ids_store_each_once(journal: Journal, reader: JournalReader) -> None:
    def append_all() -> None:
        for number in range(50):
            keep_predictions(journal, [number])

    threads = [threading.Thread(target=append_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seqs(reader)) == 50
    assert journal.row_counts() == {"prediction": 50}


# All or none ----------------------------------------------------------------------------------------------------------


def test_a_call_keeps_all_its_entries_or_none(journal: Journal, reader: JournalReader) -> None:
    poison = entry_of(prediction("r2"))
    broken = type(poison)(poison.event_id, poison.kind, "r2", "", None, poison.appended_at)  # no body: SQLite refuses
    with pytest.raises(JournalUnavailableError):
        journal.append([entry_of(prediction("r1")), broken])
    assert seqs(reader) == []
    assert journal.row_counts() == {}
    keep_predictions(journal, [1])
    assert len(seqs(reader)) == 1


def test_a_journal_that_can_not_be_written_says_try_again_later(journal: Journal) -> None:
    with closing(sqlite3.connect(journal.path)) as other:
        other.execute("DROP TABLE entries")
    with pytest.raises(TryAgainLaterError, match="can't be written"):
        keep_predictions(journal, [1])


# Numbers are never given twice ----------------------------------------------------------------------------------------


def trim_all(journal: Journal) -> int:
    return journal.trim(delivered_seq=2**60, older_than=FAR, above_bytes=PLENTY)


def test_a_number_is_not_given_again_after_trimming_everything(journal: Journal, reader: JournalReader) -> None:
    keep_predictions(journal, range(3))
    given = reader.last_seq()
    assert trim_all(journal) == 3
    assert (seqs(reader), reader.last_seq()) == ([], given)
    keep_predictions(journal, [7])
    assert seqs(reader) == [given + 1]


def test_a_number_is_not_given_again_after_trimming_and_reopening(journal: Journal, tmp_path: Path) -> None:
    keep_predictions(journal, range(3))
    trim_all(journal)
    journal.close()
    with (
        closing(Journal(tmp_path / "journal.sqlite", max_bytes=PLENTY)) as again,
        closing(JournalReader(again.path)) as reader,
    ):
        assert (again.journal_id, reader.journal_id) == (journal.journal_id, journal.journal_id)
        keep_predictions(again, [9])
        assert seqs(reader) == [4]


def test_a_number_is_not_given_again_after_erasing_the_newest(journal: Journal, tmp_path: Path) -> None:
    keep_predictions(journal, range(3))
    journal.erase("r2", "garden")
    trim_all(journal)
    journal.close()
    with (
        closing(Journal(tmp_path / "journal.sqlite", max_bytes=PLENTY)) as again,
        closing(JournalReader(again.path)) as reader,
    ):
        keep_predictions(again, [9])
        assert seqs(reader) == [5]


def test_a_number_that_a_sink_has_seen_is_not_given_again_after_a_power_cut_took_its_row(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "cut.sqlite", max_bytes=1 << 30, delivered_seq=41)) as journal:
        keep_predictions(journal, [1])
        with closing(JournalReader(journal.path)) as reader:
            assert seqs(reader) == [42]


def test_erasing_an_id_leaves_the_labels_of_a_longer_id_alone(journal: Journal, reader: JournalReader) -> None:
    keep(journal, label("a"), label("a:b"))
    assert journal.erase("a", "shop") == 1
    assert [row.event.record_id for row in reader.after(0, limit=9) if isinstance(row.event, Label)] == ["a:b"]


def test_numbers_a_sink_has_seen_are_not_given_again_when_a_power_cut_took_their_rows(tmp_path: Path) -> None:
    with (
        closing(Journal(tmp_path / "journal.sqlite", max_bytes=PLENTY, delivered_seq=41)) as journal,
        closing(JournalReader(journal.path)) as reader,
    ):
        keep_predictions(journal, [1])
        assert seqs(reader) == [42]


def test_numbers_rise_in_the_order_of_the_calls(journal: Journal, reader: JournalReader) -> None:
    keep_predictions(journal, [3])
    keep_predictions(journal, [1, 2])
    assert [row.event.record_id for row in reader.after(0, limit=10)] == ["r3", "r1", "r2"]
    assert [row.event.record_id for row in reader.after(seqs(reader)[0], limit=1)] == ["r1"]


# Keeping it small -----------------------------------------------------------------------------------------------------


def test_only_what_is_delivered_is_trimmed(journal: Journal, reader: JournalReader) -> None:
    keep_predictions(journal, range(5))
    assert journal.trim(delivered_seq=2, older_than=FAR, above_bytes=0) == 2
    assert seqs(reader) == [3, 4, 5]


def test_what_is_younger_than_the_retention_stays(journal: Journal, reader: JournalReader) -> None:
    at = [f"2026-01-0{day}T00:00:00.000000Z" for day in range(1, 5)]
    keep(journal, *(prediction(f"r{index}", predicted_at=moment) for index, moment in enumerate(at)))
    assert journal.trim(delivered_seq=99, older_than=at[2], above_bytes=PLENTY) == 2
    assert seqs(reader) == [3, 4]


def test_above_the_size_the_oldest_delivered_rows_go_early(journal: Journal, reader: JournalReader) -> None:
    keep_predictions(journal, range(10))
    assert journal.trim(delivered_seq=8, older_than="", above_bytes=0, at_most=3) == 3
    assert seqs(reader) == [4, 5, 6, 7, 8, 9, 10]
    assert journal.row_counts() == {"prediction": 7}


def test_labels_about_the_future_hold_back_nothing(journal: Journal) -> None:
    keep(journal, *(label(f"r{number}", at=FAR) for number in range(3)))
    keep_predictions(journal, range(3))
    assert journal.trim(delivered_seq=99, older_than="9998-01-01T00:00:00Z", above_bytes=PLENTY, at_most=3) == 3
    assert journal.row_counts() == {"prediction": 3}


def fill(journal: Journal) -> int:
    """Append until the journal refuses; how many it took."""
    for number in range(10_000):
        try:
            keep_predictions(journal, [number])
        except JournalUnavailableError:
            return number
    raise AssertionError("the journal has no bound")


def test_at_its_bound_it_refuses_and_takes_again_after_trimming(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.sqlite", max_bytes=256 * 1024)) as journal:
        taken = fill(journal)
        assert taken > 100
        assert journal.is_full
        assert journal.row_counts() == {"prediction": taken}
        with pytest.raises(JournalUnavailableError, match="at its bound of 262144 bytes"):
            keep(journal, prediction("r1"))  # a known id as well: what can't be read back can't be answered
        trim_all(journal)
        journal.maintain()
        assert not journal.is_full
        assert fill(journal) > 100


def test_a_log_whose_rows_have_moved_to_the_file_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prediction_service.journal.writer._COMMITS_BETWEEN_CHECKPOINTS", 20)
    monkeypatch.setattr("prediction_service.journal.writer._LOG_RESTART_PAGES", 50)
    log = tmp_path / "journal.sqlite-wal"
    with closing(Journal(tmp_path / "journal.sqlite", max_bytes=PLENTY)) as journal:
        journal.maintain()
        for number in range(1000):
            keep_predictions(journal, [number])
            if number % 10 == 0:
                journal.maintain()
        assert log.stat().st_size < 1_000_000


def test_the_bound_holds_for_the_file_on_disk_too(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.sqlite", max_bytes=512 * 1024)) as journal:
        fill(journal)
        journal.maintain()
        assert (tmp_path / "journal.sqlite").stat().st_size < 1.5 * 512 * 1024


def test_the_bound_is_known_again_after_a_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(Journal(path, max_bytes=256 * 1024)) as journal:
        fill(journal)
        journal.maintain()
        used = journal.bytes_used
    with closing(Journal(path, max_bytes=256 * 1024)) as again:
        assert again.bytes_used == used
        assert again.row_counts() == journal.row_counts()


# Erasure --------------------------------------------------------------------------------------------------------------


def test_erasing_removes_the_prediction_and_its_labels_and_tells_the_sinks(
    journal: Journal, reader: JournalReader
) -> None:
    keep(journal, prediction("r1"), label("r1"), label("r1", "no"), prediction("r10"), label("r10"), label("r2"))
    assert journal.erase("r1", "garden") == 3
    left = [row.event for row in reader.after(0, limit=10)]
    assert [(type(event), event.record_id) for event in left] == [
        (Prediction, "r10"),
        (Label, "r10"),
        (Label, "r2"),
        (Erasure, "r1"),
    ]
    assert reader.prediction("r1") is None
    assert journal.row_counts() == {"prediction": 1, "label": 2, "erasure": 1}


def test_erasing_an_id_leaves_longer_ids_alone(journal: Journal) -> None:
    keep(journal, *(label(record_id) for record_id in ("r1", "r1:a", "r1:", "r", "r10")))
    assert journal.erase("r1", "garden") == 1
    assert journal.row_counts() == {"label": 4, "erasure": 1}


def test_erasing_what_is_not_here_tells_the_sinks_all_the_same(journal: Journal, reader: JournalReader) -> None:
    keep_predictions(journal, [1])
    assert journal.erase("r", "garden") == 0
    assert [(type(row.event), row.event.record_id) for row in reader.after(1, limit=9)] == [(Erasure, "r")]


def test_erasing_again_leaves_one_entry_that_is_new_to_the_sinks(journal: Journal, reader: JournalReader) -> None:
    keep_predictions(journal, [1])
    assert [journal.erase("r1", "garden") for _ in range(3)] == [1, 0, 0]
    assert seqs(reader) == [4]
    assert journal.row_counts() == {"erasure": 1}


def test_an_erased_id_can_not_be_used_again_while_its_entry_stands(journal: Journal, reader: JournalReader) -> None:
    first = prediction("r1", seed=1)
    keep(journal, first)
    journal.erase("r1", "garden")
    for again in (first, prediction("r1", seed=2)):
        (kept,) = keep(journal, again)
        assert not kept.new
        assert kept.content_hash != again.content_hash
    assert reader.prediction("r1") is None
    assert list(reader.predictions(limit=9)) == []


def test_the_size_of_what_is_erased_is_given_back(journal: Journal) -> None:
    keep_predictions(journal, [1])
    before = journal.bytes_used
    keep_predictions(journal, [2])
    journal.erase("r2", "garden")
    with_erasure = journal.bytes_used
    assert before < with_erasure < before + 600
    journal.erase("r2", "garden")
    assert journal.bytes_used == with_erasure


def test_a_full_journal_still_erases(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.sqlite", max_bytes=256 * 1024)) as journal:
        fill(journal)
        assert journal.erase("r0", "garden") == 1


def bytes_on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def test_after_maintenance_no_byte_of_an_erased_record_is_left_in_any_file(journal: Journal) -> None:
    secret = made_record(soil="unforgotten!")
    for number in range(40):
        keep(journal, prediction(f"a{number}"))
    keep(journal, prediction("r1", record=secret, content_hash=content_hash(secret)))
    assert b"unforgotten!" in bytes_on_disk(journal.path)
    journal.maintain()
    journal.erase("r1", "garden")
    journal.maintain()
    assert b"unforgotten!" not in bytes_on_disk(journal.path)


def test_what_a_killed_process_had_erased_is_gone_after_the_next_start(journal: Journal, tmp_path: Path) -> None:
    keep(journal, prediction("r1", record=made_record(soil="unforgotten!")))
    journal.erase("r1", "garden")
    left = tmp_path / "left" / journal.path.name
    left.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{journal.path}{suffix}", f"{left}{suffix}")
    assert b"unforgotten!" in bytes_on_disk(left)
    with closing(Journal(left, max_bytes=PLENTY)) as again:
        again.maintain()
        assert b"unforgotten!" not in bytes_on_disk(left)


def test_an_erasure_waits_for_a_reader_and_is_finished_by_the_next_maintenance(journal: Journal) -> None:
    keep(journal, prediction("r1", record=made_record(soil="unforgotten!")))
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM entries").fetchone()
        journal.erase("r1", "garden")
        journal.maintain()
        assert b"unforgotten!" in bytes_on_disk(journal.path)
        keep_predictions(journal, [2])
    journal.maintain()
    assert b"unforgotten!" not in bytes_on_disk(journal.path)


# Readers --------------------------------------------------------------------------------------------------------------


def test_another_process_reads_while_the_writer_holds_the_file_open(journal: Journal) -> None:
    keep_predictions(journal, range(3))
    code = (
        "import sys, pathlib; from prediction_service.journal.reader import JournalReader;"
        "print([row.event.record_id for row in JournalReader(pathlib.Path(sys.argv[1])).after(0, limit=9)])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, str(journal.path)], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert printed.strip() == "['r0', 'r1', 'r2']"


def test_a_reader_can_not_write(reader: JournalReader) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM entries")


def test_predictions_are_paged_by_number_and_by_time(journal: Journal, reader: JournalReader) -> None:
    at = [f"2026-01-0{day}T00:00:00.000000Z" for day in range(1, 5)]
    keep(journal, *(prediction(f"r{index}", predicted_at=moment) for index, moment in enumerate(at)), label("r1"))
    assert [one.cursor for one in reader.predictions(limit=3)] == ["1", "2", "3"]
    assert [one.cursor for one in reader.predictions(after="3", limit=3)] == ["4"]
    assert [one.cursor for one in reader.predictions(since=at[2], limit=9)] == ["3", "4"]


def test_the_oldest_row_behind_a_number_tells_how_late_a_sink_is(journal: Journal, reader: JournalReader) -> None:
    at = [f"2026-01-0{day}T00:00:00.000000Z" for day in range(1, 4)]
    keep(journal, *(prediction(f"r{index}", predicted_at=moment) for index, moment in enumerate(at)))
    assert [reader.oldest_after(seq) for seq in range(4)] == [*at, None]


# A damaged end --------------------------------------------------------------------------------------------------------

COMMITS = 12


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """The files a killed process leaves, and how long the log was after each commit."""
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    left = path.parent / "left"
    left.mkdir()
    log = path.with_name("journal.sqlite-wal")
    Journal(path, max_bytes=PLENTY).close()  # the tables are in the file itself
    with closing(Journal(path, max_bytes=PLENTY)) as journal:
        lengths = []
        for number in range(COMMITS):
            keep_predictions(journal, [number])
            lengths.append(log.stat().st_size)
        for file in (path, log):
            shutil.copy(file, left / file.name)
    return left / path.name, lengths


def reopened(crashed: Path, folder: Path, log: bytes) -> list[str]:
    """What a journal holds that starts from this log; it must also take the next prediction."""
    path = folder / "journal.sqlite"
    shutil.copy(crashed, path)
    path.with_name("journal.sqlite-wal").write_bytes(log)
    with closing(Journal(path, max_bytes=PLENTY)) as journal:
        found = ids(path)
        keep(journal, prediction("next"))
        assert ids(path) == [*found, "next"]
    for file in folder.glob("journal.sqlite*"):
        file.unlink()
    return found


def expected(lengths: list[int], offset: int) -> list[str]:
    """Every commit that ends before the damage."""
    return [f"r{number}" for number, length in enumerate(lengths) if length <= offset]


def log_of(crashed: Path) -> bytes:
    return crashed.with_name("journal.sqlite-wal").read_bytes()


def offsets(lengths: list[int], step: int) -> list[int]:
    """Every few bytes of the log, and the edges of each commit."""
    edges = {edge for length in lengths for edge in (length - 1, length, length + 1)}
    return sorted({*range(lengths[0], lengths[-1], step), *edges} - {lengths[-1] + 1})


def test_a_log_that_is_cut_anywhere_gives_every_commit_before_the_cut(
    crashed: tuple[Path, list[int]], tmp_path: Path
) -> None:
    path, lengths = crashed
    log = log_of(path)
    for offset in offsets(lengths, 997):
        assert reopened(path, tmp_path, log[:offset]) == expected(lengths, offset), f"cut at {offset}"


def test_a_log_with_a_flipped_byte_anywhere_gives_every_commit_before_it(
    crashed: tuple[Path, list[int]], tmp_path: Path
) -> None:
    path, lengths = crashed
    log = log_of(path)
    for offset in offsets(lengths, 997):
        if offset < len(log):
            damaged = log[:offset] + bytes([log[offset] ^ 0xFF]) + log[offset + 1 :]
            found = reopened(path, tmp_path, damaged)
            assert found == expected(lengths, offset), f"flipped at {offset}"


def test_a_log_with_garbage_behind_it_gives_every_commit(crashed: tuple[Path, list[int]], tmp_path: Path) -> None:
    path, lengths = crashed
    assert reopened(path, tmp_path, log_of(path)[: lengths[-1]] + b"\x5a" * 9000) == expected(lengths, lengths[-1])


def test_a_log_without_a_readable_header_gives_what_the_file_holds(
    crashed: tuple[Path, list[int]], tmp_path: Path
) -> None:
    path, _ = crashed
    assert reopened(path, tmp_path, b"\0" * 32 + log_of(path)[32:]) == []


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_power_durability_syncs_every_commit(tmp_path: Path, durability: str, synchronous: int) -> None:
    with closing(Journal(tmp_path / "journal.sqlite", max_bytes=PLENTY, durability=durability)) as journal:
        assert journal._db.execute("PRAGMA synchronous").fetchone() == (synchronous,)
