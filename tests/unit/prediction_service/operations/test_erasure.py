"""Erasing at every place: what is asked, what is said, and what happens when a place is away."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from prediction_world import call, made_case, made_record, prediction, serving, write_case

from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import Envelope, Erasure, encode_json, event_id
from event_backbone.in_memory.sink import MemorySink
from event_backbone.ports import Delivered
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.process.file_lock import try_lock
from event_backbone.web.http_client import HttpAnswer
from prediction_service import __main__ as command
from prediction_service import bootstrap
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.slots import JOURNAL_FILE
from prediction_service.journal.writer import Journal, JournalUnavailableError
from prediction_service.operations.erasure import (
    MOST_IDS_NAMED,
    SOURCE,
    ErasureOutcome,
    ErasureTarget,
    IdleJournals,
    LocalErasure,
    NotErasedError,
    ReplicaErasure,
    SinkErasure,
    check_record_ids,
    erase_everywhere,
)
from prediction_service.serving.stored_predictions import NotErased, erase_each

ERASURE = Erasure("r1", "garden", "2026-01-01T00:00:00.000000Z")
MARKER = "nowhere-else"


class Away:
    """A place that can't be reached."""

    name = "away"

    def erase(self, _erasures: Sequence[Erasure]) -> str:
        raise TryAgainLaterError("gives no answer")


class Remembering:
    def __init__(self) -> None:
        self.name = "there"
        self.asked: list[list[str]] = []

    def erase(self, erasures: Sequence[Erasure]) -> str:
        self.asked.append([erasure.record_id for erasure in erasures])
        return "done"


def journal_with(slot: Path, *record_ids: str) -> Path:
    """A journal that a server which is gone has left."""
    journal = Journal(slot / JOURNAL_FILE, max_bytes=2**30)
    for record_id in record_ids:
        journal.append([entry_of(prediction(record_id, record=made_record(soil=MARKER)))])
    journal.close()
    return slot / JOURNAL_FILE


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_place_that_is_away_keeps_none_of_the_others_from_being_asked() -> None:
    there = Remembering()
    outcomes = list(erase_everywhere(["r1", "r2", "r1"], "garden", [Away(), there]))
    assert outcomes == [ErasureOutcome("away", False, "gives no answer"), ErasureOutcome("there", True, "done")]
    assert there.asked == [["r1", "r2"]]


def test_every_id_that_cannot_be_one_is_named() -> None:
    with pytest.raises(SettingsError) as wrong:
        check_record_ids(["good-1", "not an id", ""])
    assert [fault.place for fault in wrong.value.faults] == ["'not an id'", "''"]


# Sinks ----------------------------------------------------------------------------------------------------------------


def test_a_sink_gets_erasures_with_numbers_that_rise_from_run_to_run() -> None:
    sink, now_us = MemorySink(), iter([1_000, 2_000])
    place = SinkErasure(sink, clock_us=lambda: next(now_us))
    assert place.erase([ERASURE]) == "told to erase 1"
    later = Erasure("r1", "garden", "2026-01-02T00:00:00.000000Z")
    place.erase([later])
    assert list(sink.kept.values()) == [Envelope(SOURCE, 1_000, ERASURE), Envelope(SOURCE, 2_000, later)]


def test_many_ids_go_to_a_sink_in_parts() -> None:
    sizes = []

    class Counting(MemorySink):
        def deliver(self, batch: Sequence[Envelope]) -> Delivered:
            sizes.append(len(batch))
            return super().deliver(batch)

    sink = Counting()
    erasures = [Erasure(f"r{number}", "garden", ERASURE.erased_at) for number in range(1_201)]
    SinkErasure(sink).erase(erasures)
    assert sizes == [500, 500, 201]
    assert set(sink.kept) == {event_id(erasure) for erasure in erasures}


def test_a_sink_that_refuses_has_not_erased() -> None:
    sink = MemorySink()
    sink.refuse = lambda _envelope: "case"
    [outcome] = erase_everywhere(["r1"], "garden", [SinkErasure(sink)])
    assert (outcome.done, outcome.text) == (False, "told to erase 0; not erased: r1: refused (case)")


def test_an_id_that_a_sink_refuses_keeps_none_of_the_others_from_being_erased() -> None:
    sink = MemorySink()
    sink.refuse = lambda envelope: "malformed" if envelope.event.record_id.endswith("7") else None
    erasures = [Erasure(f"r{number}", "garden", ERASURE.erased_at) for number in range(600)]
    with pytest.raises(NotErasedError) as failed:
        SinkErasure(sink).erase(erasures)
    assert str(failed.value).startswith("told to erase 540; not erased: r7: refused (malformed); r17: refused")
    assert str(failed.value).endswith(f"; and {60 - MOST_IDS_NAMED} more")
    assert len(sink.kept) == 540


# Replicas -------------------------------------------------------------------------------------------------------------


class Stub:
    """A replica that answers every request alike but for ids that end with "bad"; it notes paths, and keys or ids."""

    def __init__(self, status: int, content: object) -> None:
        self.asked: list[tuple[str, ...]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_DELETE(self) -> None:
                stub.asked.append((self.path, self.headers["Authorization"]))
                self._answer(status, content)

            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.asked.append((self.path, *sent["record_ids"]))
                self._answer(status, content)

            def _answer(self, code: int, document: object) -> None:
                if self.path.endswith("bad"):
                    code, document = 503, {}
                body = encode_json(document)
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not told."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.place = ReplicaErasure(f"http://127.0.0.1:{self._server.server_port}/", api_key="good-key", timeout_s=5)

    def __enter__(self) -> Stub:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.mark.parametrize(
    ("status", "content", "done", "text"),
    [
        (200, {"record_id": "r1", "rows_erased": 2}, True, "2 rows removed"),
        (200, {"record_id": "r1", "rows_erased": 1}, True, "1 row removed"),
        (200, {"record_id": "r1", "rows_erased": 0}, True, "0 rows removed"),
        (
            404,
            {},
            False,
            "0 rows removed; not erased: r~1: answered 404",
        ),  # no replica says that: something else listens there
        (401, {}, False, "wants a good API key; give it as API_KEY"),
        (503, {}, False, "0 rows removed; not erased: r~1: answered 503"),
        (302, {}, False, "0 rows removed; not erased: r~1: answered 302"),
    ],
)
def test_what_a_replica_answers_is_told(status: int, content: object, done: bool, text: str) -> None:
    with Stub(status, content) as replica:
        [outcome] = erase_everywhere(["r~1"], "garden", [replica.place])
    assert (outcome.done, outcome.text) == (done, text)
    assert replica.asked == [("/predictions/r~1", "Bearer good-key")]


def test_an_id_that_fails_at_a_replica_keeps_none_of_the_others_from_being_erased() -> None:
    with Stub(200, {"rows_erased": 1}) as replica:
        [outcome] = erase_everywhere(["r1", "bad", "r2"], "garden", [replica.place])
    assert (outcome.done, outcome.text) == (False, "2 rows removed; not erased: bad: answered 503")


def test_an_id_that_no_url_can_carry_is_erased_by_a_body() -> None:
    with Stub(200, {"rows_erased": 1, "erased": [], "not_erased": []}) as replica:
        [outcome] = erase_everywhere([".", "..", "..."], "garden", [replica.place])
    assert (outcome.done, outcome.text) == (True, "3 rows removed")
    assert replica.asked == [
        ("/predictions/erase", "."),
        ("/predictions/erase", ".."),
        ("/predictions/...", "Bearer good-key"),
    ]


def test_what_a_replica_names_as_not_erased_is_told() -> None:
    left = {"rows_erased": 0, "erased": [], "not_erased": [{"record_id": ".", "reason": "the disk is full"}]}
    with Stub(200, left) as replica:
        [outcome] = erase_everywhere(["."], "garden", [replica.place])
    assert (outcome.done, outcome.text) == (False, "0 rows removed; not erased: .: the disk is full")


def test_a_replica_that_goes_away_between_two_ids_leaves_the_others_named() -> None:
    with Stub(200, {"rows_erased": 1}) as replica:
        replica.place._client.send("DELETE", f"{replica.place._url}/r0")
        place, ask = replica.place, replica.place._ask

        def until_it_is_gone(record_id: str) -> HttpAnswer:
            place._url = place._url if record_id == "r1" else "http://127.0.0.1:9/predictions"
            return ask(record_id)

        place._ask = until_it_is_gone  # type: ignore[method-assign]
        [outcome] = erase_everywhere(["r1", "r2", "r3"], "garden", [place])
    assert not outcome.done
    assert outcome.text.startswith("1 row removed; not erased: r2: gives no answer")
    assert "; r3: gives no answer" in outcome.text


def test_a_replica_that_is_not_there_is_told() -> None:
    [outcome] = erase_everywhere(["r1"], "garden", [ReplicaErasure("http://127.0.0.1:9", api_key=None, timeout_s=5)])
    assert not outcome.done
    assert outcome.text.startswith("gives no answer")


def test_on_this_machine_nobody_has_to_answer_when_nobody_writes_a_journal(tmp_path: Path) -> None:
    journal_with(tmp_path / "00", "r1")
    place = LocalErasure(Away(), tmp_path)
    assert place.erase([ERASURE]) == "is not running"
    lock = try_lock(tmp_path / "00" / "writer.lock")
    assert lock is not None
    with pytest.raises(TryAgainLaterError):
        place.erase([ERASURE])
    lock.release()


# Journals without a server --------------------------------------------------------------------------------------------


def test_journals_that_nobody_writes_are_erased_and_say_so_to_their_sinks(tmp_path: Path) -> None:
    paths = [journal_with(tmp_path / f"0{number}", "r1", "r2") for number in range(2)]
    assert IdleJournals(tmp_path).erase([ERASURE, Erasure("r2", "garden", ERASURE.erased_at)]) == (
        "2 journals, 4 rows removed"
    )
    assert MARKER.encode() not in bytes_below(tmp_path)
    for path in paths:
        reader = JournalReader(path)
        events = [row.event for row in reader.after(0, limit=10)]
        reader.close()
        assert [event.record_id for event in events if isinstance(event, Erasure)] == ["r1", "r2"]
        assert len(events) == 2


def test_a_journal_that_is_broken_keeps_none_of_the_others_from_being_erased(tmp_path: Path) -> None:
    broken = tmp_path / "00" / JOURNAL_FILE
    broken.parent.mkdir()
    broken.write_bytes(b"no database" * 1000)
    journal_with(tmp_path / "01", "r1")
    [outcome] = erase_everywhere(["r1"], "garden", [IdleJournals(tmp_path)])
    assert not outcome.done
    assert outcome.text.startswith("2 journals, 1 row removed; not erased: r1: journal 00: ")
    assert MARKER.encode() not in bytes_below(tmp_path / "01")


def test_a_journal_that_a_server_writes_is_left_to_it(tmp_path: Path) -> None:
    path = journal_with(tmp_path / "00", "r1")
    lock = try_lock(tmp_path / "00" / "writer.lock")
    assert lock is not None
    assert IdleJournals(tmp_path).erase([ERASURE]) == "0 journals, 0 rows removed"
    lock.release()
    assert MARKER.encode() in path.read_bytes()


def test_erasing_again_changes_nothing_more(tmp_path: Path) -> None:
    journal_with(tmp_path / "00", "r1")
    assert IdleJournals(tmp_path).erase([ERASURE]) == "1 journal, 1 row removed"
    assert IdleJournals(tmp_path).erase([ERASURE]) == "1 journal, 0 rows removed"


def test_a_running_server_erases_what_its_journal_holds(tmp_path: Path) -> None:
    with serving(tmp_path) as application:
        call(application, "POST", "/predict", encode_json(made_record(record_id="r1", soil=MARKER)))
        assert call(application, "DELETE", "/predictions/r1").status == 200
        assert call(application, "GET", "/predictions/r1").status == 404


def test_ids_that_were_taken_when_any_id_was_are_erased_by_a_body(tmp_path: Path) -> None:
    journal_with(tmp_path / "state" / made_case().name / "journals" / "00", ".", "..")
    with serving(tmp_path) as application:
        order = {"record_ids": [".", "a b", "..", "."]}
        answer = call(application, "POST", "/predictions/erase", encode_json(order))
    assert answer.status == 200
    assert answer.json() == {
        "rows_erased": 2,
        "erased": [{"record_id": ".", "rows_erased": 1}, {"record_id": "..", "rows_erased": 1}],
        "not_erased": [
            {"record_id": "a b", "reason": "record_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : ~ -"}
        ],
    }
    assert MARKER.encode() not in bytes_below(tmp_path)


def test_an_id_that_fails_in_a_journal_keeps_none_of_the_others_from_being_erased(tmp_path: Path) -> None:
    class Refusing(Journal):
        def erase(self, record_id: str, case: str) -> int:
            if record_id == "r2":
                raise JournalUnavailableError("the journal can't be written: disk I/O error")
            return super().erase(record_id, case)

    with contextlib.closing(Refusing(journal_with(tmp_path / "00", "r1", "r2", "r3"), max_bytes=2**30)) as journal:
        result = erase_each(journal, "garden", ["r1", "r2", "r3"])
    assert [one.record_id for one in result.erased] == ["r1", "r3"]
    assert result.not_erased == [NotErased("r2", "the journal can't be written: disk I/O error")]


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs the command on places that a test gives."""
    write_case(tmp_path / "cases")
    for name, value in {"CASE": "garden", "CASES_DIR": str(tmp_path / "cases"), "STATE_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    def run(places: list[ErasureTarget], *arguments: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr(bootstrap, "erasure_targets", lambda *_: places)
        ended = CliRunner().invoke(command.cli, ["erase", *arguments], input=typed)
        return ended.exit_code, ended.output

    return run


def test_the_command_says_what_was_done_at_each_place(command_line: Callable[..., tuple[int, str]]) -> None:
    there = Remembering()
    assert command_line([there], "r1", "r2", "--yes") == (0, "ok        there: done\n")
    assert there.asked == [["r1", "r2"]]


def test_the_command_fails_when_a_place_is_away(command_line: Callable[..., tuple[int, str]]) -> None:
    there = Remembering()
    code, shown = command_line([Away(), there], "r1", "--yes")
    assert code != 0
    assert "NOT DONE  away: gives no answer" in shown
    assert there.asked == [["r1"]]


def test_the_command_asks_before_it_erases(command_line: Callable[..., tuple[int, str]]) -> None:
    there = Remembering()
    code, shown = command_line([there], "r1", typed="n\n")
    assert code == 1
    assert "Erase 1 of case garden, for good?" in shown
    assert there.asked == []
    assert command_line([there], "r1", typed="y\n")[0] == 0
    assert there.asked == [["r1"]]


def test_the_places_are_replicas_idle_journals_and_sinks(tmp_path: Path) -> None:
    settings = bootstrap.ErasingSettings(state_dir=tmp_path, sinks=["http://127.0.0.1:8085"])
    named = [place.name for place in bootstrap.erasure_targets(settings, made_case(), ["http://a:1", "http://b:2"])]
    assert named[:2] == ["replica http://a:1", "replica http://b:2"]
    assert named[2].startswith("idle journals in ")
    assert named[3:] == ["sink monitoring"]
    assert bootstrap.erasure_targets(settings, made_case(), [])[0].name == "replica http://127.0.0.1:9696"
