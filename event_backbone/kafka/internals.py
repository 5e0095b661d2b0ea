"""Uses of kafka-python's private names; no other module touches one.

Each function names the public thing that is missing. ``tests/unit/event_backbone/kafka/test_internals.py`` fails for
the one that a new version changes.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Collection
from functools import cache
from typing import Any

from event_backbone.decoding.decompression import TooLargeError, from_lz4, from_snappy, from_zstd, gunzipped

#: A batch of a broker's usual 1 MiB may expand to so much. JSON expands to 5 to 20 times, what is made for it to a
#: thousand times. Twice as much is in memory for a moment.
MOST_BATCH_BYTES = 32 * 1024 * 1024
#: One record of a compressed batch. Its headers may take 32 times as much in memory.
MOST_RECORD_BYTES = 4 * 1024 * 1024


class Network:
    """The network client of one consumer or producer, passed as the documented option ``kafka_client``.

    No private name is needed, but the classes stand in no reference. What is missing: a consumer or producer that says
    whether a broker is connected (``bootstrap_connected`` is false once it is:
    https://github.com/dpkp/kafka-python/issues/2339 and /1474), one that asks for the partitions of some topics within
    a time limit (``topics`` asks for all topics and waits for ever), and one that takes a call from another thread.
    And one that hands on its option ``allow_auto_create_topics``: brokers were asked to make what is missing.
    """

    def __init__(self) -> None:
        self._loop: Any = None
        self._client: Any = None

    def __call__(self, **configs: Any) -> Any:
        """Made as the library makes it itself, but for the option that it drops."""
        from kafka.net.compat import KafkaNetClient
        from kafka.net.selector import NetworkSelector

        self._loop = NetworkSelector(**configs)
        self._client = KafkaNetClient(net=self._loop, **configs)
        self._client.cluster.config["allow_auto_create_topics"] = configs["allow_auto_create_topics"]
        return self._client

    def is_connected(self, group: str | None = None) -> bool:
        """Whether any known broker is connected, or the coordinator of ``group``."""
        cluster = self._client.cluster
        nodes = [broker.node_id for broker in (*cluster.brokers(), *cluster.bootstrap_brokers())]
        return any(self._client.connected(node) for node in (*nodes, cluster.get_coordinator(group)))

    def refresh(self, topics: Collection[str], timeout_ms: int) -> None:
        """Request the metadata of ``topics``, and of no others from now on.

        Raises what the library does; ``KafkaTimeoutError`` when no answer came in time.
        """
        from kafka.errors import KafkaTimeoutError

        cluster, answered = self._client.cluster, threading.Event()
        cluster.set_topics(topics)
        update = cluster.request_update()
        update.add_both(lambda _: answered.set())
        if not answered.wait(timeout_ms / 1000):
            raise KafkaTimeoutError(f"no answer within {timeout_ms} ms")
        if update.failed():
            raise update.exception

    def partitions_of(self, topic: str) -> set[int]:
        """By the newest metadata; empty for a topic that is not there."""
        return self._client.cluster.partitions_for_topic(topic) or set()

    def topic_id(self, topic: str) -> str | None:
        """By the newest metadata; another one says that the topic was made anew. ``None`` where it is not known.

        Metadata are exchanged piece by piece, partitions before ids: who saw the new partitions must get the new id.
        """
        cluster = self._client.cluster
        with cluster._lock:
            found = cluster.topic_id(topic)
        return str(found) if found is not None and found.int else None  # zero is of a topic that is not there

    def call_soon(self, callback: Callable[[], Any]) -> None:
        """Schedule a call in the client's own thread; from any thread."""
        self._loop.call_soon_threadsafe(callback)


def known_position(consumer: Any, place: Any) -> int | None:
    """The offset of the next message of ``place``, ``None`` where it is not assigned or not known yet.

    Missing: ``position()`` without a question to the broker. With a time limit of 0 it still sends one, begins a reset
    that must fail, and raises what the next poll would have raised. Lags would wait for the broker once more, for each
    partition.
    """
    state = consumer._subscription.assignment.get(place)
    return None if state is None or state.position is None else state.position.offset


def committed_offsets(consumer: Any, places: Collection[Any], timeout_ms: int) -> dict[Any, tuple[int, str]]:
    """Offset and metadata of the group's last commit of each of ``places`` that has one, by one question.

    Missing: ``committed()`` for several partitions, as the Java client has it since 2.4. Raises what the library does.
    """
    found = consumer._coordinator.fetch_committed_offsets(places, timeout_ms=timeout_ms)
    return {place: (one.offset, one.metadata or "") for place, one in found.items()}


class UndecodableError(Exception):
    """A fetched message can't be decoded; ``__cause__`` says why. ``place`` and ``offset`` say which."""

    def __init__(self, place: Any, offset: int) -> None:
        self.place = place
        self.offset = offset
        super().__init__(f"{place} at {offset}")


class OversizedBatchError(Exception):
    """A compressed batch is larger than a reader takes; ``last_offset`` is that of its last message."""

    def __init__(self, last_offset: int) -> None:
        self.last_offset = last_offset
        super().__init__(f"up to {last_offset}")


def name_what_fails(consumer: Any) -> None:
    """From now on a poll raises :class:`UndecodableError`, whatever decoding raised, and the batch is dropped.

    Missing: an error that names the place, as ``RecordDeserializationException`` of the Java client does
    (https://github.com/apache/kafka/pull/10836), and its being told once: the batch that failed stays where it is, and
    the poll after the error (3.0.12), or after a pause that swallowed the error, asks it for messages without end. No
    signal ends that, for the process is asked to stop by whoever polls.
    """
    fetcher = consumer._fetcher
    kind: Any = fetcher.PartitionRecords

    class NamingBatch(kind):  # type: ignore[misc]  # the library ships no types
        """What was fetched of a partition."""

        def __init__(self, fetch_offset: int, tp: Any, records: Any, **options: Any) -> None:
            super().__init__(fetch_offset, tp, _BoundedRecords(records), **options)

        def take(self, n: int | None = None) -> list[Any]:
            try:
                taken: list[Any] = super().take(n)
            except Exception as error:  # a codec's errors are of no one family
                failed = UndecodableError(self.topic_partition, self.next_fetch_offset)
                self.drain()
                raise failed from error
            return taken

    fetcher.PartitionRecords = NamingBatch


class _BoundedRecords:
    """Batches, of which those that are compressed raise :class:`OversizedBatchError` rather than expand beyond limits.

    Missing: a limit of what a batch may expand to. The client (3.0.12) takes whatever its codec makes of it, and
    for a moment twice as much memory: 257 MiB for a batch of 6 kB that zstd made of 128 MiB.
    """

    def __init__(self, records: Any) -> None:
        self._records = records

    def next_batch(self) -> Any:
        from kafka.record.legacy_records import LegacyRecordBatch

        batch = self._records.next_batch()
        if batch is None or not batch.compression_type:
            return batch
        bounded_batch, bounded_legacy_batch = _bounded_kinds()
        if isinstance(batch, LegacyRecordBatch):
            return bounded_legacy_batch(batch._buffer, batch.magic)
        return bounded_batch(batch._buffer)


@cache
def _bounded_kinds() -> tuple[type[Any], type[Any]]:
    """Of the library's two, which are imported where they are used."""
    from kafka.record.default_records import DefaultRecordBatch
    from kafka.record.legacy_records import LegacyRecordBatch
    from kafka.record.util import decode_varint

    class BoundedBatch(DefaultRecordBatch):  # type: ignore[misc]  # the library ships no types
        """A batch as it is since Kafka 0.11."""

        _buffer: Any
        _pos: int
        _decompressed: bool

        def _maybe_uncompress(self) -> None:
            if not self._decompressed:
                self._assert_has_codec(self.compression_type)
                try:
                    expanded = _expanded(self.compression_type, memoryview(self._buffer)[self._pos :])
                except TooLargeError as error:
                    raise OversizedBatchError(self.last_offset) from error
                self._buffer, self._pos, self._decompressed = expanded, 0, True

        def _read_msg(self) -> Any:
            if decode_varint(self._buffer, self._pos)[0] > MOST_RECORD_BYTES:
                raise OversizedBatchError(self.last_offset)
            return super()._read_msg()

    class BoundedLegacyBatch(LegacyRecordBatch):  # type: ignore[misc]  # the library ships no types
        """A batch of before: one message, whose value holds the others."""

        def _decompress(self, key_offset: int) -> bytes:
            self._assert_has_codec(self.compression_type)
            _, value = self._read_key_value(key_offset)
            try:
                return _expanded(self.compression_type, value)
            except TooLargeError as error:
                raise OversizedBatchError(self.base_offset) from error  # there it is the offset of the last

    return BoundedBatch, BoundedLegacyBatch


def _expanded(codec: int, data: bytes | memoryview) -> bytes:
    """By the number that a batch names its codec with."""
    expand = {1: gunzipped, 2: from_snappy, 3: from_lz4, 4: from_zstd}[codec]
    return expand(data, MOST_BATCH_BYTES)


class _KeptJoin:
    """An attempt to join a group that is waited for until its result is taken, also when it ended long before."""

    is_done = False

    def __init__(self, attempt: Any) -> None:
        self.add_callback = attempt.add_callback
        self.add_errback = attempt.add_errback


def keep_joins(consumer: Any) -> None:
    """From now on an attempt to join the group that ends between two polls is taken by the next one.

    Missing: that the client does so itself. It throws such an attempt away and begins another (3.0.12), for which every
    other member must join again too. With polls shorter than a broker's answer nobody ever gets a partition, and where
    members are slow between polls the group may take minutes to settle.
    """
    coordinator = consumer._coordinator
    join: Callable[..., Awaitable[bool]] = coordinator.join_group_async

    async def join_keeping(timeout_ms: float | None = None) -> bool:
        attempt = coordinator._join_task
        if attempt is not None and attempt.is_done and attempt.succeeded():
            coordinator._join_task = _KeptJoin(attempt)
        return await join(timeout_ms=timeout_ms)

    coordinator.join_group_async = join_keeping


def batch_filler(producer: Any) -> Callable[..., Any]:
    """``fill(place, timestamp_ms, key, value, headers)[0]`` adds to a batch and is a future of the acknowledgement.

    Missing: a ``send`` for many messages. The public one looks at topic, serializers, size and header types once more
    for each, and wakes the sending thread for each batch: 18 µs of the caller's time instead of 10 with 8 headers
    (3.0.12), and turns that both threads take with one another.
    """
    append: Callable[..., Any] = producer._accumulator.append
    return append


def drop_unsent(producer: Any) -> None:
    """Fail all messages that wait to be sent or acknowledged.

    Missing: ``close()`` that gives up what is left, as the Java client's does with a time limit of 0. This one first
    sends it, and stays open when that takes too long (https://github.com/dpkp/kafka-python/pull/2537). What a caller
    was told to have failed would be sent behind its back.
    """
    producer._accumulator.abort_incomplete_batches()
