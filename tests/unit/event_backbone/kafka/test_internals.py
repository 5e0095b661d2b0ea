"""Each touch of kafka-python's undocumented names, held to what is relied on, by a client without a real broker.

A failure names the function of ``internals.py`` and the installed version: look at its docstring for the public thing
that may be there now, or for what to reach for instead.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kafka
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import CorruptRecordError, KafkaTimeoutError
from kafka.record.memory_records import MemoryRecordsBuilder
from loopback_broker import PARTITIONS, TOPIC, LoopbackBroker

from event_backbone.errors import StopError, TryAgainLaterError
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer
from event_backbone.kafka.internals import (
    Network,
    UndecodableError,
    batch_filler,
    drop_unsent,
    keep_joins,
    known_position,
    name_what_fails,
)
from event_backbone.kafka.producer import KafkaPublisher
from event_backbone.ports import Partition, Received

KAFKA_ROOM = Path(__file__).parents[4] / "event_backbone" / "kafka"
PLACE = TopicPartition(TOPIC, 0)
PATIENCE_S = 10.0


@contextlib.contextmanager
def touch(name: str) -> Iterator[None]:
    """What goes wrong inside is about this touch."""
    try:
        yield
    except (AssertionError, AttributeError, TypeError, KeyError, ImportError) as error:
        pytest.fail(f"internals.{name} no longer fits kafka-python {kafka.__version__}: {error!r}")


@pytest.fixture
def broker() -> Iterator[LoopbackBroker]:
    broker = LoopbackBroker()
    yield broker
    broker.close()


def made_consumer(broker: LoopbackBroker, network: Network, closing: contextlib.ExitStack) -> Any:
    consumer = KafkaConsumer(**options(broker, network), enable_auto_commit=False, auto_offset_reset="earliest")
    closing.callback(consumer.close, timeout_ms=100)
    return consumer


def options(broker: LoopbackBroker, network: Network) -> dict[str, Any]:
    return {
        "bootstrap_servers": [f"127.0.0.1:{broker.port}"],
        "api_version": (4, 1),
        "allow_auto_create_topics": False,
        "request_timeout_ms": 5000,
        "reconnect_backoff_max_ms": 100,
        "metrics_enabled": False,
        "kafka_client": network,
    }


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as closing:
        yield closing


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def consumer(broker: LoopbackBroker, network: Network, closing: contextlib.ExitStack) -> Any:
    return made_consumer(broker, network, closing)


@pytest.fixture
def producer(broker: LoopbackBroker, network: Network) -> Iterator[Any]:
    producer = KafkaProducer(
        **options(broker, network), max_block_ms=5000, delivery_timeout_ms=60_000, linger_ms=30_000
    )
    producer.partitions_for(TOPIC)
    yield producer
    drop_unsent(producer)
    producer.close(timeout=1.0)


def access_to(broker: LoopbackBroker) -> KafkaAccess:
    return KafkaAccess((f"127.0.0.1:{broker.port}",))


def until(condition: Callable[[], bool], what: str) -> None:
    """Polled with a time limit: connections end in the client's own thread."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / 0.01)):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError(what)


# The network part -----------------------------------------------------------------------------------------------------


def test_the_library_still_takes_its_network_part_as_an_option() -> None:
    with touch("Network"):
        for kind in (KafkaConsumer, KafkaProducer):
            assert "kafka_client" in kind.DEFAULT_CONFIG
            assert "kafka_client (callable)" in str(kind.__doc__)
        assert list(inspect.signature(KafkaConsumer.DEFAULT_CONFIG["kafka_client"]).parameters)[:2] == [
            "net",
            "manager",
        ]


def test_the_network_tells_whether_a_broker_is_connected(
    broker: LoopbackBroker, network: Network, consumer: Any
) -> None:
    with touch("Network.is_connected"):
        assert network.is_connected("group") is False
        until(lambda: _refreshed(network, TOPIC), "no partitions")
        network.refresh([TOPIC], 5000)  # the first answer may come by a connection that is ended with it
        until(network.is_connected, "a broker answered and is not connected")
        assert network.is_connected("group") is True
        broker.close()
        until(lambda: not network.is_connected(), "the broker is gone and still connected")


def test_the_network_asks_for_the_partitions_of_topics(network: Network, consumer: Any) -> None:
    with touch("Network.refresh"):
        network.refresh([TOPIC], 5000)
        until(lambda: _refreshed(network, TOPIC), "no partitions")  # the first answer may be to no topics at all
        assert network.partitions_of(TOPIC) == set(range(PARTITIONS))
        assert network.partitions_of("other") == set()


def _refreshed(network: Network, topic: str) -> bool:
    network.refresh([topic], 5000)
    return bool(network.partitions_of(topic))


def test_asking_for_partitions_ends_after_its_time_limit(
    broker: LoopbackBroker, network: Network, consumer: Any
) -> None:
    broker.close()
    with touch("Network.refresh"), pytest.raises(KafkaTimeoutError):
        network.refresh([TOPIC], 100)


def test_a_call_from_another_thread_is_made_in_the_clients_own(network: Network, consumer: Any) -> None:
    called: list[str] = []
    with touch("Network.call_soon"):
        network.call_soon(lambda: called.append(threading.current_thread().name))
        until(lambda: bool(called), "the call was never made")
        assert called[0].startswith("kafka-io-")


def test_a_coroutine_of_the_client_is_woken_by_such_a_call(network: Network, consumer: Any) -> None:
    """As the one that waits for a rebalance listener."""
    from kafka.future import Future

    told, woken = Future(), threading.Event()

    async def waiting() -> None:
        await told
        woken.set()

    with touch("Network.call_soon"):
        network.call_soon(waiting)
        network.call_soon(lambda: told.success(None))
        assert woken.wait(PATIENCE_S)


def test_no_broker_is_asked_to_make_a_topic(broker: LoopbackBroker) -> None:
    publisher = KafkaPublisher(access_to(broker), timeout_s=1.0)
    with pytest.raises(TryAgainLaterError, match="there is no topic other"):
        publisher.look_up(["other"])
    publisher.close()
    stream = KafkaAssignedConsumer(access_to(broker), ["other"], lambda _: 0)
    with pytest.raises(TryAgainLaterError, match="there is none of other"):
        stream.poll(timeout_s=0.1, max_messages=1)
    stream.close()
    asked = [request for request in broker.requests if type(request).__name__ == "MetadataRequest" and request.topics]
    with touch("Network"):
        assert {request.allow_auto_topic_creation for request in asked} == {False}
        assert {topic.name for request in asked for topic in request.topics} == {"other"}


# Positions ------------------------------------------------------------------------------------------------------------


def test_a_position_is_known_where_one_was_sought(consumer: Any) -> None:
    with touch("known_position"):
        assert known_position(consumer, PLACE) is None
        consumer.assign([PLACE, TopicPartition(TOPIC, 1)])
        assert known_position(consumer, PLACE) is None
        consumer.seek(PLACE, 5)
        assert known_position(consumer, PLACE) == 5
        assert known_position(consumer, TopicPartition(TOPIC, 1)) is None


def test_a_position_moves_with_what_was_read(broker: LoopbackBroker, consumer: Any) -> None:
    broker.log = {0: batch(b"a", b"b", b"c")}
    consumer.assign([PLACE])
    consumer.seek(PLACE, 0)
    with touch("known_position"):
        assert [one.value for one in polled(consumer, max_records=2)] == [b"a", b"b"]
        assert known_position(consumer, PLACE) == 2


# Messages that can't be taken apart -----------------------------------------------------------------------------------


def batch(*values: bytes, first: int = 0, codec: int = 0) -> bytes:
    builder = MemoryRecordsBuilder(magic=2, compression_type=codec, batch_size=100_000)
    for value in values:
        builder.append(1_700_000_000_000, b"k", value, [])
    builder.close()
    # The broker writes the first offset, over the zero that a producer leaves there.
    return first.to_bytes(8, "big") + bytes(builder.buffer())[8:]


def spoiled(data: bytes) -> bytes:
    """Another last byte, so that its checksum is wrong."""
    return data[:-1] + bytes([data[-1] ^ 1])


def polled(consumer: Any, max_records: int = 10) -> list[Any]:
    found: list[Any] = []

    def step() -> bool:
        for batch in consumer.poll(timeout_ms=100, max_records=max_records).values():
            found.extend(batch)
        return bool(found)

    until(step, "nothing came")
    return found


def test_a_message_that_can_not_be_taken_apart_is_named(broker: LoopbackBroker, consumer: Any) -> None:
    broker.log = {0: batch(b"a", b"b"), 2: spoiled(batch(b"c", first=2))}
    with touch("name_what_fails"):
        name_what_fails(consumer)
        consumer.assign([PLACE])
        consumer.seek(PLACE, 0)
        assert [one.value for one in polled(consumer)] == [b"a", b"b"]
        with pytest.raises(UndecodableError) as raised:
            until(lambda: bool(consumer.poll(timeout_ms=100)), "no error")
        assert (raised.value.place, raised.value.offset) == (PLACE, 2)
        assert type(raised.value.__cause__) is CorruptRecordError
        broker.log[2] = batch(b"c", b"d", first=2)
        found: list[Any] = []

        def step() -> bool:
            with contextlib.suppress(UndecodableError):  # of the spoiled one, if it was on its way once more
                found.extend(polled(consumer))
            return bool(found)

        until(step, "the batch was not dropped")
        assert [one.value for one in found] == [b"c", b"d"]


def test_an_error_that_a_pause_swallows_comes_again_after_it(broker: LoopbackBroker, consumer: Any) -> None:
    """The client alone would ask the batch that failed for messages without end, in the next poll."""
    broker.log = {0: batch(b"a"), 1: spoiled(batch(b"b", first=1))}
    name_what_fails(consumer)
    consumer.assign([PLACE])
    consumer.seek(PLACE, 0)
    assert [one.value for one in polled(consumer)] == [b"a"]
    consumer.pause(PLACE)
    for _ in range(3):
        assert consumer.poll(timeout_ms=50) == {}
    consumer.resume(PLACE)
    with touch("name_what_fails"):
        for _ in range(2):
            with pytest.raises(UndecodableError):
                until(lambda: bool(consumer.poll(timeout_ms=100)), "no error")


def test_whatever_decoding_raises_is_named(
    broker: LoopbackBroker, consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec raises what it likes; an `OSError`, as gzip does, says nothing of the network."""
    broker.log = {0: batch(b"a" * 100, codec=1)}
    monkeypatch.setattr("event_backbone.kafka.internals.gunzipped", raising(OSError("no gzip")))
    name_what_fails(consumer)
    consumer.assign([PLACE])
    consumer.seek(PLACE, 0)
    with touch("name_what_fails"):
        for _ in range(2):
            with pytest.raises(UndecodableError) as raised:
                until(lambda: bool(consumer.poll(timeout_ms=100)), "no error")
            assert type(raised.value.__cause__) is OSError


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def test_a_stream_comes_past_a_message_that_can_not_be_taken_apart(broker: LoopbackBroker) -> None:
    broker.log = {0: batch(b"a"), 1: spoiled(batch(b"b", first=1)), 2: batch(b"c", first=2)}
    stream = KafkaAssignedConsumer(access_to(broker), [TOPIC], lambda _: 0, only=Partition(TOPIC, 0))
    found: list[Received] = []

    def step() -> bool:
        found.extend(stream.poll(timeout_s=0.1, max_messages=1))
        return len(found) == 3

    until(step, "it stayed before the spoiled one")
    assert [(one.offset, one.value) for one in found] == [(0, b"a"), (1, None), (2, b"c")]
    assert [one.loss and one.loss.reason for one in found] == [None, "corrupt", None]
    stream.close()


@pytest.mark.parametrize("error", [OSError("x"), RuntimeError("x"), EOFError(), ValueError("x"), MemoryError()])
def test_a_stream_comes_past_a_batch_whose_codec_fails(
    broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    broker.log = {0: batch(b"a"), 1: batch(b"b" * 100, b"c", first=1, codec=1), 3: batch(b"d", first=3)}
    monkeypatch.setattr("event_backbone.kafka.internals.gunzipped", raising(error))
    stream = KafkaAssignedConsumer(access_to(broker), [TOPIC], lambda _: 0, only=Partition(TOPIC, 0))
    found: list[Received] = []

    def step() -> bool:
        found.extend(stream.poll(timeout_s=0.1, max_messages=1))
        return len(found) == 4

    until(step, "it stayed before the batch")
    assert [(one.offset, one.value, one.loss and one.loss.reason) for one in found] == [
        (0, b"a", None),
        (1, None, "corrupt"),
        (2, None, "corrupt"),
        (3, b"d", None),
    ]
    assert found[1].loss is not None
    assert type(error).__name__ in found[1].loss.message
    stream.close()


def test_a_codec_that_is_not_installed_stops_a_stream_and_costs_no_message(
    broker: LoopbackBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.log = {0: batch(b"a" * 100, codec=1)}
    stream = KafkaAssignedConsumer(access_to(broker), [TOPIC], lambda _: 0, only=Partition(TOPIC, 0))
    with monkeypatch.context() as patched:
        patched.setattr("kafka.codec.has_gzip", lambda: False)
        for _ in range(3):
            with pytest.raises(StopError, match="offset 0 is compressed by a codec that is not installed"):
                until(lambda: bool(stream.poll(timeout_s=0.1, max_messages=1)), "no error")
    found: list[Received] = []

    def step() -> bool:
        found.extend(stream.poll(timeout_s=0.1, max_messages=1))
        return bool(found)

    until(step, "it did not go on")
    assert [(one.offset, one.value) for one in found] == [(0, b"a" * 100)]
    stream.close()


def test_a_broker_that_can_not_read_its_own_log_costs_no_message(broker: LoopbackBroker) -> None:
    """It answers with the error of a corrupt message, over and over, and no message is in hand that could be it."""
    broker.fetch_error = CorruptRecordError.errno
    stream = KafkaAssignedConsumer(access_to(broker), [TOPIC], lambda _: 0, only=Partition(TOPIC, 0))
    for _ in range(3):
        with pytest.raises(TryAgainLaterError, match="can't read its log"):
            until(lambda: bool(stream.poll(timeout_s=0.1, max_messages=10)), "no error")
    broker.fetch_error, broker.log = 0, {0: batch(b"a")}
    found: list[Received] = []

    def step() -> bool:
        with contextlib.suppress(TryAgainLaterError):  # an answer that was on its way
            found.extend(stream.poll(timeout_s=0.1, max_messages=1))
        return bool(found)

    until(step, "it did not go on")
    assert [(one.offset, one.value) for one in found] == [(0, b"a")]
    stream.close()


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("event_backbone.kafka.internals.MOST_BATCH_BYTES", 10_000)
    monkeypatch.setattr("event_backbone.kafka.internals.MOST_RECORD_BYTES", 5_000)


def read_of(broker: LoopbackBroker, until_offset: int) -> list[tuple[int, bytes | None, str | None]]:
    """What a stream brings up to an offset: place, value and what was lost."""
    stream = KafkaAssignedConsumer(access_to(broker), [TOPIC], lambda _: 0, only=Partition(TOPIC, 0))
    found: list[Received] = []

    def step() -> bool:
        found.extend(stream.poll(timeout_s=0.1, max_messages=2))
        return bool(found) and found[-1].offset == until_offset

    until(step, "it got no further")
    stream.close()
    return [(one.offset, one.value, one.loss.reason if one.loss else None) for one in found]


CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


@each_codec
def test_a_batch_that_expands_beyond_the_limit_is_passed_at_once_and_named(
    broker: LoopbackBroker, low_limits: None, codec: int
) -> None:
    broker.log = {
        0: batch(b"a", codec=codec),
        1: batch(*[bytes(4_000)] * 3, first=1, codec=codec),
        4: batch(b"b", first=4, codec=codec),
    }
    with touch("name_what_fails"):
        assert read_of(broker, 4) == [(0, b"a", None), (3, None, "oversized_batch"), (4, b"b", None)]


@each_codec
def test_a_batch_within_the_limit_is_read_whatever_compresses_it(
    broker: LoopbackBroker, low_limits: None, codec: int
) -> None:
    broker.log = {0: batch(bytes(4_000), bytes(4_000), codec=codec), 2: batch(bytes(20_000), first=2)}
    with touch("name_what_fails"):
        assert read_of(broker, 2) == [(0, bytes(4_000), None), (1, bytes(4_000), None), (2, bytes(20_000), None)]


def test_a_large_record_of_a_compressed_batch_and_what_follows_in_it_is_passed(
    broker: LoopbackBroker, low_limits: None
) -> None:
    broker.log = {0: batch(b"a", bytes(6_000), b"b", codec=1), 3: batch(b"c", first=3)}
    with touch("name_what_fails"):
        assert read_of(broker, 3) == [(0, b"a", None), (2, None, "oversized_batch"), (3, b"c", None)]


def test_a_batch_of_the_old_format_is_bounded_as_well(broker: LoopbackBroker, low_limits: None) -> None:
    broker.log = {0: old_batch(b"a", b"b"), 2: old_batch(*[bytes(4_000)] * 3, first=2), 5: batch(b"c", first=5)}
    with touch("name_what_fails"):
        assert read_of(broker, 5) == [
            (0, b"a", None),
            (1, b"b", None),
            (4, None, "oversized_batch"),
            (5, b"c", None),
        ]


def old_batch(*values: bytes, first: int = 0) -> bytes:
    """As brokers before 0.11 kept it: its offset is that of its last message."""
    builder = MemoryRecordsBuilder(magic=1, compression_type=1, batch_size=100_000)
    for value in values:
        builder.append(1_700_000_000_000, b"k", value, [])
    builder.close()
    return (first + len(values) - 1).to_bytes(8, "big") + bytes(builder.buffer())[8:]


# Joining a group ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits_for_the_first", [True, False])
def test_an_attempt_to_join_that_ends_between_two_polls_is_taken(
    broker: LoopbackBroker, network: Network, closing: contextlib.ExitStack, waits_for_the_first: bool
) -> None:
    consumer = KafkaConsumer(**options(broker, network), group_id="group")
    consumer.subscribe([TOPIC])
    closing.callback(consumer.close, timeout_ms=100)
    coordinator, answered, attempts = consumer._coordinator, threading.Event(), list[str]()
    taken = list[bytes]()

    async def is_ready(timeout_ms: float | None = None) -> bool:
        return True

    async def join() -> bytes:
        attempts.append("join")
        while not answered.is_set():
            await coordinator._manager._net.sleep(0.01)
        return b"assignment"

    async def prepared(*_: object, **__: object) -> None: ...

    async def complete(*result: Any) -> None:
        taken.append(result[-1])

    with touch("keep_joins"):
        coordinator.ensure_coordinator_ready_async = is_ready
        coordinator._do_join_and_sync_async = join
        coordinator._on_join_prepare_async, coordinator._on_join_complete_async = prepared, complete
        keep_joins(consumer)
        for _ in range(3):
            assert coordinator._net.run(coordinator.join_group_async, 1) is False
        answered.set()
        if not waits_for_the_first:
            until(lambda: coordinator._join_task.is_done, "the attempt never ended")
        assert coordinator._net.run(coordinator.join_group_async, 1000) is True
        assert (attempts, taken) == (["join"], [b"assignment"])


# Publishing -----------------------------------------------------------------------------------------------------------


def test_a_batch_is_filled_below_send(producer: Any) -> None:
    with touch("batch_filler"):
        fill = batch_filler(producer)
        assert list(inspect.signature(fill).parameters)[:5] == ["tp", "timestamp_ms", "key", "value", "headers"]
        futures = [fill(PLACE, None, b"k", b"v%d" % number, [("n", b"1")])[0] for number in range(3)]
        assert [future.is_done for future in futures] == [False] * 3
        assert [type(future) for future in futures] == [type(producer.send(TOPIC, b"v", b"k"))] * 3


def test_what_waits_to_be_sent_or_acknowledged_fails_when_it_is_dropped(broker: LoopbackBroker, producer: Any) -> None:
    fill = batch_filler(producer)
    with touch("drop_unsent"):
        sent = fill(PLACE, None, b"k", b"sent", [])[0]

        def is_sent() -> bool:
            with pytest.raises(KafkaTimeoutError):
                producer.flush(0.01)  # it may end before the sending thread had a turn
            return len(published(broker)) == 1

        until(is_sent, "it was not sent")
        waiting = fill(PLACE, None, b"k", b"waiting", [])[0]
        drop_unsent(producer)
        assert sent.failed()
        assert waiting.failed()
        producer.flush(1.0)
        assert len(published(broker)) == 1, "what was dropped was sent"


def published(broker: LoopbackBroker) -> list[Any]:
    return [request for request in broker.requests if type(request).__name__ == "ProduceRequest"]


# All of them in one place ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(set(KAFKA_ROOM.glob("*.py")) - {KAFKA_ROOM / "internals.py"}), ids=str)
def test_no_other_module_touches_a_private_name_of_the_client(path: Path) -> None:
    assert list(private_touches(path.read_text())) == []


def test_a_private_touch_is_noticed_however_it_is_written() -> None:
    source = """
from kafka._x import y
from kafka.net import _z
import kafka._w
self._consumer._fetcher
consumer._subscription
getattr(consumer, "_client")
setattr(consumer, "_closed", True)
monkeypatch.setattr("kafka.x._y", 1)
class Mine(KafkaConsumer):
    def _poll_once(self): ...
"""
    assert set(private_touches(source)) == {
        "kafka._x",
        "_z",
        "kafka._w",
        "_fetcher",
        "_subscription",
        "_client",
        "_closed",
        "kafka.x._y",
        "KafkaConsumer._poll_once",
    }
    assert list(private_touches("self._own\ncls._own\nkind.__name__\nfrom event_backbone.kafka.x import y")) == []


def private_touches(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    yield from (name for node in nodes for name in _imported(node) if is_private(name))
    for node in nodes:
        yield from _touched(node)


def is_private(name: str) -> bool:
    """Of dotted names: any part."""
    return any(part.startswith("_") and not part.endswith("__") for part in name.split("."))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "kafka")
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kafka":
        yield from (str(node.module), *(alias.name for alias in node.names))


def _touched(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute(value=ast.Name(id="self" | "cls")):
            return
        case ast.Attribute(attr=name) if is_private(name):
            yield name
        case ast.Call(func=ast.Name(id="getattr" | "setattr" | "delattr" | "hasattr") | ast.Attribute(attr="setattr")):
            texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            yield from (text for text in texts if is_private(text))
        case ast.ClassDef(bases=bases):
            named = [base.id for base in bases if isinstance(base, ast.Name) and base.id in dir(kafka)]
            methods = [one.name for one in node.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
            yield from (f"{base}.{name}" for base in named for name in methods if is_private(name))
