"""Decoders of what our own processes, their stores and the servers beside them say, and of what an operator sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import msgspec
from fuzzed_decoder import UNDECODABLE, Decoder, NothingTakenError
from fuzzed_in_files import Folder
from fuzzed_inputs import Contents, Fields, Texts
from fuzzed_over_http import SHOP
from monitoring_world import predictions

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import ConflictError, SettingsError, StopError, TryAgainLaterError
from event_backbone.events.schema import Envelope, Erasure, decode_event, encode_json
from event_backbone.formats.markdown import paragraph
from event_backbone.kafka.access import kafka_access
from event_backbone.model.bundle import BrokenBundleError, BundleStore
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, Profile, encode_profile
from event_backbone.mongodb.access import mongo_access
from event_backbone.mongodb.documents import prediction_of
from event_backbone.settings import ConnectionSettings, Settings, read_settings, split_urls
from event_backbone.web.http_client import HttpAnswer
from local_stack.documents import Counted, GeneratorSummary, ReplicaStatusDocument, read_document
from local_stack.settings import StackSettings
from monitoring_service.alerting.lifecycle import AlertStates
from monitoring_service.alerting.service import DOCUMENT as ALERTS
from monitoring_service.alerting.service import _restored
from monitoring_service.alerting.training_client import HttpTrainingServer
from monitoring_service.evaluation.frames import decode_answer, decode_request, decode_start, frame, read_frame
from monitoring_service.lifecycle.restore import restored_points, restored_state
from monitoring_service.messages import Failed, ScoreWindow, Start, Window
from monitoring_service.references.accepted import AcceptanceDecision, AcceptedReference, _decode_history
from monitoring_service.references.store import _profile_in
from monitoring_service.reports.page_text import as_text
from monitoring_service.reports.script_policy import ForeignScriptError, with_script_policy
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.state.history import Point, encode_point
from monitoring_service.state.monitor_state import MonitorState, encode_state
from prediction_service.delivery.http_sink import HttpSink
from prediction_service.delivery.sinks import open_sinks
from prediction_service.model_sync.sync_files import RegistryFault, SyncFiles
from prediction_service.operations.erasure import NotErasedError, ReplicaErasure
from prediction_service.settings import ServingSettings, SidecarSettings
from stream_generator.books.digests import answer_digest_of_body
from stream_generator.books.monitoring_count import MonitoringCount
from stream_generator.checking.comparing import digests_of
from stream_generator.checking.stores import ReplicaStore
from stream_generator.commands.options import PositiveOrMax, UtcTime, _checked_run_id
from stream_generator.sending.retrying import Persistence, ServiceAnswer
from stream_generator.sending.targets import _accepted, _answers
from stream_generator.settings import GeneratorSettings
from training.pipeline.command import _parameters
from training.server.messages import RunResult, RunStage
from training.server.run_process import _read as read_line_of_run
from training.server.settings import TrainingServerSettings

ENVELOPES = [Envelope("journal-1", number, event) for number, event in enumerate(predictions(2))]
ERASURES = [Erasure("r1", "shop", "2026-01-01T00:00:00Z")]
URL = "http://127.0.0.1:1"
FRAMES = [
    frame(Start(1, b"{}", "a", "b", "c", 1, 1.0, 1.0)),
    frame(ScoreWindow(Window(1, 1, "b" * 64, {}, b"", b""), ["price"], True)),
    frame(Failed("because")),
]

LINES_OF_RUN = [encode_json(RunStage("fit")), encode_json(RunResult("failed", {"reasons": ["r"]}))]


class Peer:
    """A client of HTTP whose other side answers 200 with a body; what came before is what it is asked."""

    def __init__(self) -> None:
        self.body = b""

    def send(self, *_asked: Any, **_more: Any) -> HttpAnswer:
        return HttpAnswer(200, self.body, None)

    def asked_by(self, ask: Callable[[], object]) -> Callable[[bytes], object]:
        def answered(body: bytes) -> object:
            self.body = body
            return ask()

        return answered


class Documents:
    """Documents, a state and points of an inbox, all with the same content."""

    def __init__(self) -> None:
        self.content = b""

    def document(self, _name: str) -> bytes:
        return self.content

    def state(self) -> bytes:
        return self.content

    def points(self) -> list[bytes]:
        return [self.content]

    class totals:  # noqa: N801  # as the inbox calls it
        predictions = 7


def of_peers(folder: Path) -> dict[str, Decoder]:
    return {
        **_answers_of_services(),
        **_frames(),
        **_kept(folder),
        **_settings(),
        **_shown(),
    }


# Answers --------------------------------------------------------------------------------------------------------------


def _answers_of_services() -> dict[str, Decoder]:
    later, wrong = (TryAgainLaterError,), (SettingsError,)
    peer, anything = Peer(), {"id": "1", "state": "failed", "stage": "s", "reason": "r", "started_at": "2026"}
    sink, erasure = HttpSink(URL, timeout_s=1), ReplicaErasure(URL, api_key=None, timeout_s=1)
    count = MonitoringCount(URL, api_key=None, timeout_s=1)
    store = ReplicaStore(URL, peer, _persistence())  # type: ignore[arg-type]  # it is asked for nothing else
    sink._client = erasure._client = count._client = peer  # type: ignore[assignment]
    training = HttpTrainingServer(URL)
    training._client = peer  # type: ignore[assignment]

    def asked(ask: Callable[[], object], refusals: tuple[type[Exception], ...], good: Any) -> Decoder:
        return Decoder(peer.asked_by(ask), refusals, Contents([encode_json(good)]))

    kept = predictions(1)[0]
    return {
        "receipt of monitoring": asked(
            lambda: sink._deliver(ENVELOPES), later, {"accepted": 1, "refused": [{"index": 0, "reason": "malformed"}]}
        ),
        "answer to an erasure": asked(
            lambda: erasure.erase(ERASURES), (NotErasedError, *later), {"rows_erased": 2, "not_erased": []}
        ),
        "answer to erasures": asked(
            lambda: store._erase(["r1"]), (*later, *wrong), {"not_erased": [{"record_id": "r1", "reason": "busy"}]}
        ),
        "kept prediction": asked(lambda: digests_of(store._one("r1")), (*later, *wrong), kept),  # type: ignore[arg-type]
        "runs of the training server": asked(
            training.status, (*later, ConflictError), {"runs": [{**anything, "decision": {"promoted": True}}]}
        ),
        "state of monitoring": asked(count.predictions, (*later, *wrong), {"totals": {"predictions": 7}}),
        "answer to a record": Decoder(
            _answer_of_prediction,
            (),
            Contents([encode_json({"record_id": "r1", "prediction": "yes", "score": 0.5, "accepted": 1})]),
        ),
        "documents of the check": Decoder(
            _documents_of_the_check,
            (StopError,),
            Contents([encode_json({"totals": dict.fromkeys(_TOTALS, 1), "episodes": [], "next_check_row": 20})]),
        ),
        "line of a training run": Decoder(_line_of_run, (NothingTakenError,), Contents(LINES_OF_RUN)),
    }


_TOTALS = ("predictions", "labels", "rejected_records", "unmatched_labels")


def _persistence() -> Persistence:
    nothing: Any = None
    return nothing


def _answer_of_prediction(body: bytes) -> object:
    return _answers(ServiceAnswer(200, body), "r1"), _accepted(body), answer_digest_of_body(body)


def _documents_of_the_check(body: bytes) -> object:
    for kind in (GeneratorSummary, ReplicaStatusDocument):
        with suppress(StopError):
            read_document(kind, body, "it")
    return read_document(Counted, body, "it")


def _line_of_run(line: bytes) -> object:
    read = read_line_of_run(line)
    if read is None:
        raise NothingTakenError
    return read


# Frames of the evaluator ----------------------------------------------------------------------------------------------


def _frames() -> dict[str, Decoder]:
    """Both sides; the length in front is right for half of what is spoiled."""
    bodies = [one[4:] for one in FRAMES]
    return {
        "frame": Decoder(_read_frame, (EOFError, *UNDECODABLE), Contents(FRAMES, "")),
        "body of a frame": Decoder(
            lambda body: _read_frame(len(body).to_bytes(4, "big") + body),
            (EOFError, *UNDECODABLE),
            Contents(bodies, "msgpack"),
        ),
    }


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


# What is kept ---------------------------------------------------------------------------------------------------------


def _kept(folder: Path) -> dict[str, Decoder]:
    broken, documents = (BrokenBundleError,), Documents()
    numbers = NumberProfile([1.0, 2.0], 0)
    profile = Profile(2, {"price": numbers, "payment": CategoryProfile({"card": 2}, 0)}, numbers, numbers)
    decision = AcceptanceDecision("2026-01-01T00:00:00Z", "Ada", "n", 7)
    history = (AcceptedReference("a" * 64, "b" * 64, "1", 200, 0, decision),)
    point = Point(1, 1.0, [None], [True], [False], 0.1, False, {"yes": 0.5}, {}, 0, "1")
    sync, pointer = Folder(folder / "kept", "registry-fault"), Folder(folder / "kept", "current")

    def kept(read: Callable[[], object]) -> Callable[[bytes], object]:
        def from_inbox(content: bytes) -> object:
            documents.content = content
            return read()

        return from_inbox

    inbox: Any = documents
    assert ALERTS
    return {
        "row of a journal": Decoder(decode_event, UNDECODABLE, Contents([encode_json(predictions(1)[0])])),
        "document of MongoDB": Decoder(
            _document, (StopError, *UNDECODABLE), Contents([encode_json(predictions(1)[0])])
        ),
        "reference profile": Decoder(_profile_in, broken, Contents([encode_profile(profile)])),
        "accepted references": Decoder(_decode_history, (), Contents([msgspec.json.encode(history)])),
        "state of the inbox": Decoder(
            kept(lambda: restored_state(inbox)), (), Contents([encode_state(MonitorState())])
        ),
        "points of the inbox": Decoder(kept(lambda: restored_points(inbox)), (), Contents([encode_point(point)])),
        "alerts of the inbox": Decoder(kept(lambda: _restored(inbox)), (), Contents([encode_json(AlertStates())])),
        "pointer to a bundle": Decoder(
            pointer.read_by(lambda path: BundleStore(path.parent).current()),
            broken,
            Contents([encode_json({"bundle_sha256": "a" * 64, "name": "n", "version": "1"})]),
        ),
        "note of the sidecar": Decoder(
            sync.read_by(lambda path: SyncFiles(path.parent).fault()),
            (),
            Contents([encode_json(RegistryFault("fetch", "away"))]),
        ),
    }


def _document(content: bytes) -> object:
    document = decode_bounded(content, dict)  # as the driver would give it
    return prediction_of(document)


# Settings and URLs ----------------------------------------------------------------------------------------------------

KINDS: tuple[type[Settings], ...] = (
    *(ServingSettings, SidecarSettings, MonitoringServiceSettings),
    *(TrainingServerSettings, GeneratorSettings, StackSettings),
)
NAMES = sorted({name.upper() for kind in KINDS for name in kind.model_fields})
SET = [
    "1",
    "0.5",
    "true",
    "1e999",
    "-1",
    "inf",
    "http://h:1",
    "kafka://a:1,b/n",
    "a,b,,c",
    "PLAINTEXT",
    "127.0.0.1",
    "*",
]
URLS = (
    *(b"http://127.0.0.1:9000/a", b"https://u:p@h/?q#f", b"kafka://a:9092,[::1]:1/name"),
    *(b"mongodb://u:p@a:1,b/db?tls=true", b"sqlite:///a%20b", b"http://[::1", b"kafka://a:99999"),
)
OPTIONS = (b"2x", b"max", b"0.5", b"2026-01-01T00:00:00Z", b"max_depth=5", b"eta=0.1", b"run-1")


def _settings() -> dict[str, Decoder]:
    wrong = (SettingsError,)
    urls = Texts(Contents([*URLS, URLS[0] + b"," + URLS[2] + b", " + URLS[3]], "", 10_000))
    return {
        "settings": Decoder(_read_settings, wrong, Fields([{"CASE": "shop", "LOG_LEVEL": "INFO"}], NAMES, SET)),
        "addresses": Decoder(_open_urls, wrong, urls),
        "options of commands": Decoder(_options, (NothingTakenError,), Texts(Contents(OPTIONS, "", 10_000))),
    }


def _read_settings(set_: Mapping[str, str]) -> object:
    # The C library keeps each value that an environment ever had; one holds no NUL.
    environment = {**os.environ, **{name: text.replace("\0", "") for name, text in set_.items()}}
    with patch.object(os, "environ", environment):
        return read_settings(KINDS[sum(map(len, set_.values())) % len(KINDS)])


def _options(text: str) -> object:
    """Each as the one of them that takes it. What click says of the others is written so that any terminal shows it."""
    nothing: Any = None
    readers: tuple[Callable[[str], object], ...] = (
        lambda given: PositiveOrMax("speed", "x").convert(given, None, None),
        lambda given: UtcTime().convert(given, None, None),
        lambda given: _checked_run_id(nothing, nothing, given),
    )
    for read in (*readers, lambda given: _parameters([given])):
        with suppress(click.BadParameter):
            return read(text)
    raise NothingTakenError


_NO_LOGINS = ConnectionSettings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings'


def _open_urls(text: str) -> object:
    urls = split_urls(text)
    assert isinstance(urls, list)
    with suppress(SettingsError):
        kafka_access(text, _NO_LOGINS)
    with suppress(SettingsError):
        mongo_access(text, _NO_LOGINS, timeout_s=1)
    sinks = open_sinks(urls, SHOP, _NO_LOGINS, timeout_s=1)
    for sink in sinks:
        sink.close()
    return sinks


# Text that is shown ---------------------------------------------------------------------------------------------------


def _shown() -> dict[str, Decoder]:
    page = "<head></head>" + "<script>1</script>" * 4
    return {
        "text on a page": Decoder(
            lambda text: (paragraph(text), as_text(text)),
            (),
            Texts(Contents([b"a_b *c* <b>&amp;</b> [x](y) 1. # $x$", b"\xe2\x80\xae"], "", 100_000)),
        ),
        "page of a report": Decoder(
            lambda text: with_script_policy(text).encode(errors="replace"),
            (ForeignScriptError,),
            Texts(Contents([page.encode()], "", 100_000), encoding="latin-1"),
        ),
    }
