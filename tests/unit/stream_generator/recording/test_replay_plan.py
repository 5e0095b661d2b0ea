"""Recorded streams, sent again."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from generator_world import FakeClock

from event_backbone.errors import SettingsError
from event_backbone.events.schema import Event, Label, ModelRef, Prediction, encode_json, event_id, format_utc
from stream_generator.recording.port import Period, Recording
from stream_generator.recording.replay_plan import ReplayPlan
from stream_generator.recording.sources import RecordingOptions, open_recording
from stream_generator.sending.retrying import Patience, Persistence
from stream_generator.settings import GeneratorSettings

NOW = "2026-02-01T00:00:00.000000Z"
ALWAYS = Period()
START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


def _at(seconds: float) -> str:
    return format_utc(START + timedelta(seconds=seconds))


def _prediction(record_id: str, seconds: float) -> Prediction:
    model = ModelRef("m", "1")
    return Prediction(record_id, "toy", "0", {"size": int(seconds)}, "yes", 0.5, model, "0", _at(seconds), "h")


def _label(record_id: str, label: str, seconds: float) -> Label:
    return Label(record_id, "toy", label, _at(seconds))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    events: list[tuple[Event, str, str]] = []
    for record_id, seconds in (("a", 0.0), ("a:b", 2.0), ("c", 3.5)):
        events.append((_prediction(record_id, seconds), "prediction", _at(seconds)))
    for record_id, label, seconds in (("a", "no", 9.0), ("a", "yes", 10.0), ("a:b", "no", 11.0)):
        events.append((_label(record_id, label, seconds), "label", _at(seconds)))
    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE entries (seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE, kind TEXT,"
            " record_id TEXT, content_hash TEXT, body BLOB, appended_at TEXT)"
        )
        database.executemany(
            "INSERT INTO entries (event_id, kind, record_id, content_hash, body, appended_at) VALUES (?,?,?,'',?,?)",
            [(event_id(event), kind, event.record_id, encode_json(event), at) for event, kind, at in events],  # type: ignore[union-attr]
        )
    database.close()
    return path


def _lines(tmp_path: Path, *lines: dict[str, Any]) -> Path:
    path = tmp_path / "recorded.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines))
    return path


def _recording(source: Path, period: Period = ALWAYS, *, needs_times: bool = True) -> Recording:
    wanted = RecordingOptions(
        GeneratorSettings(case="toy"), period, NOW, Persistence(FakeClock(), Patience()), needs_times
    )
    return open_recording(str(source), wanted)


def _sent(recording: Recording, **fields: Any) -> list[tuple[str, float | None, Any]]:
    options: dict[str, Any] = {"speed": 1.0, "run_id": "new"} | fields
    return [(item.record_id, item.due_s, item.label) for item in ReplayPlan(**options).items(recording.items())]


def test_a_journal_is_replayed_in_order_with_its_gaps_and_latest_labels(journal: Path) -> None:
    recording = _recording(journal)
    assert recording.count() == 3
    assert _sent(recording, speed=10.0) == [("a", 0.0, "yes"), ("a:b", 0.2, "no"), ("c", 0.35, None)]


def test_a_journal_is_named_by_a_url_as_well(journal: Path) -> None:
    wanted = RecordingOptions(GeneratorSettings(case="toy"), ALWAYS, NOW, Persistence(FakeClock(), Patience()))
    assert open_recording(f"sqlite:///{journal}", wanted).count() == 3


def test_labels_keep_their_recorded_times(journal: Path) -> None:
    items = list(ReplayPlan(None, "r", labelled_at=NOW).items(_recording(journal).items()))
    assert [item.labelled_at for item in items] == [_at(10.0), _at(11.0), NOW]


def test_the_records_of_a_journal_are_sent_as_they_were(journal: Path) -> None:
    items = list(ReplayPlan(None, "r", send_labels=False).items(_recording(journal).items()))
    assert msgspec.json.decode(items[2].body or b"") == {"size": 3, "record_id": "c"}
    assert [item.label for item in items] == [None, None, None]


def test_a_period_is_taken_from_a_journal(journal: Path) -> None:
    period = Period(START + timedelta(seconds=2), START + timedelta(seconds=3.5))
    recording = _recording(journal, period)
    assert (recording.count(), [recorded.record_id for recorded in recording.items()]) == (1, ["a:b"])


def test_a_journal_is_only_read(journal: Path) -> None:
    before = journal.read_bytes()
    list(_recording(journal).items())
    assert journal.read_bytes() == before


def test_as_fast_as_possible_leaves_the_gaps_out(journal: Path) -> None:
    sent = _sent(_recording(journal, needs_times=False), speed=None, new_ids=True, send_labels=False)
    assert sent == [("new-0", None, None), ("new-1", None, None), ("new-2", None, None)]


def test_lines_keep_the_ids_they_have(tmp_path: Path) -> None:
    path = _lines(tmp_path, {"record": {"x": 1}, "record_id": "mine"}, {"record": {"x": 2}, "label": 3.5})
    assert _sent(_recording(path, needs_times=False)) == [("mine", None, None), ("new-1", None, 3.5)]


def test_a_period_is_taken_from_lines(tmp_path: Path) -> None:
    path = _lines(tmp_path, *({"record": {}, "record_id": f"r{at}", "at": _at(at)} for at in (0, 5, 9)))
    recording = _recording(path, Period(since=START + timedelta(seconds=5)), needs_times=False)
    assert _sent(recording) == [("r5", 0.0, None), ("r9", 4.0, None)]


def test_gaps_need_times(tmp_path: Path) -> None:
    path = _lines(tmp_path, {"record": {}, "at": _at(0)}, {"record": {}}, {"record": {}, "at": "yesterday"})
    with pytest.raises(SettingsError) as raised:
        _recording(path)
    assert [fault.place for fault in raised.value.faults] == ["line 2", "line 3"]


def test_a_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        _recording(tmp_path / "none")
    other = tmp_path / "other.sqlite"
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE things (x)")
    database.close()
    with pytest.raises(SettingsError, match="is no readable journal"):
        _recording(other)
