"""The contract of the MessageStream port, on each adapter, and on broken ones that must fail it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import pytest
from monitoring_process import poll_until
from real_parts import KafkaBroker

from event_backbone.errors import AwayError, TryAgainLaterError
from event_backbone.in_memory.stream import MemoryBroker, MemoryConsumer
from event_backbone.kafka.access import kafka_access
from event_backbone.kafka.admin import TopicSpec, create_topics, end_offsets, offsets_at
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.kafka.group_consumer import KafkaGroupConsumer
from event_backbone.kafka.producer import KafkaPublisher
from event_backbone.ports import Lag, Message, MessageConsumer, Partition, RebalanceListener, Received
from event_backbone.settings import ConnectionSettings

PATIENCE_S = 30


class Listener:
    """Remembers what it was told, and commits what a test puts in its hand when partitions are revoked."""

    def __init__(self) -> None:
        self.holds: set[Partition] = set()
        self.told: list[str] = []
        self.in_hand: dict[Partition, int] = {}
        self.stream: MessageConsumer | None = None

    def assigned(self, partitions: Collection[Partition]) -> None:
        self.told.append("assigned")
        self.holds |= set(partitions)

    def revoked(self, partitions: Collection[Partition]) -> None:
        self.told.append("revoked")
        if self.in_hand and self.stream is not None:
            self.stream.commit({one: offset for one, offset in self.in_hand.items() if one in partitions})
        self.holds -= set(partitions)

    def lost(self, partitions: Collection[Partition]) -> None:
        self.told.append("lost")
        self.holds -= set(partitions)


class Side(Protocol):
    """A topic with three partitions and the members of its group."""

    topic: str

    def join(self, listener: RebalanceListener | None = None) -> MessageConsumer: ...

    def publish(self, count: int, first: int = 0) -> None: ...

    def go_away(self) -> None: ...

    def come_back(self) -> None: ...


Check = Callable[[Side], None]


def read(
    stream: MessageConsumer, count: int, *, max_messages: int = 1000, sizes: list[int] | None = None
) -> list[Received]:
    """Poll until ``count`` messages came; ``sizes`` gets how many each poll brought."""
    found: list[Received] = []

    def step() -> bool:
        batch = stream.poll(timeout_s=0.2, max_messages=max_messages)
        found.extend(batch)
        if sizes is not None:
            sizes.append(len(batch))
        return len(found) >= count

    poll_until(step, PATIENCE_S, f"{count} messages")
    return found


def settle(*streams: MessageConsumer, until: Callable[[], bool]) -> list[Received]:
    """Poll every member in turn, or the first would wait for the others, until the group is as it should be."""
    found: list[Received] = []

    def step() -> bool:
        for stream in streams:
            found.extend(stream.poll(timeout_s=0.1, max_messages=1000))
        return until()

    poll_until(step, PATIENCE_S, "the group has settled")
    return found


def ends(messages: Sequence[Received]) -> dict[Partition, int]:
    """The next offset of each partition."""
    return {one.partition: one.offset + 1 for one in sorted(messages, key=lambda one: one.offset)}


# The checks -----------------------------------------------------------------------------------------------------------


def messages_come_as_they_were_sent_in_the_order_of_each_partition(side: Side) -> None:
    stream = side.join()
    side.publish(300)
    found = read(stream, 300)
    assert {(one.key, one.value) for one in found} == {(b"k%d" % number, b"v%d" % number) for number in range(300)}
    assert all(list(one.headers) == [("number", b"1")] for one in found)
    for partition in {one.partition for one in found}:
        offsets = [one.offset for one in found if one.partition == partition]
        assert offsets == list(range(len(offsets)))
    assert all(abs(one.timestamp_ms / 1000 - time.time()) < 60 for one in found)


def a_poll_brings_no_more_than_it_may_and_nothing_is_left_out(side: Side) -> None:
    stream = side.join()
    side.publish(50)
    sizes: list[int] = []
    found = read(stream, 50, max_messages=7, sizes=sizes)
    assert max(sizes) <= 7
    assert len({one.key for one in found}) == 50


def a_poll_that_finds_nothing_ends_after_its_timeout(side: Side) -> None:
    stream = side.join()
    side.publish(1)
    read(stream, 1)
    begin = time.monotonic()
    assert list(stream.poll(timeout_s=0.3, max_messages=10)) == []
    assert time.monotonic() - begin < 5


def what_is_committed_is_not_read_again_and_what_is_not_is(side: Side) -> None:
    stream = side.join()
    side.publish(30)
    first = read(stream, 30)
    done = first[:20]
    stream.commit(ends(done))
    stream.close()
    again = read(side.join(), 10)
    assert {one.key for one in again} == {one.key for one in first[20:]}


def nothing_is_committed_by_itself(side: Side) -> None:
    stream = side.join()
    side.publish(10)
    read(stream, 10)
    stream.close()
    assert len(read(side.join(), 10)) == 10


def a_new_group_begins_at_the_beginning(side: Side) -> None:
    side.publish(10)
    assert len(read(side.join(), 10)) == 10


def while_paused_nothing_comes_and_the_partitions_stay(side: Side) -> None:
    listener = Listener()
    stream = side.join(listener)
    side.publish(10)
    read(stream, 10)
    stream.pause()
    side.publish(10, first=10)
    for _ in range(3):
        assert list(stream.poll(timeout_s=0.1, max_messages=10)) == []
    assert listener.told == ["assigned"]
    stream.resume()
    assert len(read(stream, 10)) == 10


def members_share_the_partitions_and_take_over_those_of_one_that_leaves(side: Side) -> None:
    one, two = Listener(), Listener()
    first = side.join(one)
    settle(first, until=lambda: len(one.holds) == 3)
    second = side.join(two)
    settle(first, second, until=lambda: bool(one.holds and two.holds) and len(one.holds | two.holds) == 3)
    assert not one.holds & two.holds
    second.close()
    settle(first, until=lambda: len(one.holds) == 3)


def a_member_gets_its_partitions_however_short_its_polls_are(side: Side) -> None:
    """The answer to its wish to join comes between two of them, and is not thrown away."""
    listener = Listener()
    stream = side.join(listener)

    def step() -> bool:
        stream.poll(timeout_s=0.005, max_messages=10)
        time.sleep(0.1)
        return bool(listener.holds)

    poll_until(step, PATIENCE_S, "it has partitions")
    assert listener.told == ["assigned"]


def what_is_committed_while_partitions_are_revoked_is_not_read_again(side: Side) -> None:
    one, two = Listener(), Listener()
    first = one.stream = side.join(one)
    side.publish(60)
    one.in_hand = ends(read(first, 60))
    second = side.join(two)
    assert settle(first, second, until=lambda: bool(one.holds and two.holds)) == []


def a_member_that_joins_while_paused_gets_nothing_until_it_resumes(side: Side) -> None:
    listener = Listener()
    stream = side.join(listener)
    stream.pause()
    side.publish(10)
    assert settle(stream, until=lambda: len(listener.holds) == 3) == []
    stream.resume()
    assert len(read(stream, 10)) == 10


def lag_counts_what_was_not_got_yet_also_while_paused(side: Side) -> None:
    stream = side.join()
    side.publish(10)
    found = read(stream, 10)
    lags = stream.lags()
    assert totals(lags) == (0, 0.0)
    assert {place: lags[place].next_offset for place in ends(found)} == ends(found)
    stream.pause()
    side.publish(30, first=10)
    records, seconds = poll_until(lambda: lagging(stream), PATIENCE_S, "the lag is seen")
    assert records == 30
    assert 0 < seconds < 20


def totals(lags: Mapping[Partition, Lag]) -> tuple[int, float]:
    return sum(lag.records for lag in lags.values()), max(lag.seconds for lag in lags.values())


def lagging(stream: MessageConsumer) -> tuple[int, float] | None:
    records, seconds = totals(stream.lags())
    return (records, seconds) if records == 30 and seconds > 0 else None


def a_broker_that_is_away_is_try_again_later_and_nothing_is_left_out(side: Side) -> None:
    stream = side.join()
    side.publish(10)
    read(stream, 10)
    side.go_away()
    try:
        poll_until(lambda: is_away(stream), PATIENCE_S, "the stream notices")
    finally:
        side.come_back()
    side.publish(10, first=10)
    found: set[bytes | None] = set()

    def all_came() -> bool:
        found.update(one.key for one in patient_poll(stream))
        return found >= {b"k%d" % number for number in range(10, 20)}

    poll_until(all_came, PATIENCE_S, "the rest")


def is_away(stream: MessageConsumer) -> bool:
    try:
        stream.poll(timeout_s=0.2, max_messages=10)
    except TryAgainLaterError:
        return True
    return False


def patient_poll(stream: MessageConsumer) -> Sequence[Received]:
    try:
        return stream.poll(timeout_s=0.5, max_messages=100)
    except TryAgainLaterError:
        return []


CHECKS: list[Check] = [
    messages_come_as_they_were_sent_in_the_order_of_each_partition,
    a_poll_brings_no_more_than_it_may_and_nothing_is_left_out,
    a_poll_that_finds_nothing_ends_after_its_timeout,
    what_is_committed_is_not_read_again_and_what_is_not_is,
    nothing_is_committed_by_itself,
    a_new_group_begins_at_the_beginning,
    while_paused_nothing_comes_and_the_partitions_stay,
    members_share_the_partitions_and_take_over_those_of_one_that_leaves,
    a_member_gets_its_partitions_however_short_its_polls_are,
    what_is_committed_while_partitions_are_revoked_is_not_read_again,
    a_member_that_joins_while_paused_gets_nothing_until_it_resumes,
    lag_counts_what_was_not_got_yet_also_while_paused,
    a_broker_that_is_away_is_try_again_later_and_nothing_is_left_out,
]


# The adapters ---------------------------------------------------------------------------------------------------------


class MemorySide:
    topic = "test.records"

    def __init__(self, kind: type[MemoryConsumer] = MemoryConsumer) -> None:
        self.broker = MemoryBroker(partitions=3)
        self.broker.create_topics([self.topic])
        self._kind = kind

    def join(self, listener: RebalanceListener | None = None) -> MessageConsumer:
        return self._kind(self.broker, [self.topic], "group", listener)

    def publish(self, count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            self.broker.append(Message(self.topic, b"k%d" % number, b"v%d" % number, [("number", b"1")]))

    def go_away(self) -> None:
        self.broker.away = "away"

    def come_back(self) -> None:
        self.broker.away = None


class KafkaSide:
    def __init__(self, broker: KafkaBroker, namespace: str) -> None:
        self.topic = f"{namespace}.records"
        self.access = kafka_access(f"{broker.url}/{namespace}", ConnectionSettings())
        self._broker = broker
        self._group = f"{namespace}.group"
        self._streams: list[KafkaGroupConsumer] = []
        create_topics(self.access, [TopicSpec(self.topic, 3, 1)])

    def join(self, listener: RebalanceListener | None = None) -> MessageConsumer:
        self._streams.append(KafkaGroupConsumer(self.access, [self.topic], self._group, listener, session_timeout_s=6))
        return self._streams[-1]

    def publish(self, count: int, first: int = 0) -> None:
        publisher = KafkaPublisher(self.access)
        numbers = range(first, first + count)
        publisher.publish([Message(self.topic, b"k%d" % one, b"v%d" % one, [("number", b"1")]) for one in numbers])
        publisher.close()

    def go_away(self) -> None:
        self._broker.kill()

    def come_back(self) -> None:
        self._broker.start()

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


@pytest.fixture
def kafka_side(kafka_broker: KafkaBroker, kafka_namespace: str) -> Iterator[KafkaSide]:
    side = KafkaSide(kafka_broker, kafka_namespace)
    yield side
    side.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.real_parts)])
def side(request: pytest.FixtureRequest) -> Side:
    made: Side = MemorySide() if request.param == "memory" else request.getfixturevalue("kafka_side")
    return made


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_adapter_keeps_the_contract(check: Check, side: Side) -> None:
    check(side)


@pytest.mark.real_parts
def test_a_topic_that_is_not_there_is_told_to_who_waits_for_its_messages(kafka_side: KafkaSide) -> None:
    """The group deals out nothing of it and says nothing."""
    kafka_side.topic += "-of-nobody"
    stream = kafka_side.join()

    def is_told() -> bool:
        try:
            stream.poll(timeout_s=0.2, max_messages=10)
        except TryAgainLaterError as error:
            return str(error).endswith(f"there is none of {kafka_side.topic}") and not isinstance(error, AwayError)
        return False

    poll_until(is_told, PATIENCE_S, "it is told")
    create_topics(kafka_side.access, [TopicSpec(kafka_side.topic, 3, 1)])
    kafka_side.publish(10)

    def comes() -> bool:
        return bool(patient_poll(stream))

    poll_until(comes, 60, "what is there by now is read")


# Broken adapters ------------------------------------------------------------------------------------------------------


class Committing(MemoryConsumer):
    """Commits whatever it hands out."""

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        found = super().poll(timeout_s=timeout_s, max_messages=max_messages)
        self.commit(ends(found))
        return found


class Skipping(MemoryConsumer):
    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        return super().poll(timeout_s=timeout_s, max_messages=max_messages)[1:]


class Greedy(MemoryConsumer):
    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        return super().poll(timeout_s=timeout_s, max_messages=10_000)


class Restless(MemoryConsumer):
    """Goes on while it is paused."""

    def pause(self) -> None:
        """Not heard."""


class Leaving(MemoryConsumer):
    """Gives its partitions back while it is paused."""

    def pause(self) -> None:
        super().pause()
        self.close()


class Silent(MemoryConsumer):
    """Finds nothing while the broker is away, as if all were well."""

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        try:
            return super().poll(timeout_s=timeout_s, max_messages=max_messages)
        except TryAgainLaterError:
            return []


class OffByOne(MemoryConsumer):
    """Commits the last message instead of the next one."""

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        super().commit({partition: offset - 1 for partition, offset in offsets.items()})


@pytest.mark.parametrize("kind", [Committing, Skipping, Greedy, Restless, Leaving, Silent, OffByOne])
def test_the_suite_fails_on_a_broken_adapter(kind: type[MemoryConsumer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "PATIENCE_S", 0.3)
    assert any(fails(check, MemorySide(kind)) for check in CHECKS)


def fails(check: Check, side: Side) -> bool:
    try:
        check(side)
    except (AssertionError, ValueError, TryAgainLaterError, pytest.fail.Exception):
        return True
    return False


# Members that are taken for dead --------------------------------------------------------------------------------------


def test_in_memory_a_member_that_lost_its_partitions_is_told_and_can_not_commit_them() -> None:
    side, one, two = MemorySide(), Listener(), Listener()
    first, second = side.join(one), side.join(two)
    settle(first, second, until=lambda: bool(one.holds and two.holds))
    side.publish(9)
    in_hand = ends(read(first, 1))
    assert isinstance(first, MemoryConsumer)
    side.broker.lose(first)
    with pytest.raises(TryAgainLaterError):
        first.commit(in_hand)
    settle(second, until=lambda: len(two.holds) == 3)
    first.poll(timeout_s=0, max_messages=1)
    assert one.told[-1] == "lost"
    settle(first, second, until=lambda: bool(one.holds and two.holds))


@pytest.mark.real_parts
def test_a_member_of_kafka_that_was_taken_for_dead_is_told_and_can_not_commit(kafka_side: KafkaSide) -> None:
    one, two = Listener(), Listener()
    first, second = kafka_side.join(one), kafka_side.join(two)
    settle(first, second, until=lambda: bool(one.holds and two.holds))
    kafka_side.publish(30)
    in_hand = ends(read(first, 1))
    fall_silent(first)
    settle(second, until=lambda: len(two.holds) == 3)
    with pytest.raises(TryAgainLaterError):
        first.commit(in_hand)
    settle(first, second, until=lambda: "lost" in one.told and bool(one.holds and two.holds))


def fall_silent(stream: MessageConsumer) -> None:
    """No more signs of life: as in a process that is stopped for longer than the session timeout."""
    assert isinstance(stream, KafkaGroupConsumer)
    stream._consumer._coordinator._disable_heartbeat()


@pytest.mark.real_parts
def test_what_a_listener_raises_comes_out_of_poll(kafka_side: KafkaSide) -> None:
    class Failing(Listener):
        def assigned(self, partitions: Collection[Partition]) -> None:
            raise ZeroDivisionError

    stream = kafka_side.join(Failing())
    with pytest.raises(ZeroDivisionError):
        read(stream, 1)


# What only Kafka can do -----------------------------------------------------------------------------------------------


def assigned(side: KafkaSide, position: Callable[[Partition], int | None], **options: str) -> KafkaAssignedConsumer:
    return KafkaAssignedConsumer(side.access, [side.topic], position, refresh_every_s=0.5, **options)  # type: ignore[arg-type]


@pytest.mark.real_parts
def test_a_reader_of_all_partitions_begins_where_it_wants_to(kafka_side: KafkaSide) -> None:
    kafka_side.publish(60)
    ends_now = end_offsets(kafka_side.access, [kafka_side.topic])
    stream = assigned(kafka_side, lambda partition: 5 if partition.number == 0 else None)
    found = read(stream, 55)
    assert min(one.offset for one in found if one.partition.number == 0) == 5
    assert len(found) == sum(ends_now.values()) - 5
    stream.close()


@pytest.mark.real_parts
def test_a_reader_whose_place_is_no_longer_there_begins_at_the_beginning(kafka_side: KafkaSide) -> None:
    kafka_side.publish(30)
    stream = assigned(kafka_side, lambda _: 1_000_000)
    assert len(read(stream, 30)) == 30
    stream.close()


@pytest.mark.real_parts
def test_a_reader_of_all_partitions_notices_new_ones(kafka_side: KafkaSide) -> None:
    from kafka import KafkaAdminClient

    stream = assigned(kafka_side, lambda _: None)
    kafka_side.publish(10)
    read(stream, 10)
    admin = KafkaAdminClient(**kafka_side.access.client_options)
    admin.create_partitions({kafka_side.topic: 5})
    admin.close()
    settle(stream, until=lambda: len(stream.lags()) == 5)
    kafka_side.publish(100, first=100)
    assert {one.partition.number for one in read(stream, 100)} == {0, 1, 2, 3, 4}
    stream.close()


@pytest.mark.real_parts
def test_two_readers_of_all_partitions_both_get_everything_and_show_their_lag_in_a_group(kafka_side: KafkaSide) -> None:
    group = f"{kafka_side.topic}.monitoring"
    kafka_side.publish(20)
    readers = [assigned(kafka_side, lambda _: None, group=group) for _ in range(2)]
    found = [read(reader, 20) for reader in readers]
    assert [len(one) for one in found] == [20, 20]
    for reader in readers:
        reader.commit(ends(found[0]))
    committed = {one: readers[0]._consumer.committed(place) for place, one in readers[0]._partitions.items()}
    assert committed == ends(found[0])
    for reader in readers:
        reader.close()


@pytest.mark.real_parts
def test_a_topic_that_is_missing_is_try_again_later_until_it_is_there(kafka_side: KafkaSide) -> None:
    topic = f"{kafka_side.topic}.later"
    stream = KafkaAssignedConsumer(kafka_side.access, [topic], lambda _: None, refresh_every_s=0.2)
    with pytest.raises(TryAgainLaterError, match="there is none of"):
        stream.poll(timeout_s=0.1, max_messages=1)
    create_topics(kafka_side.access, [TopicSpec(topic, 1, 1)])
    poll_until(lambda: not is_away(stream), PATIENCE_S, "the topic is found")
    stream.close()


def make_anew(side: KafkaSide, topic: str) -> None:
    """Another topic of the same name, which has as many messages and more."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(**side.access.client_options)
    admin.delete_topics([topic])
    admin.close()
    poll_until(lambda: not end_offsets(side.access, [topic]), PATIENCE_S, "the topic is gone")
    create_topics(side.access, [TopicSpec(topic, 1, 1)])
    publish_to(side, topic, [b"new"] * 20)


def check_all_new_ones_come(stream: MessageConsumer) -> None:
    found, away = list[Received](), None

    def all_are_found() -> bool:
        nonlocal away
        try:
            found.extend(stream.poll(timeout_s=0.1, max_messages=100))
        except TryAgainLaterError as error:
            away = error
        offsets = sorted({one.offset for one in found if one.value == b"new"})
        assert offsets == list(range(20)), f"{offsets}, {away!r}"
        return True

    poll_until(all_are_found, 60, "all of the new topic are read")


@pytest.mark.real_parts
def test_a_topic_that_is_made_anew_is_met_and_read_from_its_beginning(kafka_side: KafkaSide) -> None:
    """Though the place in the old one is one that the new one has as well."""
    topic, met = f"{kafka_side.topic}.anew", list[tuple[str, str]]()
    create_topics(kafka_side.access, [TopicSpec(topic, 1, 1)])
    stream = KafkaAssignedConsumer(
        kafka_side.access, [topic], lambda _: None, refresh_every_s=0.2, met=lambda *told: met.append(told)
    )
    publish_to(kafka_side, topic, [b"old"] * 10)
    read(stream, 10)
    make_anew(kafka_side, topic)
    check_all_new_ones_come(stream)
    assert [name for name, _ in met] == [topic, topic]
    assert len({topic_id for _, topic_id in met}) == 2
    stream.close()


@pytest.mark.real_parts
@pytest.mark.timeout(120)
def test_a_member_of_a_group_reads_a_topic_that_is_made_anew_from_its_beginning(kafka_side: KafkaSide) -> None:
    """To its listener the partition was lost and came again; what is committed meanwhile is no place in the new one."""
    topic, listener = f"{kafka_side.topic}.anew", Listener()
    create_topics(kafka_side.access, [TopicSpec(topic, 1, 1)])
    publish_to(kafka_side, topic, [b"old"] * 10)
    group = f"{topic}.group"
    stream = KafkaGroupConsumer(kafka_side.access, [topic], group, listener)
    found = read(stream, 10)
    make_anew(kafka_side, topic)
    stream.commit(ends(found))
    check_all_new_ones_come(stream)
    assert listener.told == ["assigned", "lost", "assigned"]
    assert listener.holds == {Partition(topic, 0)}
    stream.close()
    again = KafkaGroupConsumer(kafka_side.access, [topic], group)
    check_all_new_ones_come(again)
    again.close()


@pytest.mark.real_parts
@pytest.mark.timeout(120)
def test_what_was_committed_to_a_topic_of_before_is_no_place_in_the_one_that_was_made_anew(
    kafka_side: KafkaSide,
) -> None:
    """The member that committed it never knew of the new one. A commit that tells no topic is believed."""
    topic = f"{kafka_side.topic}.anew"
    create_topics(kafka_side.access, [TopicSpec(topic, 1, 1)])
    publish_to(kafka_side, topic, [b"old"] * 10)
    group = f"{topic}.group"
    stream = KafkaGroupConsumer(kafka_side.access, [topic], group)
    found = read(stream, 10)
    make_anew(kafka_side, topic)
    stream.commit(ends(found))
    stream.close()
    again = KafkaGroupConsumer(kafka_side.access, [topic], group)
    check_all_new_ones_come(again)
    again.close()
    commit_by_another_tool(kafka_side, group, topic, 15)
    after = KafkaGroupConsumer(kafka_side.access, [topic], group)
    assert [one.offset for one in read(after, 5)] == list(range(15, 20))
    after.close()


def commit_by_another_tool(side: KafkaSide, group: str, topic: str, offset: int) -> None:
    from kafka import KafkaAdminClient, TopicPartition
    from kafka.structs import OffsetAndMetadata

    admin = KafkaAdminClient(**side.access.client_options)
    admin.alter_group_offsets(group, {TopicPartition(topic, 0): OffsetAndMetadata(offset, "by hand", -1)})
    admin.close()


def publish_to(side: KafkaSide, topic: str, values: Sequence[bytes]) -> None:
    publisher = KafkaPublisher(side.access)
    publisher.publish([Message(topic, b"k", value) for value in values])
    publisher.close()


class NoText(str):
    """A header's name that is no UTF-8, as another producer may send it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


@pytest.mark.real_parts
def test_a_message_that_can_not_be_taken_apart_comes_empty_and_holds_up_nothing(kafka_side: KafkaSide) -> None:
    stream, poison = kafka_side.join(), Message(kafka_side.topic, b"poison", b"v", [(NoText("x"), b"y")])
    kafka_side.publish(20)
    publisher = KafkaPublisher(kafka_side.access)
    publisher.publish([poison, Message(kafka_side.topic, b"poison", b"sent in the same batch")])
    publisher.close()
    kafka_side.publish(20, first=20)
    found = read(stream, 42)
    assert [(one.key, one.value) for one in found if one.key is None] == [(None, None)] * 2
    assert len({(one.partition, one.offset) for one in found}) == len(found) == 42


@pytest.mark.real_parts
def test_offsets_can_be_found_by_time(kafka_side: KafkaSide) -> None:
    kafka_side.publish(30)
    now_ms = int(time.time() * 1000)
    topics = [kafka_side.topic]
    assert set(offsets_at(kafka_side.access, topics, now_ms - 3_600_000).values()) == {0}
    assert offsets_at(kafka_side.access, topics, now_ms + 3_600_000) == end_offsets(kafka_side.access, topics)


@pytest.mark.real_parts
def test_the_listener_is_never_called_beside_its_callers_other_work(kafka_side: KafkaSide) -> None:
    polling = threading.Event()
    outside: list[str] = []

    class Watching(Listener):
        def assigned(self, partitions: Collection[Partition]) -> None:
            super().assigned(partitions)
            if not polling.is_set():
                outside.append("assigned")

    one = Watching()
    first, second = kafka_side.join(one), kafka_side.join()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and len(one.told) < 2:
        for stream in (first, second):
            polling.set()
            stream.poll(timeout_s=0.1, max_messages=1)
            polling.clear()
    assert outside == []
    assert one.told
