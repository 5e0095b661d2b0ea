"""Books on disk: what is written is there whatever happens to the writer, and a torn line costs itself alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from generator_world import FakeClock, FakeServer

from event_backbone.errors import SettingsError, StopError
from stream_generator.books.booked_target import BookedTarget
from stream_generator.books.digests import answer_digest_of_body, record_digest, record_digest_of_body
from stream_generator.books.file import BookedAnswer, BookedRecord, BookedRun, BookEntry, BooksWriter, read_books
from stream_generator.sending.planning import Outgoing, request_body
from stream_generator.sending.retrying import NoAnswerError, Patience, Sender
from stream_generator.sending.targets import HttpTarget

RUN = BookedRun("check-1", "toy", "http://127.0.0.1:9696", "2026-01-31T08:00:00.000000Z")


def written(path: Path, *entries: BookEntry) -> Path:
    books = BooksWriter(path)
    books.write([RUN, *entries])
    books.close()
    return path


def test_entries_come_back_by_record(tmp_path: Path) -> None:
    path = written(tmp_path / "a.books", BookedRecord("a", "1"), BookedRecord("b", "2"), BookedAnswer("a", "x"))
    books = read_books(path, "toy")
    assert books.runs == [RUN]
    assert {record_id: (one.record_hash, one.answers) for record_id, one in books.records.items()} == {
        "a": ("1", {"x"}),
        "b": ("2", set()),
    }
    assert books.answered == 1


def test_a_later_run_goes_on_behind_a_torn_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.books", BookedRecord("a", "1"))
    with path.open("ab") as file:
        file.write(b'{"entry":"answered","record_id":"a"')
    written(path, BookedRecord("b", "2"), BookedAnswer("b", "y"))
    books = read_books(path, "toy")
    assert (len(books.runs), books.torn_lines) == (2, 1)
    assert books.records["a"].answers == set()
    assert books.records["b"].answers == {"y"}


def test_what_was_written_outlives_the_process(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from stream_generator.books.file import *;"
        "books = BooksWriter(Path(sys.argv[1]));"
        "books.write([BookedRun('r', 'toy', 't', '2026-01-31T08:00:00Z'), BookedRecord('a', '1')]);"
        "books.write([BookedAnswer('a', 'x')]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "killed.books"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert read_books(path, "toy").records["a"].answers == {"x"}
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b'{"record": {}}\n', b"\x00\xff\n"])
def test_what_is_no_books_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.books"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="hold no run"):
        read_books(path, "toy")


def test_books_of_another_case_or_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="are of case toy, not of shop"):
        read_books(written(tmp_path / "a.books"), "shop")
    with pytest.raises(SettingsError, match="no such file"):
        read_books(tmp_path / "none.books", "toy")
    with pytest.raises(SettingsError, match="is a directory"):
        BooksWriter(tmp_path)


def test_a_full_disk_stops_the_run_before_a_record_is_sent_unbooked() -> None:
    server = FakeServer()
    target = BookedTarget(HttpTarget(Sender(server, FakeClock(), Patience())), BooksWriter(Path("/dev/full")))
    with pytest.raises(StopError, match="no space left"):
        target.send_records([Outgoing("a", request_body("a", {"size": 1}), None, None)])
    assert server.requests == []


def test_each_record_is_booked_before_it_is_sent_and_its_answer_after(tmp_path: Path) -> None:
    path = written(tmp_path / "a.books")
    server = FakeServer()
    seen: list[tuple[int, int]] = []

    def look() -> None:
        books = read_books(path, "toy")
        seen.append((len(books.records), books.answered))

    server.before_answer = look
    target = BookedTarget(HttpTarget(Sender(server, FakeClock(), Patience())), BooksWriter(path))
    for record_id in ("a", "b"):
        target.send_records([Outgoing(record_id, request_body(record_id, {"size": 1}), None, None)])
    assert seen == [(1, 0), (2, 1)]
    books = read_books(path, "toy")
    assert books.records["b"].record_hash == record_digest({"size": 1})
    answered = msgspec.json.encode({"record_id": "b", "score": 0.5})
    assert books.records["b"].answers == {answer_digest_of_body(answered)}


def test_what_got_no_answer_is_booked_as_sent(tmp_path: Path) -> None:
    path = written(tmp_path / "a.books")
    server = FakeServer([NoAnswerError("connection")] * 100)
    target = BookedTarget(HttpTarget(Sender(server, FakeClock(), Patience(total_s=0.1))), BooksWriter(path))
    target.send_records([Outgoing("a", request_body("a", {"size": 1}), None, None)])
    assert not read_books(path, "toy").records["a"].is_answered


def test_digests_do_not_depend_on_how_a_number_or_an_object_is_written() -> None:
    assert record_digest_of_body(b'{"record_id":"a","size":5,"colour":"red"}') == record_digest(
        {"colour": "red", "size": 5.0}
    )
    assert record_digest({"size": 5}) != record_digest({"size": 6})
    answer = b'{"record_id":"a","prediction":"yes","score":0.5,"model":{"name":"m","version":"1"},"case":"toy",'
    now, later = answer + b'"predicted_at":"2026-01-31T08:00:00Z"}', answer + b'"predicted_at":"2026-01-31T08:00:01Z"}'
    assert answer_digest_of_body(now) == answer_digest_of_body(now.replace(b",", b", "))
    assert answer_digest_of_body(now) != answer_digest_of_body(later)
    assert answer_digest_of_body(b"nothing").startswith("unreadable:")


def test_a_line_is_written_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or threads of one process, and a process that is killed, would tear lines apart."""
    writes: list[bytes] = []
    real = os.write
    books = BooksWriter(tmp_path / "a.books")
    monkeypatch.setattr(os, "write", lambda descriptor, lines: writes.append(lines) or real(descriptor, lines))
    books.write([RUN, BookedRecord("a", "1")])
    assert [line.count(b"\n") for line in writes] == [2]


def test_a_number_that_no_float_holds_has_a_digest_of_its_own() -> None:
    """A store may hold it, whoever wrote it."""
    digests = {record_digest({"a": number}) for number in (10**400, 10**400 + 1, 1, 1.0)}
    assert len(digests) == 3
