"""The check on memory twins: each thing that can be wrong is found by its name, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from answering_server import AnsweringServer
from generator_world import CASES, FakeClock

from event_backbone.errors import SettingsError
from event_backbone.events.schema import Prediction, encode_json
from event_backbone.in_memory.log import MemoryLog
from event_backbone.web.http_client import own_client
from stream_generator.books.digests import AnswerContent, answer_digest, record_digest
from stream_generator.books.file import BookedAnswer, BookedRecord, BookedRun, BooksWriter, read_books
from stream_generator.checking import command as command_module
from stream_generator.checking.command import CheckCommand
from stream_generator.checking.comparing import CountFinding, StoreComparison, StoreFinding
from stream_generator.checking.stores import RecordedStore, ReplicaStore
from stream_generator.recording.log import LogRecording
from stream_generator.recording.port import Period, Recorded, Recording, answered_of
from stream_generator.sending.retrying import Patience, Persistence
from stream_generator.settings import GeneratorSettings

MODEL = {"name": "m", "version": "1"}
AT = "2026-01-31T08:00:01.000000Z"


def kept(record_id: str, size: int = 1, **changed: Any) -> Prediction:
    content = {
        "record_id": record_id,
        "case": "census",
        "case_sha256": "0",
        "record": {"size": float(size)},
        "prediction": "yes",
        "score": 0.5,
        "model": MODEL,
        "bundle_sha256": "0",
        "predicted_at": AT,
        "content_hash": "h",
    }
    return msgspec.convert({**content, **changed}, Prediction)


def recorded(prediction: Prediction) -> Recorded:
    return Recorded(
        "", prediction.record, None, prediction.record_id, prediction.predicted_at, answered=answered_of(prediction)
    )


def write_books(path: Path, *answered: Prediction, unanswered: tuple[str, ...] = (), before: int | None = 0) -> Path:
    books = BooksWriter(path)
    books.write([BookedRun("check-1", "census", "t", "2026-01-31T08:00:00.000000Z", before)])
    for one in answered:
        content = AnswerContent(one.record_id, one.prediction, one.score, one.model, one.case, one.predicted_at)
        books.write([BookedRecord(one.record_id, record_digest({"size": 1}))])
        books.write([BookedAnswer(one.record_id, answer_digest(content))])
    books.write(BookedRecord(record_id, record_digest({"size": 1})) for record_id in unanswered)
    books.close()
    return path


def finding(tmp_path: Path, found: list[Prediction], *, may_repeat: bool = False) -> StoreFinding:
    """Of a store that holds these, where ``a`` to ``c`` were answered and ``d`` was sent."""
    path = write_books(tmp_path / "a.books", kept("a"), kept("b"), kept("c"), unanswered=("d",))
    comparison = StoreComparison("store", read_books(path, "census"), may_repeat=may_repeat)
    comparison.take(recorded(one) for one in found)
    return comparison.finding()


ALL = [kept("a"), kept("b"), kept("c")]
WELL = StoreFinding("store", kept=3, unanswered=0, repeated=0, lost=[], doubled=[], differing=[])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ALL, {}),
        ([*ALL, kept("z")], {}),
        ([*ALL, kept("d")], {"kept": 4, "unanswered": 1}),
        (ALL[:2], {"kept": 2, "lost": ["c"]}),
        ([*ALL, kept("b")], {"doubled": ["b"]}),
        ([*ALL[:2], kept("c", size=2)], {"differing": ["c"]}),
        ([*ALL[:2], kept("c", score=0.6)], {"differing": ["c"]}),
        ([*ALL[:2], kept("c", predicted_at="2026-01-31T08:00:02.000000Z")], {"differing": ["c"]}),
        ([*ALL, kept("d", size=2)], {"kept": 4, "unanswered": 1, "differing": ["d"]}),
    ],
)
def test_what_a_log_holds_is_compared_with_the_books(
    found: list[Prediction], expected: dict[str, Any], tmp_path: Path
) -> None:
    assert finding(tmp_path, found) == msgspec.structs.replace(WELL, **expected)


def test_a_topic_may_say_the_same_again_and_nothing_else(tmp_path: Path) -> None:
    again = finding(tmp_path, [*ALL, kept("a"), kept("a")], may_repeat=True)
    assert (again.repeated, again.is_well) == (2, True)
    other = finding(tmp_path, [*ALL, kept("a", score=0.6)], may_repeat=True)
    assert (other.differing, other.is_well) == (["a"], False)


def test_two_answers_to_one_id_must_be_the_same(tmp_path: Path) -> None:
    path = write_books(tmp_path / "a.books", kept("a"), kept("a", score=0.6))
    comparison = StoreComparison("store", read_books(path, "census"), may_repeat=False)
    comparison.take([recorded(kept("a"))])
    assert comparison.finding().differing == ["a"]


@pytest.mark.parametrize(("counted", "fault"), [(2, "lost"), (3, None), (4, None), (5, "doubled")])
def test_monitoring_counts_each_answered_record_and_perhaps_those_without_an_answer(
    counted: int, fault: str | None
) -> None:
    assert CountFinding("monitoring", counted, answered=3, sent=4).fault == fault


class LaterLog(MemoryLog):
    """Holds something more each time it is asked for the first page."""

    def __init__(self, coming: list[Prediction]) -> None:
        super().__init__()
        self.coming = coming
        self.asked: list[str | None] = []

    def predictions(self, **asked: Any) -> Any:
        if asked.get("after") is None:
            self.asked.append(asked.get("since"))
            if self.coming:
                self.keep([self.coming.pop(0)])
        return super().predictions(**asked)


@pytest.fixture
def run_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command on a log in memory and a replica that answers what it is told."""
    clock = FakeClock()
    retries = Persistence(clock, Patience(total_s=1.0))

    def run(log: MemoryLog | None, books: Path, **options: Any) -> int:
        def open_source(_source: str, wanted: Any) -> LogRecording:
            assert log is not None
            return LogRecording(log, wanted.period, wanted.now, retries, with_labels=False)

        monkeypatch.setattr(command_module, "open_recording", open_source)
        default = CheckCommand(
            GeneratorSettings(case="census", cases_dir=CASES), books, ["mongodb://x"], None, 5.0, False, None, clock
        )
        return replace(default, **options).execute()

    return run


def test_what_is_on_its_way_is_waited_for(
    run_check: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = LaterLog([kept("a"), kept("b")])
    assert run_check(log, write_books(tmp_path / "a.books", kept("a"), kept("b"))) == 0
    assert "all is accounted for" in capsys.readouterr().out
    assert log.asked == ["2026-01-31T07:55:00.000000Z"] * 2


def test_what_a_wrong_clock_dated_is_found_at_last_and_what_is_nowhere_is_lost(
    run_check: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    early = kept("a", predicted_at="2020-01-01T00:00:00.000000Z")
    report = tmp_path / "report.json"
    books = write_books(tmp_path / "a.books", early, kept("b"))
    assert run_check(LaterLog([early]), books, report_path=report) == 1
    assert "lost       b\n" in capsys.readouterr().out
    content = msgspec.json.decode(report.read_bytes())
    assert (content["stores"][0]["kept"], content["stores"][0]["lost"]) == (1, ["b"])


def test_monitoring_without_a_count_before_is_refused(run_check: Callable[..., int], tmp_path: Path) -> None:
    books = write_books(tmp_path / "a.books", kept("a"), before=None)
    with pytest.raises(SettingsError, match="what it had counted before"):
        run_check(MemoryLog(), books, monitoring_url="http://127.0.0.1:1")
    with pytest.raises(SettingsError, match="name the replicas"):
        run_check(MemoryLog(), books, erase=True)


def test_monitoring_is_asked_what_it_counted(
    run_check: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = AnsweringServer({"GET /api/state": b'{"totals":{"predictions":8}}'})
    log = LaterLog([kept("a")])
    for before, code in ((7, 0), (6, 1)):
        books = write_books(tmp_path / f"{before}.books", kept("a"), before=before)
        assert run_check(log, books, monitoring_url=server.url) == code
    server.close()
    assert "counted 2, expected 1: doubled" in capsys.readouterr().out


def replica_store(url: str) -> ReplicaStore:
    return ReplicaStore(url, own_client(timeout_s=5), Persistence(FakeClock(), Patience(total_s=1.0)))


def test_a_replica_is_asked_for_each_record_and_erases_them(tmp_path: Path) -> None:
    books = read_books(write_books(tmp_path / "a.books", kept("a"), kept("b")), "census")
    answer = {"rows_erased": 1, "erased": [], "not_erased": [{"record_id": "b", "reason": "the journal is full"}]}
    server = AnsweringServer(
        {"GET /predictions/a": encode_json(kept("a")), "POST /predictions/erase": msgspec.json.encode(answer)}
    )
    store = replica_store(server.url)
    comparison = StoreComparison(store.name, books, may_repeat=False)
    comparison.take(store.find(books, everywhere=False))
    assert (comparison.finding().lost, comparison.finding().differing) == (["b"], [])
    assert store.erase(list(books.records)) == ["b: the journal is full"]
    server.close()


def test_what_a_replica_says_can_move_no_cursor(
    run_check: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = {"not_erased": [{"record_id": "a", "reason": "\x1b[2J"}]}
    server = AnsweringServer(
        {"GET /predictions/a": encode_json(kept("a")), "POST /predictions/erase": msgspec.json.encode(answer)}
    )
    books = write_books(tmp_path / "a.books", kept("a"))
    assert run_check(None, books, store_urls=[server.url], erase=True) == 1
    server.close()
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "1 still there" in shown


def test_what_is_no_prediction_service_is_named(tmp_path: Path) -> None:
    books = read_books(write_books(tmp_path / "a.books", kept("a")), "census")
    server = AnsweringServer({"GET /predictions/a": b"<html>", "POST /predictions/erase": b"[]"})
    with pytest.raises(SettingsError, match="no prediction"):
        list(replica_store(server.url).find(books, everywhere=False))
    with pytest.raises(SettingsError, match="not what it erased"):
        replica_store(server.url).erase(["a"])
    server.close()


def test_a_store_is_named_without_a_login() -> None:
    def never_opened(_period: Period) -> Recording:
        raise AssertionError

    assert RecordedStore("mongodb://ada:secret@db/streamgauge", never_opened).name == "mongodb://db/streamgauge"
    topics = RecordedStore("kafka://ada:secret@broker:9092/ns", never_opened)
    assert (topics.name, topics.may_repeat) == ("kafka://broker:9092/ns#predictions", True)
