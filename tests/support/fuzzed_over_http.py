"""Decoders of what clients send over HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from fuzzed_decoder import Decoder, NothingTakenError, answered
from fuzzed_inputs import Contents, Fields, Texts
from hypothesis import strategies as st
from monitoring_world import START, body_of, label, predictions
from monitoring_world import made_case as shop_case
from prediction_world import Service, made_case, made_record

from event_backbone.case.labels import decode_label
from event_backbone.case.records import RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.errors import RejectedError
from event_backbone.events.schema import Erasure, Event, encode_json
from event_backbone.guards.api_keys import ApiKeys, line_for
from event_backbone.guards.browser_guard import BrowserGuard
from event_backbone.guards.encoding_guard import encoding_refusal
from event_backbone.guards.key_guard import KeyGuard
from event_backbone.prediction_log.sqlite import SqliteLog
from event_backbone.web.http_client import retry_after_s
from event_backbone.web.request_bodies import query_number, read_object
from monitoring_service.intake.receiver import Intake
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.web.request_bodies import MOST_DECISION_BYTES, Silencing
from prediction_service.journal.writer import Journal
from prediction_service.serving.batch_body import split_batch
from prediction_service.serving.form import CaseForm
from prediction_service.serving.stored_predictions import ErasureOrder, StoredPredictions, erase_each
from prediction_service.settings import ServingSettings
from training.server.alertmanager import read_message, request_of
from training.server.api import MOST_BYTES, TrainRequest

Kept = TypeVar("Kept", Service, "Erasing")
#: An answer names the faults of each part of a batch.
LONGEST_PART_BYTES = 2000
_INPUTS_A_JOURNAL = 1000
#: Limits of bodies, where no setting says otherwise.
MOST_BODY_BYTES: int = ServingSettings.model_fields["max_body_bytes"].default
MOST_EVENTS_BYTES: int = MonitoringServiceSettings.model_fields["monitoring_max_body_bytes"].default
GARDEN, SHOP = made_case(), shop_case()
RECORD = encode_json(made_record(record_id="r1"))
LABEL = encode_json({"record_id": "r1", "label": "yes", "labelled_at": "2026-01-01T00:00:00Z"})
EVENTS: list[Event] = [*predictions(2), label("r0"), Erasure("r1", "shop", START)]
DECISION = encode_json({"by": "Ada", "note": "n", "seconds": 60})
TRAINING_ASKED_FOR = encode_json({"reason": "because", "episode": "e1"})
ALERT = encode_json(
    {
        "version": "4",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "A"},
                "startsAt": "2026-01-01T00:00:00Z",
                "fingerprint": "f",
            }
        ],
    }
)
FORM_TEXTS = ["1" * 5000, "1_0", "nan", "-inf", "1e999", "\u0663", "0x10", "7", "1.5", "clay", "rose", ""]
TIMES = ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-01", "2026-W01-1T00+00:00:00.5"]
HEADERS = {
    "HTTP_HOST": ["127.0.0.1:9696", "[::1]", "a" * 2000, "127.0.0.1:999999"],
    "HTTP_ORIGIN": ["http://127.0.0.1:9696", "null", "://"],
    "HTTP_AUTHORIZATION": ["Bearer " + "k" * 43, "Basic x", "bearer"],
    "HTTP_X_API_KEY": ["k" * 43, "\xe9"],
    "HTTP_CONTENT_ENCODING": ["identity", "gzip, identity"],
    "REQUEST_METHOD": ["GET", "POST"],
    "PATH_INFO": ["/", "/readyz", "/docs/x", "/predictions/\xc3\xa9"],
}


def over_http(folder: Path) -> dict[str, Decoder]:
    rejected = (RejectedError,)
    records, form = RecordDecoder(GARDEN), CaseForm(GARDEN)
    return {
        "record": Decoder(answered(records.decode), rejected, Contents([RECORD], "json", MOST_BODY_BYTES)),
        "label": Decoder(
            answered(lambda body: decode_label(body, GARDEN)), rejected, Contents([LABEL], "json", MOST_BODY_BYTES)
        ),
        "batch": Decoder(
            answered(_decode_batch),
            rejected,
            Contents([b"[" + RECORD + b"," + LABEL + b"]", RECORD + b"\n" + LABEL], "lines", MOST_BODY_BYTES),
        ),
        "answer to a batch": Decoder(
            _batch_answers(folder),
            (),
            Contents([b"[" + RECORD + b",{}]", RECORD + b"\n" + RECORD], "lines", MOST_BODY_BYTES),
        ),
        "answer to labels": Decoder(
            _label_answers(folder),
            (),
            Contents([b"[" + LABEL + b",{}]", LABEL + b"\n" + LABEL], "lines", MOST_BODY_BYTES),
        ),
        "decision": Decoder(
            answered(lambda body: read_object(body, Silencing)),
            rejected,
            Contents([DECISION], "json", MOST_DECISION_BYTES),
        ),
        "erasure order": Decoder(
            _erase(folder),
            rejected,
            Contents([encode_json({"record_ids": ["r1", "..", "r2"]})], "json", MOST_BODY_BYTES),
        ),
        "request for a retraining": Decoder(
            answered(lambda body: read_object(body, TrainRequest)),
            rejected,
            Contents([TRAINING_ASKED_FOR], "json", MOST_BYTES),
        ),
        "alerts": Decoder(answered(_read_alerts), rejected, Contents([ALERT], "json", MOST_BYTES)),
        "events": Decoder(
            _decode_events(SHOP), (NothingTakenError,), Contents([body_of(EVENTS)], "lines", MOST_EVENTS_BYTES)
        ),
        "form": Decoder(
            lambda sent: records.convert(form.payload(sent)),
            rejected,
            Fields(
                [{"leaves": "5", "plot": "7", "height": "1.5", "soil": "clay", "neighbour": "rose"}],
                [*GARDEN.column_names, "x"],
                FORM_TEXTS,
            ),
        ),
        "query": Decoder(
            _stored(folder).page,
            rejected,
            Fields(
                [{"since": "7", "limit": "5"}, {"since": TIMES[0]}],
                ["since", "limit", "other"],
                [*TIMES, "9" * 5000, "7"],
            ),
        ),
        "number of a query": Decoder(
            lambda sent: query_number(sent, "after_row", default=0, low=0),
            rejected,
            Fields([{"after_row": "7"}], ["after_row"], ["9" * 5000, "-1", "\u0663", "\u00b2", "7"]),
        ),
        "headers": Decoder(
            _guards(folder),
            (),
            Fields(
                [{name: texts[0] for name, texts in HEADERS.items()}],
                list(HEADERS),
                [text for texts in HEADERS.values() for text in texts],
                "latin-1",
            ),
        ),
        "Retry-After": Decoder(
            lambda text: retry_after_s(text or None),
            (),
            Texts(
                Contents([b"Wed, 21 Oct 2026 07:28:00 GMT", b"120"], "", 16_000),
                st.none() | st.text(max_size=30),
                "latin-1",
            ),
        ),
    }


def _decode_batch(body: bytes) -> list[bytes]:
    items = split_batch(body, at_most=5)
    assert 0 < len(items) <= 5
    return items


def _renewed(folder: Path, made: Callable[[Path], Kept]) -> Callable[[], Kept]:
    """What writes a journal, begun anew now and then: nobody is there who empties the journal's log."""
    asked = count()
    now: list[Kept] = []

    def present() -> Kept:
        if next(asked) % _INPUTS_A_JOURNAL == 0:
            for before in now:
                before.journal.close()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            now[:] = [made(folder)]
        return now[0]

    return present


def _service(folder: Path) -> Service:
    return Service(folder, max_batch_records=50)


def _batch_answers(folder: Path) -> Callable[[bytes], object]:
    """Scored and kept, as a client sends it."""
    service = _renewed(folder / "batch", _service)

    def answer(body: bytes) -> object:
        status, answer = service().handlers.predict_batch(body)
        assert status in (200, 400, 422)
        assert len(answer) < LONGEST_PART_BYTES * max(50, len(body) // 10)
        return status

    return answer


def _label_answers(folder: Path) -> Callable[[bytes], object]:
    service = _renewed(folder / "labels", _service)

    def answer(body: bytes) -> object:
        status, _ = service().handlers.take_labels(body)
        assert status in (202, 400, 422)
        return status

    return answer


@dataclass(frozen=True)
class Erasing:
    """A journal to erase from."""

    journal: Journal


def _erase(folder: Path) -> Callable[[bytes], object]:
    kept = _renewed(folder / "erasing", lambda place: Erasing(Journal(place / "journal.sqlite", max_bytes=2**20)))

    def erase(body: bytes) -> object:
        order = read_object(body, ErasureOrder)
        return encode_json(erase_each(kept().journal, GARDEN.name, order.record_ids))

    return answered(erase)


def _read_alerts(body: bytes) -> object:
    return [request_of(alert, "shop", {"A"}) for alert in read_message(body).alerts]


def _decode_events(case: Case) -> Callable[[bytes], object]:
    nothing: Any = None
    intake = Intake(case, nothing, nothing, nothing, nothing, count_refused=lambda _counts: None, max_backlog_rows=1)

    def decode(body: bytes) -> object:
        envelopes, refused = intake._decode(body)
        assert len(refused) <= body.count(b"\n") + body.count(b"\r") + 1
        if refused and not envelopes:
            raise NothingTakenError
        return envelopes

    return decode


def _stored(folder: Path) -> StoredPredictions:
    path = folder / "journal.sqlite"
    Journal(path, max_bytes=2**20).close()
    return StoredPredictions(SqliteLog(path), "this journal")


def _guards(folder: Path) -> Callable[[Mapping[str, str]], object]:
    keys = folder / "keys-of-guards"
    keys.write_text(line_for("ada", "k" * 43) + "\n")
    browsers, key_guard = BrowserGuard({"127.0.0.1", "::1"}), KeyGuard(ApiKeys(keys), forms=("/", "/reports/"))

    def judge(headers: Mapping[str, str]) -> object:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", **headers}
        return (
            browsers.refusal(environ),
            key_guard.holder(environ),
            key_guard.refusal(environ),
            encoding_refusal(environ),
        )

    return judge
