"""Events as Kafka messages and back."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitoring_world import made_case, prediction

from event_backbone.errors import LOSSES, Fault, RejectedError, UnreadableMessageError
from event_backbone.events.cloud_events import header, is_ours, text_header
from event_backbone.events.schema import Envelope, Erasure, Event, FaultCount, Label, ModelRef, Prediction, Rejections
from event_backbone.kafka.dead_letters import DeadLetter, dead_letter_in, dead_letter_of, replay_of, without_value
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import event_of, messages_of
from event_backbone.ports import Loss, Message, Partition, Received

CASE = made_case()
TOPICS = Topics("test", "shop")
SHA256 = "c" * 64
AT = "2026-01-01T00:00:00.000000Z"

ids = st.from_regex(r"[A-Za-z0-9._:~-]{1,128}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
moments = st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds") + "Z")
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.none() | numbers | st.integers(-(2**53), 2**53) | texts
answers = st.sampled_from(["yes", "no"])
predictions = st.builds(
    Prediction,
    record_id=ids,
    case=st.just("shop"),
    case_sha256=texts,
    record=st.dictionaries(texts, values, max_size=4),
    prediction=answers,
    score=numbers,
    model=st.builds(ModelRef, texts, texts),
    bundle_sha256=texts,
    predicted_at=moments,
    content_hash=texts,
)
labels = st.builds(Label, record_id=ids, case=st.just("shop"), label=answers, labelled_at=moments)
counts = st.integers(0, 2**60)
rejections = st.builds(
    Rejections,
    rejections_id=ids,
    case=st.just("shop"),
    since=moments,
    until=moments,
    records=counts,
    faults=st.lists(st.builds(FaultCount, texts, texts, counts), max_size=3),
)
erasures = st.builds(Erasure, record_id=ids, case=st.just("shop"), erased_at=moments)
events = predictions | labels | rejections | erasures


def received(message: Message, *, partition: int = 0, offset: int = 0, timestamp_ms: int = 0) -> Received:
    place = Partition(message.topic, partition)
    return Received(place, offset, timestamp_ms, message.key, message.value, message.headers)


def foreign(kind: str, value: bytes | None, key: bytes | None = b"r1", **headers: bytes) -> Received:
    place = Partition(f"test.shop.{kind}", 3)
    return Received(place, 7, 1_767_225_600_500, key, value, list(headers.items()))


def label_in(value: bytes, key: bytes | None = b"r1", **headers: bytes) -> Event:
    return event_of(foreign("labels", value, key, **headers), CASE)


def enveloped(event: Event) -> Envelope:
    return Envelope("journal-1", 5, event)


def reason_of(message: Received) -> str:
    with pytest.raises(UnreadableMessageError) as error:
        event_of(message, CASE)
    assert error.value.faults
    return error.value.reason


@given(event=events, source=st.text(st.characters(codec="utf-8"), min_size=1), seq=st.integers(0, 2**63 - 1))
def test_an_event_comes_back_as_it_was_published_with_its_place_in_the_headers(
    event: Event, source: str, seq: int
) -> None:
    envelope = Envelope(source, seq, event)
    for message in messages_of(envelope, TOPICS, SHA256):
        assert event_of(received(message), CASE) == event
        assert is_ours(message.headers, "shop")
        assert unquote(text_header(message.headers, "ce_source") or "") == f"/streamgauge/shop/{source}"
        assert header(message.headers, "ce_sequence") == str(seq).encode()


def test_a_prediction_is_a_cloud_event_in_binary_mode() -> None:
    (message,) = messages_of(enveloped(prediction("r1", {"price": 1.5})), TOPICS, SHA256)
    assert (message.topic, message.key) == ("test.shop.predictions", b"r1")
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"prediction:r1",
        "ce_type": b"io.streamgauge.prediction",
        "ce_source": b"/streamgauge/shop/journal-1",
        "ce_subject": b"r1",
        "ce_time": AT.encode(),
        "ce_sequence": b"5",
        "content-type": b"application/json",
    }


@pytest.mark.parametrize(
    "event",
    [prediction("r1", {}), Label("r1", "shop", "yes", AT), Rejections("x", "shop", AT, AT, 1, [])],
    ids=lambda event: type(event).__name__,
)
def test_each_value_holds_the_fields_the_schema_version_and_the_case_files_hash(event: Event) -> None:
    (message,) = messages_of(enveloped(event), TOPICS, SHA256)
    value = msgspec.json.decode(message.value or b"")
    added = {"schema_version": 1, "case_sha256": getattr(event, "case_sha256", SHA256)}
    assert value == {**msgspec.to_builtins(event), **added}


def test_an_erasure_is_a_tombstone_for_prediction_and_labels() -> None:
    messages = messages_of(enveloped(Erasure("r1", "shop", AT)), TOPICS, SHA256)
    assert [(one.topic, one.key, one.value) for one in messages] == [
        ("test.shop.predictions", b"r1", None),
        ("test.shop.labels", b"r1", None),
    ]


def test_topics_without_a_namespace_begin_with_the_case() -> None:
    assert Topics(None, "shop").all == tuple(
        f"shop.{kind}" for kind in ("records", "predictions", "labels", "rejections", "dead-letters")
    )
    assert (TOPICS.group("worker"), Topics(None, "shop").group("worker")) == ("test.worker-shop", "worker-shop")


@pytest.mark.parametrize("body", [b'{"label":"yes"}', b'{"record_id":"r1","label":"yes","schema_version":1}'])
def test_a_label_from_others_needs_no_headers_and_has_the_messages_time(body: bytes) -> None:
    assert label_in(body) == Label("r1", "shop", "yes", "2026-01-01T00:00:00.500000Z")


def test_a_label_from_others_may_say_its_time_and_its_source() -> None:
    body = b'{"label":"no","labelled_at":"2026-01-01T02:00:00+01:00"}'
    assert not is_ours([("ce_source", b"/billing")], "shop")
    assert label_in(body, ce_source=b"/billing") == Label("r1", "shop", "no", "2026-01-01T01:00:00.000000Z")


def test_a_label_without_key_is_about_the_record_in_its_body() -> None:
    event = label_in(b'{"record_id":"r9","label":"yes"}', None)
    assert isinstance(event, Label)
    assert event.record_id == "r9"


@pytest.mark.parametrize(
    ("kind", "value", "key", "reason"),
    [
        ("labels", b"{", b"r1", "json"),
        ("labels", b"\xff", b"r1", "json"),
        ("labels", b"[1]", b"r1", "json"),
        ("labels", b'{"label":"yes","schema_version":2}', b"r1", "schema_version"),
        ("labels", b'{"label":"yes","schema_version":"1"}', b"r1", "schema_version"),
        ("predictions", b'{"schema_version":2,"new":1}', b"r1", "schema_version"),
        ("labels", b'{"label":"yes","case":"other"}', b"r1", "case"),
        ("labels", b'{"label":"yes"}', None, "key"),
        ("labels", b'{"label":"yes"}', b"r 1", "key"),
        ("labels", b'{"label":"yes"}', b"\xff", "key"),
        ("labels", b'{"label":"yes","record_id":"r2"}', b"r1", "key"),
        ("labels", b'{"label":"maybe"}', b"r1", "label"),
        ("labels", b'{"label":"yes","labeled_at":"2026-01-01T00:00:00Z"}', b"r1", "label"),
        ("labels", b'{"label":"yes","labelled_at":"yesterday"}', b"r1", "label"),
        ("predictions", b'{"label":"yes"}', b"r1", "prediction"),
        ("rejections", b'{"label":"yes"}', b"r1", "rejections"),
        ("records", b"{}", b"r1", "type"),
        ("labels", None, b"r1", "type"),
    ],
)
def test_what_can_not_be_read_says_why(kind: str, value: bytes | None, key: bytes | None, reason: str) -> None:
    assert reason_of(foreign(kind, value, key)) == reason


def test_a_fault_never_shows_a_value() -> None:
    with pytest.raises(UnreadableMessageError) as error:
        label_in(b'{"label":"secret-value"}')
    assert "secret-value" not in str(error.value)


def test_a_tombstone_of_another_case_erases_nothing_here() -> None:
    message = foreign("labels", None, ce_type=b"io.streamgauge.erasure", ce_source=b"/streamgauge/other/x")
    assert reason_of(message) == "case"


# Dead letters ---------------------------------------------------------------------------------------------------------

FAULTS = [Fault("price", "missing", "is missing")]


def dead(origin: Received, first_seen: str = AT) -> Message:
    return dead_letter_of(origin, "record", FAULTS, first_seen, "worker", TOPICS.dead_letters)


def read(message: Message) -> DeadLetter:
    return dead_letter_in(received(message))


def buried(origin: Received) -> DeadLetter:
    return read(dead(origin))


def test_a_dead_letter_keeps_the_bytes_the_reason_and_the_origin() -> None:
    origin = foreign("records", b"\xff\x00", b"r1", traceparent=b"00-1", ce_id=b"theirs")
    message, letter = dead(origin), buried(origin)
    assert (message.topic, message.key, message.value) == ("test.shop.dead-letters", b"r1", b"\xff\x00")
    assert header(message.headers, "ce_id") == b"test.shop.records-3-7"
    assert header(message.headers, "ce_source") == b"/streamgauge/shop/worker"
    assert letter.id == "test.shop.records-3-7"
    assert (letter.topic, letter.partition, letter.offset) == ("test.shop.records", 3, 7)
    assert (letter.reason, letter.first_seen, letter.service) == ("record", AT, "worker")
    assert [(one.field, one.reason, one.message) for one in letter.faults] == [("price", "missing", "is missing")]
    assert list(letter.headers) == [("traceparent", b"00-1"), ("ce_id", b"theirs")]


def test_a_replayed_record_is_what_was_sent_and_dies_as_the_same_dead_letter() -> None:
    origin = foreign("records", b"{}", b"r1", traceparent=b"00-1")
    replayed = replay_of(buried(origin))
    assert (replayed.topic, replayed.key, replayed.value) == ("test.shop.records", b"r1", b"{}")
    again = received(replayed, partition=1, offset=99)
    letter = read(dead(again, first_seen="2027-01-01T00:00:00.000000Z"))
    assert letter == buried(origin)
    assert replay_of(letter) == replayed


def test_a_record_without_any_id_is_replayed_with_the_id_it_would_have_had() -> None:
    def replayed_key(value: bytes) -> bytes | None:
        return replay_of(buried(foreign("records", value, None))).key

    assert replayed_key(b"{}") == replayed_key(b"\xff") == b"test.shop.records-3-7"
    assert replayed_key(b'{"record_id":"own"}') is None


def test_a_message_without_anything_can_be_a_dead_letter() -> None:
    message = dead(foreign("records", None, None))
    assert message.key is not None  # Kafka takes no message without both
    assert (read(message).key, read(message).value) == (None, None)


@pytest.mark.parametrize("key", [b"r1", None])
def test_a_dead_letter_that_is_too_large_is_kept_without_its_value(key: bytes | None) -> None:
    letter = read(without_value(dead(foreign("records", b"x" * 1000, key))))
    assert (letter.key, letter.value, letter.omitted_bytes) == (key, None, 1000)
    with pytest.raises(RejectedError, match="1000 bytes were not kept"):
        replay_of(letter)


@pytest.mark.parametrize("reason", LOSSES)
@pytest.mark.parametrize("kind", ["predictions", "labels", "rejections"])
def test_a_place_where_there_is_nothing_to_read_is_unreadable_and_never_replayed(kind: str, reason: str) -> None:
    lost = msgspec.structs.replace(foreign(kind, None, None), loss=Loss(reason, "why"))
    with pytest.raises(UnreadableMessageError) as raised:
        event_of(lost, CASE)
    assert raised.value.reason == reason
    letter = read(dead_letter_of(lost, reason, raised.value.faults, AT, "monitoring", TOPICS.dead_letters))
    assert [(one.field, one.message) for one in letter.faults] == [("(message)", "why")]
    with pytest.raises(RejectedError, match=f"nothing to read: {reason}"):
        replay_of(letter)


@pytest.mark.parametrize(
    "headers", [{}, {"dl_id": b"x"}, {"dl_id": b"x", "dl_reason": b"y", "dl_faults": b"{", "dl_service": b"w"}]
)
def test_a_message_that_is_no_dead_letter_is_unreadable(headers: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMessageError):
        dead_letter_in(foreign("dead-letters", b"", **headers))
