"""Decoders of files that people, registries and other machines bring, and of places in a stream (cursors)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fuzzed_decoder import Decoder, NothingTakenError
from fuzzed_inputs import Contents, Texts
from fuzzed_over_http import GARDEN, RECORD
from mutations import as_json
from prediction_world import case_content, made_record, servable_parts
from yaml import safe_dump, safe_load

from event_backbone.case.files import load_case
from event_backbone.errors import RejectedError, SettingsError, StopError
from event_backbone.events.schema import encode_json
from event_backbone.guards.api_keys import line_for, parse_keys
from event_backbone.model.bundle import MANIFEST, BrokenBundleError, decode_file, open_bundle
from event_backbone.model.bundle import write_bundle as write
from event_backbone.model.encoder import Encoder
from event_backbone.model.onnx_external_data import external_files
from event_backbone.model.scoring import DecisionThreshold, _Golden
from event_backbone.mongodb.log import _behind
from event_backbone.prediction_log.sqlite import SqliteLog
from prediction_service.journal.writer import Journal
from stream_generator.books.file import BookedAnswer, BookedRecord, BookedRun, _encode, read_books
from stream_generator.recording.jsonl import LinesRecording
from stream_generator.recording.kafka import _spans_of
from stream_generator.recording.port import Period
from stream_generator.scenario.records import read_rows
from stream_generator.scenario.scenarios import load_scenarios
from stream_generator.sending.resuming import Mark, ReplayOf, ReplayState, StateFile
from training.data.parsing import read_file
from training.data.raw import load_raw
from training.data.rows_on_disk import rows_in_lines
from training.data.synthetic import load_sample
from training.quality.expectations import expectations_of
from training.server.runs_file import RunsFile
from training.weekly.new_records import records_in_file

#: PyYAML is Python all through: what is larger takes long, and is an operator's own.
MOST_YAML_BYTES = 2000
CASE_FILE = safe_dump({**case_content(), "columns": case_content()["columns"][:3]}, sort_keys=False).encode()
CSV_LINE = b"5,7,1.5,,clay,rose,yes\n"
CSV_HEADER = b"leaves,plot,height,drift_south,soil,neighbour,flowers\n"
KEY_LINES = line_for("ada", "k" * 43).encode() + b":2030-01-01\n# nothing\n"
REPLAY = ReplayOf("shop", "a", "b")
EXPECTATIONS = b"""expectations:
- type: expect_column_values_to_be_between
  kwargs: {column: leaves, min_value: 0}
  why: counted
"""
SCENARIOS = b"""scenarios:
- name: hot
  title: Hot summer
  description: Plants grow taller.
  of_count: {start: 0.5, ramp: 0.1}
  of_endless: {start: 1000, end: 2000}
  changes:
  - {kind: scale, column: height, factor: 1.2}
"""


class Folder:
    """Writes an input where a decoder of files looks for it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def read_by(self, read: Callable[[Path], object]) -> Callable[[bytes], object]:
        def written_and_read(content: bytes) -> object:
            self.path.write_bytes(content)
            return read(self.path)

        return written_and_read


def in_files(folder: Path) -> dict[str, Decoder]:
    wrong = (SettingsError,)
    return {
        "case file": _file(folder, "garden.yaml", load_case, wrong, _yaml(CASE_FILE)),
        "scenarios": _file(
            folder, "garden.scenarios.yaml", lambda path: load_scenarios(GARDEN, path.parent), wrong, _yaml(SCENARIOS)
        ),
        "expectations": _file(folder, "e.yaml", lambda path: expectations_of(GARDEN, path), wrong, _yaml(EXPECTATIONS)),
        "keys": Decoder(lambda text: parse_keys(text, "keys"), wrong, Texts(Contents([KEY_LINES], ""))),
        "CSV": Decoder(_read_csv, (NothingTakenError,), Contents([CSV_HEADER + CSV_LINE * 2], "")),
        **_bundles(folder / "bundles"),
        **_streams(folder),
        **_of_training(folder),
        **_cursors(folder),
    }


def _yaml(content: bytes) -> Contents:
    """JSON is YAML as well, and can be spoiled as a tree."""
    return Contents([content, as_json(safe_load(content))], "json", MOST_YAML_BYTES)


def _file(
    folder: Path, name: str, read: Callable[[Path], object], refusals: tuple[type[Exception], ...], inputs: Contents
) -> Decoder:
    return Decoder(Folder(folder, name).read_by(read), refusals, inputs)


def _read_csv(content: bytes) -> object:
    found = read_file(GARDEN, GARDEN.data.files[0], content)
    if not found.rows.records:
        raise NothingTakenError
    return found


# Bundles --------------------------------------------------------------------------------------------------------------


def _bundles(folder: Path) -> dict[str, Decoder]:
    broken, parts = (BrokenBundleError,), servable_parts(GARDEN)
    place = folder / "bundle"
    write(place, GARDEN, {"decision.json": parts["decision.json"]})
    manifest = Folder(place, MANIFEST)
    good = manifest.path.read_bytes()

    def part(name: str, decode: Callable[[bytes], object]) -> Decoder:
        return Decoder(decode, broken, Contents([parts[name]]))

    return {
        "manifest": Decoder(manifest.read_by(lambda path: open_bundle(path.parent)), broken, Contents([good])),
        "encoder": part("encoder.json", Encoder.from_json),
        "decision threshold": part("decision.json", lambda body: decode_file(body, DecisionThreshold, at="it")),
        "golden rows": part("golden.json", lambda body: decode_file(body, _Golden, at="it")),
        "ONNX files outside": Decoder(external_files, (ValueError,), Contents(_models(parts["model.onnx"]), "")),
    }


def _models(model: bytes) -> list[bytes]:
    """With and without the name of a file outside: a graph with a tensor whose entry has a location."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    entry = field(1, b"location") + field(2, b"weights.bin")
    tensor = field(13, b"")[:0] + bytes([13 << 3 | 2, len(entry)]) + entry
    return [model[:2000], field(7, field(5, tensor) + field(1, field(5, field(5, tensor))))]


# Streams --------------------------------------------------------------------------------------------------------------


def _streams(folder: Path) -> dict[str, Decoder]:
    wrong = (SettingsError,)
    record = made_record()
    line = encode_json({"record": record, "label": "yes", "record_id": "r1", "at": "2026-01-01T00:00:00Z"})
    entries = [BookedRun("r", "garden", "t", "2026-01-01T00:00:00Z"), BookedRecord("r1", "h"), BookedAnswer("r1", "a")]
    state = encode_json(ReplayState(REPLAY, "r", "2026-01-01T00:00:00Z", Mark(3, "7")))
    lines, row = Contents([line + b"\n" + line], "lines"), encode_json({"record": record, "label": "yes"})
    return {
        "recorded lines": _file(folder, "r.jsonl", _recorded_lines, wrong, lines),
        "rows of a stream": _file(folder, "s.jsonl", read_rows, wrong, Contents([row + b"\n" + row], "lines")),
        "books": _file(
            folder,
            "books.jsonl",
            lambda path: read_books(path, "garden"),
            wrong,
            Contents([b"\n".join(map(_encode, entries))], "lines"),
        ),
        "replay state": _file(
            folder, "state.json", lambda path: StateFile(path).read(REPLAY), wrong, Contents([state])
        ),
        "new records in NDJSON": _file(
            folder, "new.jsonl", _new_records, wrong, Contents([RECORD + b"\n" + line], "lines")
        ),
        "new records in CSV": _file(
            folder, "new.csv", _new_records, wrong, Contents([CSV_HEADER + CSV_LINE, b"record_id," + CSV_HEADER], "")
        ),
    }


def _recorded_lines(path: Path) -> object:
    return list(LinesRecording(path, Period(), needs_times=True).items())


def _new_records(path: Path) -> object:
    return list(records_in_file(GARDEN, path).read(GARDEN))


# Training -------------------------------------------------------------------------------------------------------------


def _of_training(folder: Path) -> dict[str, Decoder]:
    wrong = (SettingsError,)
    sample = {
        "format": 1,
        "case": "garden",
        "names": list(GARDEN.column_names),
        "fitted_on": {"digests": {"g.csv": "0" * 64}, "rows": 5},
        "label": {"bins": [{"values": ["no", "yes"]}], "weights": [1]},
        "columns": [{"name": "leaves", "bins": [{"knots": [0.0, 1.0]}], "weights": [[[1]]], "decimals": 1}],
    }
    source = {"kind": "folder", "sentence": "It was there.", "digests": {"g.csv": "0" * 64}}
    runs = {"runs": [{"id": "1", "reason": "alert A", "started_at": 1.0, "decision": {"promoted": True}}]}
    row = encode_json({"record": made_record(), "label": "yes"})
    runs_file = RunsFile(_made(folder / "runs"))
    return {
        "synthetic sample": _file(
            folder, "sample.json", lambda path: load_sample(path, GARDEN), wrong, Contents([encode_json(sample)])
        ),
        "origin of rows": _file(
            folder / "raw", "source.json", lambda path: load_raw(path.parent), wrong, Contents([encode_json(source)])
        ),
        "history of runs": Decoder(
            Folder(folder / "runs", "runs.json").read_by(lambda _path: runs_file.read()),
            (StopError,),
            Contents([encode_json(runs)]),
        ),
        "rows of a split": Decoder(_rows_of_split, (NothingTakenError,), Contents([row + b"\n" + row], "lines")),
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _rows_of_split(content: bytes) -> object:
    rows = [row for row in rows_in_lines(content) if row is not None]
    if not rows:
        raise NothingTakenError
    return rows


# Cursors --------------------------------------------------------------------------------------------------------------


def _cursors(folder: Path) -> dict[str, Decoder]:
    path = folder / "cursor.sqlite"
    Journal(path, max_bytes=2**20).close()
    log, lines = SqliteLog(path), folder / "cursor.jsonl"
    lines.write_bytes(b'{"record":{}}\n' * 3)
    recording = LinesRecording(lines, Period(), needs_times=False)

    def cursor(decode: Callable[[str], object], *good: bytes) -> Decoder:
        return Decoder(decode, (RejectedError,), Texts(Contents(good, "json", 10_000)))

    return {
        "cursor of a journal": cursor(lambda text: log.predictions(after=text, limit=1), b"7", b"1"),
        "cursor of MongoDB": cursor(lambda text: _behind(text, None, None), b"2026-01-01T00:00:00.000000Z~r1"),
        "cursor of lines": cursor(lambda text: list(recording.items(after=text)), b"14", b"28"),
        "cursor of topics": cursor(_spans_of, b'[["shop.records",0,1,5],["shop.labels",1,0,2]]'),
    }
