"""Every decoder of what comes from outside: whatever comes is taken, or refused by the error that callers expect."""

from __future__ import annotations

import ctypes
import gc
import re
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzzing
import msgspec
import pytest
from hypothesis import strategies as st
from monitoring_world import START, body_of, label, predictions
from monitoring_world import made_case as shop_case
from prediction_world import case_content, made_case, made_record
from yaml import safe_dump

from event_backbone.case.files import load_case
from event_backbone.case.labels import decode_label
from event_backbone.case.records import RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.errors import RejectedError, SettingsError, UnreadableMessageError
from event_backbone.events.schema import Envelope, Erasure, Event, encode_json
from event_backbone.guards.api_keys import line_for, parse_keys
from event_backbone.kafka.dead_letters import dead_letter_in, dead_letter_of
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import event_of, messages_of
from event_backbone.model.bundle import MANIFEST, BrokenBundleError, open_bundle
from event_backbone.model.bundle import write_bundle as write
from event_backbone.ports import Message, Partition, Received
from event_backbone.prediction_log.sqlite import SqliteLog
from event_backbone.web.http_client import retry_after_s
from event_backbone.web.request_bodies import read_object
from monitoring_service.evaluation.frames import decode_answer, decode_request, decode_start, frame, read_frame
from monitoring_service.intake.receiver import Intake
from monitoring_service.messages import Failed, ScoreWindow, Start, Window
from monitoring_service.web.request_bodies import Silencing
from prediction_service.journal.writer import Journal
from prediction_service.serving.batch_body import split_batch
from prediction_service.serving.form import CaseForm
from prediction_service.serving.stored_predictions import StoredPredictions
from prediction_service.worker.records import RecordReader, RejectedMessageError
from training.data.parsing import read_file
from training.server.alertmanager import read_message

GARDEN, SHOP = made_case(), shop_case()
TOPICS = Topics(None, SHOP.name)


@dataclass(frozen=True)
class Decoder:
    """``decode`` takes an input of ``inputs``; it may raise ``refusals`` and nothing else."""

    decode: Callable[[Any], object]
    refusals: tuple[type[Exception], ...]
    inputs: st.SearchStrategy[Any]


# JSON over HTTP -------------------------------------------------------------------------------------------------------

RECORD = encode_json(made_record(record_id="r1"))
LABEL = encode_json({"record_id": "r1", "label": "yes", "labelled_at": "2026-01-01T00:00:00Z"})
ALERT = {
    "version": "4",
    "alerts": [
        {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "f"}
    ],
}
DECISION = encode_json({"by": "Ada", "note": "n", "seconds": 60})
FORM_VALUES = st.text(max_size=20) | st.sampled_from(["1" * 5000, "1_0", "nan", "-inf", "1e999", "\u0663", "0x10"])


def _decode_batch(body: bytes) -> list[bytes]:
    items = split_batch(body, at_most=5)
    assert 0 < len(items) <= 5
    return items


def _decode_events(case: Case) -> Callable[[bytes], object]:
    nothing: Any = None
    intake = Intake(case, nothing, nothing, nothing, nothing, count_refused=lambda _counts: None, max_backlog_rows=1)
    return intake._decode


EVENTS: list[Event] = [*predictions(2), label("r0"), Erasure("r1", "shop", START)]


# Kafka ----------------------------------------------------------------------------------------------------------------


def _messages() -> Iterator[Message]:
    for number, event in enumerate(EVENTS):
        yield from messages_of(Envelope("journal-1", number, event), TOPICS, SHOP.sha256)


MESSAGES = list(_messages())
LETTER = dead_letter_of(
    Received(Partition(TOPICS.records, 0), 7, 0, b"r1", b"x", (("a", b"b"),)), "json", (), START, "worker", "d"
)


@st.composite
def received(draw: st.DrawFn, good: Sequence[Message]) -> Received:
    message = draw(st.sampled_from(list(good)))
    value = message.value if message.value is None else draw(fuzzing.spoiled([message.value]))
    headers = [
        (name, draw(fuzzing.spoiled([content])) if draw(st.integers(0, 3)) == 0 else content)
        for name, content in message.headers
        if draw(st.integers(0, 9))
    ]
    key = draw(st.none() | st.just(message.key) | st.binary(max_size=140))
    at = draw(st.sampled_from([0, 1_800_000_000_000, -1, -(2**62), 2**62]))
    return Received(Partition(message.topic, 0), draw(st.integers(0, 2**62)), at, key, value, headers)


RECORD_MESSAGE = Message(
    TOPICS.records, b"r1", RECORD[:-1] + b',"schema_version":1,"case_sha256":"x"}', [("dl_id", b"r1")]
)


def _as_dead_letter(message: Received) -> object:
    try:
        return event_of(message, SHOP)
    except UnreadableMessageError as error:
        return dead_letter_of(message, error.reason, error.faults, START, "monitoring", TOPICS.dead_letters)


# Files ----------------------------------------------------------------------------------------------------------------

CASE_FILE = safe_dump(case_content()).encode()
CSV_LINE = b"5,7,1.5,,clay,rose,yes\n"
CSV = b"leaves,plot,height,drift_south,soil,neighbour,flowers\n" + CSV_LINE * 2


class Files:
    """Writes an input where a decoder of files looks for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bundle = folder / "bundle"
        write(self._bundle, GARDEN, {"decision.json": b'{"threshold": 0.5}'})
        self.manifest = (self._bundle / MANIFEST).read_bytes()

    def load_case(self, content: bytes) -> object:
        path = self._folder / "garden.yaml"
        path.write_bytes(content)
        return load_case(path)

    def open_bundle(self, manifest: bytes) -> object:
        (self._bundle / MANIFEST).write_bytes(manifest)
        return open_bundle(self._bundle)


def _read_csv(content: bytes) -> object:
    return read_file(GARDEN, GARDEN.data.files[0], content)


# The evaluator, cursors, keys and headers -----------------------------------------------------------------------------

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError)
FRAMES = [
    frame(Start(1, b"{}", "a", "b", "c", 1, 1.0, 1.0)),
    frame(ScoreWindow(Window(1, 1, "b" * 64, {}, b"", b""), ["price"], True)),
    frame(Failed("because")),
]


def _read_frame(content: bytes) -> object:
    left = content

    def exactly(size: int) -> bytes:
        nonlocal left
        if len(left) < size:
            raise EOFError
        part, left = left[:size], left[size:]
        return part

    body = read_frame(exactly)
    for decode in (decode_start, decode_request):
        with suppress(*UNDECODABLE):
            return decode(body)
    return decode_answer(body)


def _stored(folder: Path) -> StoredPredictions:
    path = folder / "journal.sqlite"
    Journal(path, max_bytes=2**20).close()
    return StoredPredictions(SqliteLog(path), "this journal")


QUERIES = st.dictionaries(
    st.sampled_from(["since", "limit", "other"]),
    st.text(max_size=20)
    | st.sampled_from(["9" * 5000, "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00Z", "-1", "7"]),
)
KEY_LINES = line_for("ada", "k" * 43).encode() + b":2030-01-01\n# nothing\n"


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Decoder]:
    files = Files(tmp_path_factory.mktemp("files"))
    spoiled = fuzzing.spoiled
    rejected = (RejectedError,)
    form, records = CaseForm(GARDEN), RecordDecoder(GARDEN)
    return {
        "record": Decoder(records.decode, rejected, spoiled([RECORD])),
        "label": Decoder(lambda body: decode_label(body, GARDEN), rejected, spoiled([LABEL])),
        "batch": Decoder(
            _decode_batch, rejected, spoiled([b"[" + RECORD + b"," + LABEL + b"]", RECORD + b"\n" + LABEL])
        ),
        "decision": Decoder(lambda body: read_object(body, Silencing), rejected, spoiled([DECISION])),
        "alerts": Decoder(read_message, rejected, spoiled([encode_json(ALERT)])),
        "events": Decoder(_decode_events(SHOP), (), spoiled([body_of(EVENTS)])),
        "form": Decoder(
            lambda sent: records.convert(form.payload(sent)),
            rejected,
            st.dictionaries(st.sampled_from([*GARDEN.column_names, "x"]), FORM_VALUES),
        ),
        "query": Decoder(_stored(tmp_path_factory.mktemp("log")).page, rejected, QUERIES),
        "Kafka event": Decoder(_as_dead_letter, (), received(MESSAGES)),
        "Kafka record": Decoder(RecordReader(GARDEN).read, (RejectedMessageError,), received([RECORD_MESSAGE])),
        "dead letter": Decoder(dead_letter_in, (UnreadableMessageError,), received([LETTER])),
        "case file": Decoder(files.load_case, (SettingsError,), spoiled([CASE_FILE])),
        "manifest": Decoder(files.open_bundle, (BrokenBundleError,), spoiled([files.manifest])),
        "CSV": Decoder(_read_csv, (), spoiled([CSV])),
        "frame": Decoder(_read_frame, (EOFError, *UNDECODABLE), spoiled(FRAMES)),
        "keys": Decoder(lambda text: parse_keys(text, "keys"), (SettingsError,), spoiled([KEY_LINES]).map(_as_text)),
        "Retry-After": Decoder(retry_after_s, (), st.none() | st.text(max_size=30) | spoiled(_DATES).map(_as_text)),
    }


_DATES = [b"Wed, 21 Oct 2026 07:28:00 GMT", b"120"]
NAMES = (
    *("record", "label", "batch", "decision", "alerts", "events", "form", "query", "Kafka event", "Kafka record"),
    *("dead letter", "case file", "manifest", "CSV", "frame", "keys", "Retry-After"),
)


def _as_text(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def check_of(decoder: Decoder) -> Callable[[Any], None]:
    def check(found: Any) -> None:
        with suppress(*decoder.refusals):
            decoder.decode(found)

    return check


def test_whoever_expects_what_can_not_be_decoded_expects_text_that_is_no_utf8() -> None:
    """msgspec raises Python's own error for it, which is no ``DecodeError``."""
    root = Path(__file__).parents[2]
    folders = (
        "event_backbone",
        "prediction_service",
        "monitoring_service",
        "training",
        "stream_generator",
        "local_stack",
    )
    forgotten = [
        f"{path.relative_to(root)}:{number}"
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"except .*(msgspec\.DecodeError|MsgspecError)", line)
        and not re.search(r"UnicodeDecodeError|UnicodeError|ValueError", line)
    ]
    assert forgotten == []


def test_every_decoder_is_tried(decoders: dict[str, Decoder]) -> None:
    assert set(NAMES) == set(decoders)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_is_taken_or_refused(decoders: dict[str, Decoder], name: str) -> None:
    fuzzing.try_many(check_of(decoders[name]), decoders[name].inputs, 150)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_is_taken_or_refused_and_takes_no_memory(decoders: dict[str, Decoder], name: str) -> None:
    check, inputs, examples = check_of(decoders[name]), decoders[name].inputs, fuzzing.long_examples()
    fuzzing.try_many(check, inputs, examples // 2)  # what is kept once is kept by now
    before_bytes = kept_bytes()
    fuzzing.try_many(check, inputs, examples - examples // 2)
    assert kept_bytes() - before_bytes < 16 * 1024 * 1024


def kept_bytes() -> int:
    """Of this process, without what hypothesis left to be collected and the allocator to be used again."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
