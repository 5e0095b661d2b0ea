"""The contract of the Sink port, on each adapter, and on broken ones that must fail it."""

from __future__ import annotations

import contextlib
import itertools
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import pytest
from monitoring_process import MonitoringProcess, free_port
from monitoring_world import enveloped, label, made_case, prediction
from real_parts import KafkaBroker, MongoServer

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.cloud_events import header
from event_backbone.events.schema import (
    Envelope,
    Erasure,
    Event,
    FaultCount,
    ModelRef,
    Prediction,
    Rejections,
    Shadow,
    encode_json,
    event_id,
)
from event_backbone.in_memory.sink import MemorySink
from event_backbone.in_memory.stream import MemoryBroker, MemoryPublisher
from event_backbone.kafka.access import kafka_access
from event_backbone.kafka.admin import TopicSpec, create_topics, end_offsets
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.kafka.producer import KafkaPublisher
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import event_of
from event_backbone.mongodb.access import mongo_access
from event_backbone.mongodb.connection import MongoConnection
from event_backbone.mongodb.sink import MongoSink
from event_backbone.ports import Delivered, Received, Refusal, Sink
from event_backbone.settings import ConnectionSettings
from prediction_service.delivery.http_sink import HttpSink
from prediction_service.delivery.kafka_sink import KafkaSink

START = "2026-01-01T00:00:00.000000Z"
RECORD = {"price": 50.0, "items": 3, "payment": "card"}


class Side(Protocol):
    """The other side of a sink, as a check sees it."""

    def sink(self) -> Sink: ...

    def count(self) -> int:
        """Events kept so far, each counted once."""
        ...

    def go_away(self) -> None:
        """Stop answering; what is kept must outlive it."""
        ...

    def come_back(self) -> None: ...


Check = Callable[[Side, "Batches"], None]


class Batches:
    """Events that no other check has used, and their places in a journal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers = itertools.count(1)

    def of(self, events: Sequence[Event]) -> list[Envelope]:
        return [enveloped([event], source=self._name, first_seq=next(self._numbers))[0] for event in events]

    def predictions(self, count: int, first: int = 0) -> list[Envelope]:
        return self.of([prediction(self.id(first + index), RECORD) for index in range(count)])

    def id(self, number: int) -> str:
        return f"{self._name}-{number}"

    def foreign(self) -> Event:
        """Something no side of this case can ever take."""
        return prediction(self.id(999), RECORD, case="another-case")


# The checks -----------------------------------------------------------------------------------------------------------


def what_is_delivered_is_kept(side: Side, batches: Batches) -> None:
    before = side.count()
    assert list(side.sink().deliver(batches.predictions(3)).refused) == []
    assert side.count() == before + 3


def every_kind_of_event_is_taken(side: Side, batches: Batches) -> None:
    rejections = Rejections(batches.id(0), "shop", START, START, 1, [FaultCount("price", "range", 1)])
    events = [
        prediction(batches.id(1), RECORD),
        label(batches.id(1)),
        rejections,
        Erasure(batches.id(2), "shop", START),
    ]
    before = side.count()
    assert list(side.sink().deliver(batches.of(events)).refused) == []
    assert side.count() == before + 4


def an_empty_batch_changes_nothing(side: Side, _: Batches) -> None:
    before = side.count()
    assert list(side.sink().deliver([]).refused) == []
    assert side.count() == before


def delivering_again_changes_nothing(side: Side, batches: Batches) -> None:
    batch, sink = batches.predictions(4), side.sink()
    sink.deliver(batch)
    before = side.count()
    for again in (batch, batch[1:2], [*batch[2:], *batch[2:]], batches.predictions(4)):
        assert list(sink.deliver(again).refused) == []
    assert side.count() == before


def another_content_for_a_known_id_changes_nothing(side: Side, batches: Batches) -> None:
    sink = side.sink()
    sink.deliver(batches.predictions(1))
    before = side.count()
    other = {**RECORD, "price": 51.0}
    assert list(sink.deliver(batches.of([prediction(batches.id(0), other)])).refused) == []
    assert side.count() == before


def a_row_refused_for_good_is_returned_and_its_neighbours_are_kept(side: Side, batches: Batches) -> None:
    good = [prediction(batches.id(number), RECORD) for number in range(3)]
    batch = batches.of([good[0], batches.foreign(), good[1], batches.foreign(), good[2]])
    before = side.count()
    refused = side.sink().deliver(batch).refused
    assert [refusal.seq for refusal in refused] == [batch[1].seq, batch[3].seq]
    assert side.count() == before + 3


def a_reason_is_a_word(side: Side, batches: Batches) -> None:
    (refusal,) = side.sink().deliver(batches.of([batches.foreign()])).refused
    assert refusal.reason.replace("_", "").isalnum()


def a_side_that_is_away_is_try_again_later_and_nothing_is_lost(side: Side, batches: Batches) -> None:
    batch, sink, before = batches.predictions(3), side.sink(), side.count()
    side.go_away()
    try:
        with pytest.raises(TryAgainLaterError):
            sink.deliver(batch)
    finally:
        side.come_back()
    assert list(sink.deliver(batch).refused) == []
    assert side.count() == before + 3


def what_was_kept_survives_the_death_of_the_other_side(side: Side, batches: Batches) -> None:
    before, batch = side.count(), batches.predictions(3)
    side.sink().deliver(batch)
    side.go_away()
    side.come_back()
    assert side.count() == before + 3
    side.sink().deliver(batch)
    assert side.count() == before + 3


def a_large_batch_is_kept_whole(side: Side, batches: Batches) -> None:
    before = side.count()
    assert list(side.sink().deliver(batches.predictions(2000)).refused) == []
    assert side.count() == before + 2000


CHECKS: list[Check] = [
    what_is_delivered_is_kept,
    every_kind_of_event_is_taken,
    an_empty_batch_changes_nothing,
    delivering_again_changes_nothing,
    another_content_for_a_known_id_changes_nothing,
    a_row_refused_for_good_is_returned_and_its_neighbours_are_kept,
    a_reason_is_a_word,
    a_side_that_is_away_is_try_again_later_and_nothing_is_lost,
    what_was_kept_survives_the_death_of_the_other_side,
    a_large_batch_is_kept_whole,
]


def what_is_new_is_neither_held_nor_a_conflict(side: Side, batches: Batches) -> None:
    delivered = side.sink().deliver(batches.predictions(3))
    assert (dict(delivered.held), delivered.conflicts) == ({}, 0)


def what_is_known_is_said_to_be_held(side: Side, batches: Batches) -> None:
    sink, first = side.sink(), batches.predictions(3)
    sink.deliver(first)
    later = [prediction(batches.id(number), RECORD, predicted_at="2026-05-05T00:00:00.000000Z") for number in (1, 2, 7)]
    delivered = sink.deliver(batches.of(later))
    assert dict(delivered.held) == {envelope.event.record_id: envelope.event for envelope in first[1:]}
    assert delivered.conflicts == 0


def a_conflict_is_counted_once_and_the_first_one_stands(side: Side, batches: Batches) -> None:
    sink, (first,) = side.sink(), batches.predictions(1)
    others = [prediction(batches.id(0), {**RECORD, "price": price}) for price in (1.0, 2.0)]
    sink.deliver([first])
    for expected in (2, 0):
        delivered = sink.deliver(batches.of(others))
        assert delivered.conflicts == expected
        assert dict(delivered.held) == {batches.id(0): first.event}


def within_one_batch_too_the_first_one_stands(side: Side, batches: Batches) -> None:
    first, other = prediction(batches.id(0), RECORD), prediction(batches.id(0), {**RECORD, "price": 1.0})
    delivered = side.sink().deliver(batches.of([first, other]))
    assert dict(delivered.held) == {batches.id(0): first}
    assert delivered.conflicts == 1


#: For sinks that look at what they hold.
CHECKS_OF_WHAT_IS_HELD: list[Check] = [
    what_is_new_is_neither_held_nor_a_conflict,
    what_is_known_is_said_to_be_held,
    a_conflict_is_counted_once_and_the_first_one_stands,
    within_one_batch_too_the_first_one_stands,
]


def a_shadow_is_kept_once_for_each_version_whenever_it_comes(side: Side, batches: Batches) -> None:
    sink, before = side.sink(), side.count()
    answered = prediction(batches.id(0), RECORD)
    said = [shadow_of(answered, version) for version in ("2", "3")]
    for events in (said, [answered], said):
        assert list(sink.deliver(batches.of(events)).refused) == []
    assert side.count() == before + 3


def a_shadow_of_what_was_erased_is_not_kept(side: Side, batches: Batches) -> None:
    sink, before = side.sink(), side.count()
    answered = prediction(batches.id(0), RECORD)
    sink.deliver(batches.of([answered, shadow_of(answered, "2")]))
    sink.deliver(batches.of([Erasure(batches.id(0), "shop", START)]))
    erased = side.count()
    assert list(sink.deliver(batches.of([shadow_of(answered, "2"), shadow_of(answered, "3")])).refused) == []
    assert side.count() == erased <= before + 2  # some count what was predicted, erased or not, and the erasure


def shadow_of(answered: Prediction, version: str) -> Shadow:
    return Shadow(
        record_id=answered.record_id,
        case=answered.case,
        case_sha256=answered.case_sha256,
        prediction="no",
        score=0.25,
        model=ModelRef(answered.model.name, version),
        bundle_sha256="d" * 64,
        predicted_at=answered.predicted_at,
        content_hash=answered.content_hash,
    )


#: For sinks that are told what a shadow says.
CHECKS_OF_SHADOWS: list[Check] = [
    a_shadow_is_kept_once_for_each_version_whenever_it_comes,
    a_shadow_of_what_was_erased_is_not_kept,
]


def by_name(check: Check) -> str:
    return check.__name__


# The adapters ---------------------------------------------------------------------------------------------------------


class MemorySide:
    """A sink in memory, or one derived from it, is its own other side."""

    def __init__(self, kind: type[MemorySink] = MemorySink) -> None:
        self._sink = kind()
        self._sink.refuse = lambda envelope: "case" if envelope.event.case != "shop" else None

    def sink(self) -> Sink:
        return self._sink

    def count(self) -> int:
        return len(self._sink.kept)

    def go_away(self) -> None:
        self._sink.away = "away"

    def come_back(self) -> None:
        self._sink.away = None


class MonitoringSide:
    """The monitoring service as a process; away means killed."""

    def __init__(self, process: MonitoringProcess) -> None:
        self._process = process
        self._inbox = process.folder / "var" / "shop" / "monitoring" / "inbox.sqlite"
        self._sinks: list[HttpSink] = []

    def sink(self) -> Sink:
        self._sinks.append(HttpSink(self._process.url, timeout_s=10))
        return self._sinks[-1]

    def count(self) -> int:
        totals = self._process.state()["totals"]
        kept = sum(totals[name] for name in ("predictions", "labels", "rejected_records", "erasures"))
        return kept + self._shadows()

    def _shadows(self) -> int:
        """What is held now; the total counts what was erased as well."""
        with contextlib.closing(sqlite3.connect(f"file:{self._inbox}?mode=ro", uri=True)) as inbox:
            return int(inbox.execute("SELECT count(*) FROM shadows").fetchone()[0])

    def go_away(self) -> None:
        self._process.kill()

    def come_back(self) -> None:
        self._process.start()

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


class MongoSide:
    """A MongoDB of this module's own, and a database of this check's own; away means stopped."""

    def __init__(self, server: MongoServer, database: str) -> None:
        self._server = server
        self._access = mongo_access(f"{server.url}/{database}", ConnectionSettings(), timeout_s=5)
        self._stored = MongoConnection(self._access)
        self._sinks: list[MongoSink] = []

    def sink(self) -> Sink:
        self._sinks.append(MongoSink(self._access, "shop"))
        return self._sinks[-1]

    def count(self) -> int:
        kinds = ("predictions", "labels", "rejections", "erasures", "rescored")
        return sum(self._stored.count(f"shop.{kind}", {}) for kind in kinds)

    def go_away(self) -> None:
        self._server.stop()

    def come_back(self) -> None:
        self._server.start()

    def close(self) -> None:
        for closable in (self._stored, *self._sinks):
            closable.close()


class KafkaSide:
    """A broker that may be killed; a reader takes an event once, by its id, and so does the count."""

    def __init__(self, broker: KafkaBroker, namespace: str) -> None:
        self._broker = broker
        self._access = kafka_access(f"{broker.url}/{namespace}", ConnectionSettings())
        self._topics = Topics(namespace, "shop")
        self._sinks: list[KafkaSink] = []
        create_topics(self._access, [TopicSpec(name, 3, 1) for name in self._topics.all])

    def sink(self) -> Sink:
        publisher = KafkaPublisher(self._access, timeout_s=6)
        self._sinks.append(KafkaSink(publisher, self._topics, "c" * 64))
        return self._sinks[-1]

    def count(self) -> int:
        return len({header(message.headers, "ce_id") for message in self.messages()})

    def messages(self) -> list[Received]:
        expected = sum(end_offsets(self._access, self._topics.all).values())
        found: list[Received] = []
        with contextlib.closing(KafkaAssignedConsumer(self._access, self._topics.all, lambda _: None)) as stream:
            while len(found) < expected:
                found += stream.poll(timeout_s=1, max_messages=10_000)
        return found

    def go_away(self) -> None:
        self._broker.kill()

    def come_back(self) -> None:
        self._broker.start()

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoringProcess]:
    # No window fills here, so that no evaluator is ever started.
    process = MonitoringProcess(tmp_path_factory.mktemp("monitoring"), window_rows=100_000, minimum_rows=50_000)
    try:
        process.start()
        yield process
    finally:
        process.stop()


@pytest.fixture(
    params=[
        "memory",
        pytest.param("http", marks=pytest.mark.real_parts),
        pytest.param("mongodb", marks=pytest.mark.real_parts),
        pytest.param("kafka", marks=pytest.mark.real_parts),
    ]
)
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "memory":
        yield MemorySide()
    elif request.param == "http":
        with contextlib.closing(MonitoringSide(request.getfixturevalue("monitoring"))) as made:
            yield made
    else:
        yield request.getfixturevalue(f"{request.param.removesuffix('db')}_side")


@pytest.fixture
def mongo_side(mongo_server: MongoServer, mongo_database: str) -> Iterator[MongoSide]:
    with contextlib.closing(MongoSide(mongo_server, mongo_database)) as made:
        yield made


@pytest.fixture
def kafka_side(kafka_broker: KafkaBroker, kafka_namespace: str) -> Iterator[KafkaSide]:
    with contextlib.closing(KafkaSide(kafka_broker, kafka_namespace)) as made:
        yield made


@pytest.fixture(params=["memory", pytest.param("mongodb", marks=pytest.mark.real_parts)])
def looking_side(request: pytest.FixtureRequest) -> Side:
    """One whose sink says what is held."""
    return MemorySide() if request.param == "memory" else request.getfixturevalue("mongo_side")


@pytest.fixture(
    params=[pytest.param("http", marks=pytest.mark.real_parts), pytest.param("mongodb", marks=pytest.mark.real_parts)]
)
def shadowed_side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """One whose sink is told what a shadow says."""
    if request.param == "mongodb":
        yield request.getfixturevalue("mongo_side")
    else:
        with contextlib.closing(MonitoringSide(request.getfixturevalue("monitoring"))) as made:
            yield made


@pytest.mark.parametrize("check", CHECKS_OF_SHADOWS, ids=by_name)
def test_a_sink_keeps_what_a_shadow_says(check: Check, shadowed_side: Side) -> None:
    check(shadowed_side, Batches(check.__name__.replace("_", "-")[:60]))


@pytest.mark.parametrize("check", CHECKS, ids=by_name)
def test_each_adapter_keeps_the_contract(check: Check, side: Side) -> None:
    check(side, Batches(check.__name__.replace("_", "-")[:60]))


@pytest.mark.parametrize("check", CHECKS_OF_WHAT_IS_HELD, ids=by_name)
def test_a_sink_that_looks_says_what_is_held(check: Check, looking_side: Side) -> None:
    check(looking_side, Batches(check.__name__.replace("_", "-")[:60]))


# Broken adapters ------------------------------------------------------------------------------------------------------


class Forgetful(MemorySink):
    """Says yes to everything and keeps all but the last."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        return super().deliver(batch[:-1])


class Doubling(MemorySink):
    """Keeps an event again whenever it comes again."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        delivered = super().deliver(batch)
        self.kept |= {f"{event_id(envelope.event)}/{len(self.kept)}": envelope for envelope in batch[:1]}
        return delivered


class Raising(MemorySink):
    """Lets one row that is refused for good hold up everything."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        delivered = super().deliver(batch)
        if delivered.refused:
            raise ValueError(delivered.refused[0].reason)
        return delivered


class Stopping(MemorySink):
    """Keeps nothing behind a row that is refused for good."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        for envelope in batch:
            if (delivered := super().deliver([envelope])).refused:
                return delivered
        return Delivered()


class Polite(MemorySink):
    """Says yes while the other side is away."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        return Delivered() if self.away else super().deliver(batch)


class Undressed(MemorySink):
    """Lets the driver's own error out."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        if self.away:
            raise ConnectionError(self.away)
        return super().deliver(batch)


class ByPlace(MemorySink):
    """Names refused rows by their place in the batch."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        places = {envelope.seq: place for place, envelope in enumerate(batch)}
        return Delivered([Refusal(places[refusal.seq], refusal.reason) for refusal in super().deliver(batch).refused])


class Overwriting(MemorySink):
    """Lets the last one stand."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        delivered = super().deliver(batch)
        self.kept |= {event_id(envelope.event): envelope for envelope in batch}
        return delivered


class CountingAgain(MemorySink):
    """Counts a conflict whenever it comes."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        delivered = super().deliver(batch)
        return Delivered(delivered.refused, len(delivered.held), delivered.held)


class Blind(MemorySink):
    """Does not look at what it holds."""

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        return Delivered(super().deliver(batch).refused)


@pytest.mark.parametrize("kind", [Overwriting, CountingAgain, Blind])
def test_the_suite_of_what_is_held_fails_on_a_broken_adapter(kind: type[MemorySink]) -> None:
    failed = []
    for check in CHECKS_OF_WHAT_IS_HELD:
        try:
            check(MemorySide(kind), Batches("broken"))
        except AssertionError:
            failed.append(check)
    assert failed


@pytest.mark.parametrize("kind", [Forgetful, Doubling, Raising, Stopping, Polite, Undressed, ByPlace])
def test_the_suite_fails_on_a_broken_adapter(kind: type[MemorySink]) -> None:
    failed = []
    for check in CHECKS:
        try:
            check(MemorySide(kind), Batches("broken"))
        except (AssertionError, ValueError, ConnectionError, pytest.fail.Exception):
            failed.append(check)
    assert failed


# What only HTTP can do ------------------------------------------------------------------------------------------------


class ScriptedServer(ThreadingHTTPServer):
    """Answers each POST with the next of some prepared answers, and remembers how many lines came."""

    daemon_threads = True

    def __init__(self, answer: Callable[[bytes], tuple[int, dict[str, str], bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.lines: list[int] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.lines.append(len(body.splitlines()))
        self.server.keys.append(self.headers["Authorization"])
        status, headers, content = self.server.answer(body)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Silent."""


Serve = Callable[[Callable[[bytes], tuple[int, dict[str, str], bytes]]], ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers = []

    def start(answer: Callable[[bytes], tuple[int, dict[str, str], bytes]]) -> ScriptedServer:
        server = ScriptedServer(answer)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_api_key_of_monitoring_is_shown_to_it_and_a_login_in_the_url_to_nobody_else(serve: Serve) -> None:
    server = serve(lambda _: (503, {}, b""))
    sink = HttpSink(server.url.replace("http://", "http://ada:hush@"), timeout_s=5, api_key="open-sesame")
    with pytest.raises(TryAgainLaterError) as error:
        sink.deliver(Batches("key").predictions(1))
    sink.close()
    assert server.keys == ["Bearer open-sesame"]
    assert "hush" not in str(error.value)


def deliver(url: str, count: int = 1, timeout_s: float = 5) -> Sequence[Refusal]:
    sink = HttpSink(url, timeout_s=timeout_s)
    try:
        return sink.deliver(Batches("http").predictions(count)).refused
    finally:
        sink.close()


def test_a_port_nobody_listens_on_is_try_again_later() -> None:
    with pytest.raises(TryAgainLaterError, match="the connection failed"):
        deliver(f"http://127.0.0.1:{free_port()}")


def test_a_side_that_never_answers_is_given_up_after_the_timeout() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TryAgainLaterError, match="no answer within"),
    ):
        deliver(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2)


@pytest.mark.parametrize(("header", "wait_s"), [({"Retry-After": "7"}, 7), ({}, 1), ({"Retry-After": "soon"}, 1)])
def test_a_full_side_says_when_to_come_back(serve: Serve, header: dict[str, str], wait_s: float) -> None:
    server = serve(lambda _: (503, header, b""))
    with pytest.raises(TryAgainLaterError, match="answered 503") as later:
        deliver(server.url)
    assert later.value.retry_after_s == wait_s


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 408, 429, 500, 502])
def test_what_is_wrong_with_the_other_sides_settings_parks_nothing(serve: Serve, status: int) -> None:
    server = serve(lambda _: (status, {"Location": "/elsewhere"}, b""))
    with pytest.raises(TryAgainLaterError, match=f"answered {status}"):
        deliver(server.url)
    assert server.lines == [1]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"OK", b"{}", b"\xff"),
        b'{"refused": [{"index": 5, "reason": "case"}]}',
        b'{"refused": [{"index": -1, "reason": "case"}]}',
    ],
)
def test_a_200_without_a_receipt_is_no_acknowledgement(serve: Serve, body: bytes) -> None:
    server = serve(lambda _: (200, {}, body))
    with pytest.raises(TryAgainLaterError, match="without a receipt"):
        deliver(server.url)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_refused_whole_is_halved_until_the_row_that_spoils_it_is_alone(serve: Serve, status: int) -> None:
    poison = encode_json("http-5")

    def answer(body: bytes) -> tuple[int, dict[str, str], bytes]:
        return (status, {}, b"") if poison in body else (200, {}, b'{"refused": []}')

    server = serve(answer)
    refused = deliver(server.url, count=8)
    assert list(refused) == [Refusal(6, f"http_{status}")]
    assert server.lines == [8, 4, 4, 2, 1, 1, 2]


def test_a_proxy_meant_for_the_internet_is_not_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda _: (200, {}, b'{"refused": []}'))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert list(deliver(server.url)) == []


@pytest.mark.real_parts
def test_a_sink_of_another_case_parks_its_rows_with_the_reason(monitoring: MonitoringProcess) -> None:
    sink = HttpSink(f"{monitoring.url}/", timeout_s=10)
    batches = Batches("foreign")
    assert [refusal.reason for refusal in sink.deliver(batches.of([batches.foreign()])).refused] == ["case"]
    sink.close()


# What only Kafka can do -----------------------------------------------------------------------------------------------


@pytest.mark.real_parts
def test_what_is_published_is_read_back_as_it_was_delivered(kafka_side: KafkaSide) -> None:
    batches = Batches("kafka")
    batch = batches.of([prediction("r1", RECORD), label("r1"), Erasure("r2", "shop", START)])
    kafka_side.sink().deliver(batch)
    found = [event_of(message, made_case()) for message in kafka_side.messages()]
    # An erasure has a tombstone in two topics.
    assert sorted(found, key=event_id) == sorted([one.event for one in [*batch, batch[2]]], key=event_id)


def test_a_row_that_is_too_large_for_a_message_is_refused_alone() -> None:
    broker = MemoryBroker(max_message_bytes=2000)
    topics = Topics(None, "shop")
    broker.create_topics(topics.all)
    batches = Batches("large")
    batch = batches.of([prediction(batches.id(0), RECORD), prediction(batches.id(1), {"note": "x" * 5000})])
    assert list(KafkaSink(MemoryPublisher(broker), topics, "c" * 64).deliver(batch).refused) == [
        Refusal(2, "too_large")
    ]
    assert [one.key for one in broker.messages(topics.predictions)] == [b"large-0"]
