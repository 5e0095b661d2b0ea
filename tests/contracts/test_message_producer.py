"""The contract of the MessageProducer port, on each adapter, and on broken ones that must fail it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_parts import KafkaBroker

from event_backbone.errors import StopError, TryAgainLaterError
from event_backbone.in_memory.stream import MemoryBroker, MemoryPublisher
from event_backbone.kafka.access import kafka_access
from event_backbone.kafka.admin import TopicSpec, create_topics, end_offsets
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.kafka.producer import KafkaPublisher, murmur2
from event_backbone.ports import Message, MessageProducer, Partition, Received
from event_backbone.settings import ConnectionSettings

HEADERS = [("ce_id", b"1"), ("empty", b"")]


class Side(Protocol):
    """The broker behind a producer, as a check sees it."""

    topic: str

    def publisher(self) -> MessageProducer: ...

    def messages(self) -> list[Received]:
        """Everything in :attr:`topic`, partition by partition."""
        ...

    def go_away(self) -> None: ...

    def come_back(self) -> None: ...


Check = Callable[[Side], None]


def made(side: Side, count: int, *, first: int = 0) -> list[Message]:
    return [Message(side.topic, b"k%d" % number, b"v%d" % number, HEADERS) for number in range(first, first + count)]


# The checks -----------------------------------------------------------------------------------------------------------


def what_is_published_is_there_as_it_was_sent(side: Side) -> None:
    assert list(side.publisher().publish(made(side, 1))) == []
    (found,) = side.messages()
    assert (found.key, found.value, list(found.headers)) == (b"k0", b"v0", HEADERS)


def nothing_to_publish_is_no_error(side: Side) -> None:
    assert list(side.publisher().publish([])) == []
    assert side.messages() == []


def messages_of_one_key_keep_their_order(side: Side) -> None:
    publisher = side.publisher()
    for call in range(3):
        publisher.publish(
            [Message(side.topic, b"k%d" % (number % 5), b"%d" % (call * 400 + number)) for number in range(400)]
        )
    by_key = itertools.groupby(sorted(side.messages(), key=lambda one: (one.key, one.offset)), key=lambda one: one.key)
    for _, found in by_key:
        numbers = [int(one.value or b"") for one in found]
        assert numbers == sorted(numbers)
        assert len(numbers) == 240


def equal_keys_meet_in_one_partition(side: Side) -> None:
    side.publisher().publish([Message(side.topic, b"k%d" % (number % 20), b"") for number in range(100)])
    places = {(one.key, one.partition) for one in side.messages()}
    assert len(places) == 20


def tombstones_and_messages_without_key_are_published(side: Side) -> None:
    messages = [Message(side.topic, b"gone", None), Message(side.topic, None, b"who"), Message(side.topic, b"", b"")]
    assert list(side.publisher().publish(messages)) == []
    assert {(one.key, one.value) for one in side.messages()} == {(b"gone", None), (None, b"who"), (b"", b"")}


def what_can_never_be_published_is_named_and_its_neighbours_are_there(side: Side) -> None:
    good = made(side, 3)
    large = Message(side.topic, b"large", b"x" * 3_000_000)
    empty = Message(side.topic, None, None)
    refused = side.publisher().publish([good[0], large, good[1], empty, good[2]])
    assert list(refused) == [(1, "too_large"), (3, "invalid_message")]
    assert {one.key for one in side.messages()} == {b"k0", b"k1", b"k2"}


def a_broker_that_is_away_is_try_again_later_and_nothing_is_sent_behind_the_callers_back(side: Side) -> None:
    publisher = side.publisher()
    publisher.publish(made(side, 1))
    side.go_away()
    try:
        with pytest.raises(TryAgainLaterError):
            publisher.publish(made(side, 3, first=1))
    finally:
        side.come_back()
    publisher.publish(made(side, 1, first=9))
    assert [one.key for one in sorted(side.messages(), key=lambda one: one.key or b"")] == [b"k0", b"k9"]


def a_topic_that_is_missing_is_try_again_later(side: Side) -> None:
    with pytest.raises(TryAgainLaterError, match="there is no topic nowhere"):
        side.publisher().publish([Message("nowhere", b"k", b"v")])


def a_large_batch_is_there_whole_and_once(side: Side) -> None:
    side.publisher().publish(made(side, 5000))
    assert sorted(one.key or b"" for one in side.messages()) == sorted(b"k%d" % number for number in range(5000))


CHECKS: list[Check] = [
    what_is_published_is_there_as_it_was_sent,
    nothing_to_publish_is_no_error,
    messages_of_one_key_keep_their_order,
    equal_keys_meet_in_one_partition,
    tombstones_and_messages_without_key_are_published,
    what_can_never_be_published_is_named_and_its_neighbours_are_there,
    a_broker_that_is_away_is_try_again_later_and_nothing_is_sent_behind_the_callers_back,
    a_topic_that_is_missing_is_try_again_later,
    a_large_batch_is_there_whole_and_once,
]


# The adapters ---------------------------------------------------------------------------------------------------------


class MemorySide:
    topic = "test.records"

    def __init__(self, kind: type[MemoryPublisher] = MemoryPublisher) -> None:
        self._broker = MemoryBroker(partitions=3)
        self._broker.create_topics([self.topic])
        self._kind = kind

    def publisher(self) -> MessageProducer:
        return self._kind(self._broker)

    def messages(self) -> list[Received]:
        return self._broker.messages(self.topic)

    def go_away(self) -> None:
        self._broker.away = "away"

    def come_back(self) -> None:
        self._broker.away = None


class KafkaSide:
    def __init__(self, broker: KafkaBroker, namespace: str) -> None:
        self.topic = f"{namespace}.records"
        self._broker = broker
        self._access = kafka_access(f"{broker.url}/{namespace}", ConnectionSettings())
        self._publishers: list[KafkaPublisher] = []
        create_topics(self._access, [TopicSpec(self.topic, 3, 1)])

    def publisher(self) -> MessageProducer:
        self._publishers.append(KafkaPublisher(self._access, timeout_s=6))
        return self._publishers[-1]

    def messages(self) -> list[Received]:
        expected = sum(end_offsets(self._access, [self.topic]).values())
        stream = KafkaAssignedConsumer(self._access, [self.topic], lambda _: None)
        found: list[Received] = []
        while len(found) < expected:
            found += stream.poll(timeout_s=1, max_messages=10_000)
        stream.close()
        return sorted(found, key=lambda one: (one.partition.number, one.offset))

    def go_away(self) -> None:
        self._broker.kill()

    def come_back(self) -> None:
        self._broker.start()

    def close(self) -> None:
        for publisher in self._publishers:
            publisher.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.real_parts)])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "memory":
        yield MemorySide()
        return
    made_side = KafkaSide(request.getfixturevalue("kafka_broker"), request.getfixturevalue("kafka_namespace"))
    yield made_side
    made_side.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_adapter_keeps_the_contract(check: Check, side: Side) -> None:
    check(side)


# Broken adapters ------------------------------------------------------------------------------------------------------


class Forgetful(MemoryPublisher):
    """Says yes to everything and sends all but the last."""

    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        return super().publish(messages[:-1])


class Doubling(MemoryPublisher):
    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        return super().publish([*messages, *messages[:1]])


class Unordered(MemoryPublisher):
    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        super().publish(messages[::-1])
        return []


class Buffering(MemoryPublisher):
    """Keeps for later what it could not send."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self._waiting: list[Message] = []

    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        self._waiting += messages
        waiting = list(self._waiting)
        refused = super().publish(waiting)
        self._waiting = []
        return refused


class Undressed(MemoryPublisher):
    """Lets the driver's own error out."""

    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        try:
            return super().publish(messages)
        except TryAgainLaterError as error:
            raise ConnectionError(str(error)) from error


class AllOrNothing(MemoryPublisher):
    """Lets one that can never be published hold up the others."""

    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        for index, message in enumerate(messages):
            if refused := super().publish([message]):
                return [(index, refused[0][1])]
        return []


class Keyless(MemoryPublisher):
    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        return super().publish([Message(one.topic, None, one.value, one.headers) for one in messages])


@pytest.mark.parametrize("kind", [Forgetful, Doubling, Unordered, Buffering, Undressed, AllOrNothing, Keyless])
def test_the_suite_fails_on_a_broken_adapter(kind: type[MemoryPublisher]) -> None:
    failed = []
    for check in CHECKS:
        try:
            check(MemorySide(kind))
        except (AssertionError, ValueError, ConnectionError, pytest.fail.Exception):
            failed.append(check)
    assert failed


# What only Kafka can do -----------------------------------------------------------------------------------------------


def test_a_producer_is_made_while_no_broker_is_there() -> None:
    publisher = KafkaPublisher(kafka_access("kafka://127.0.0.1:1", ConnectionSettings()), timeout_s=1)
    with pytest.raises(TryAgainLaterError, match="no broker answers"):
        publisher.publish([Message("x", b"k", b"v")])
    publisher.close()


def test_a_forked_process_can_not_use_a_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = KafkaPublisher(kafka_access("kafka://127.0.0.1:1", ConnectionSettings()))
    monkeypatch.setattr("os.getpid", lambda: 1)
    with pytest.raises(StopError, match="forked"):
        publisher.publish([Message("x", b"k", b"v")])


@pytest.mark.real_parts
def test_what_the_topic_itself_finds_too_large_is_named_and_its_neighbours_are_there(
    kafka_broker: KafkaBroker, kafka_namespace: str
) -> None:
    side = KafkaSide(kafka_broker, kafka_namespace)
    side.topic = f"{kafka_namespace}.narrow"
    access = kafka_access(kafka_broker.url, ConnectionSettings())
    create_topics(access, [TopicSpec(side.topic, 1, 1, {"max.message.bytes": "1000"})])
    messages = [*made(side, 2), Message(side.topic, b"large", b"x" * 2000), *made(side, 2, first=2)]
    assert list(side.publisher().publish(messages)) == [(2, "too_large")]
    assert {one.key for one in side.messages()} == {b"k0", b"k1", b"k2", b"k3"}
    side.close()


@pytest.mark.real_parts
def test_equal_keys_meet_where_other_clients_put_them(kafka_broker: KafkaBroker, kafka_namespace: str) -> None:
    """The partition is the library's murmur2 of the key, which is that of Java's producers."""
    side = KafkaSide(kafka_broker, kafka_namespace)
    side.publisher().publish(made(side, 6))
    assert {one.key: one.partition for one in side.messages()} == {
        b"k%d" % number: Partition(side.topic, place) for number, place in enumerate(places_by_the_library())
    }
    side.close()


def places_by_the_library() -> list[int]:
    from kafka.partitioner.default import murmur2

    return [(murmur2(b"k%d" % number) & 0x7FFFFFFF) % 3 for number in range(6)]


@given(st.binary(max_size=300))
def test_keys_are_hashed_as_the_library_does(key: bytes) -> None:
    from kafka.partitioner.default import murmur2 as the_librarys

    assert murmur2(key) == the_librarys(key)


def test_checksums_are_computed_in_c() -> None:
    """In Python they would take two thirds of the throughput."""
    import crc32c
    from kafka.record import util

    assert util._crc32c is crc32c.crc32c
