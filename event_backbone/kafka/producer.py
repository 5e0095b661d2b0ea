"""The producer: publishing to Kafka."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from event_backbone.errors import StopError, TryAgainLaterError
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.client import API_VERSION, quiet, translated
from event_backbone.kafka.internals import Network, batch_filler, drop_unsent
from event_backbone.ports import Message

if TYPE_CHECKING:
    from kafka import KafkaProducer

#: Largest message, a little less than what a broker takes unless its topic says otherwise.
MAX_MESSAGE_BYTES = 1_000_000
TOO_LARGE = "too_large"
INVALID = "invalid_message"


class KafkaPublisher:
    """Publishes to Kafka with an idempotent producer; a :class:`~event_backbone.ports.MessageProducer`.

    Made without a broker being there. Topics are never made by publishing: one that is missing is
    :class:`TryAgainLaterError`. Blocking: at most about ``timeout_s``. When an error is raised nothing is waiting to be
    sent any more: the producer is closed, and made anew for the next call. Not usable after a fork.
    """

    def __init__(self, access: KafkaAccess, *, timeout_s: float = 10.0) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._process_id = os.getpid()
        self._producer: KafkaProducer | None = None
        self._network = Network()
        self._known_topics: set[str] = set()

    def publish(self, messages: Sequence[Message]) -> Sequence[tuple[int, str]]:
        if os.getpid() != self._process_id:
            raise StopError("a Kafka producer can't be used in a forked process")
        if not messages:
            return []
        try:
            with translated(self._access):
                return self._publish(messages)
        except BaseException:
            self._give_up()
            raise

    def look_up(self, topics: Sequence[str]) -> None:
        """Connect and fetch metadata now, so that the first messages don't wait for it; errors as of `publish`."""
        with translated(self._access):
            self._meet_topics(self._open(), [Message(topic, None, None) for topic in topics])

    def _publish(self, messages: Sequence[Message]) -> list[tuple[int, str]]:
        producer = self._open()
        self._meet_topics(producer, messages)
        refused, futures = [], []
        add = _Adding(producer, {message.topic for message in messages})
        for index, message in enumerate(messages):
            if message.key is None and message.value is None:
                refused.append((index, INVALID))
            elif is_too_large(message):
                refused.append((index, TOO_LARGE))
            else:
                futures.append((index, add(message)))
        self._flush(producer, [future for _, future in futures])
        failed = [index for index, future in futures if future.failed() and _reason(future.exception)]
        refused += self._publish_alone(messages, failed)
        return sorted(refused)

    def _publish_alone(self, messages: Sequence[Message], indices: Sequence[int]) -> Iterator[tuple[int, str]]:
        """A broker that refuses a message refuses its whole batch: each is sent alone, and named if it fails again.

        An idempotent producer that was refused something refuses everything after it, so it is replaced.
        """
        if indices:
            self._give_up()
        for index in indices:
            producer = self._open()
            self._meet_topics(producer, [messages[index]])
            future = _Adding(producer, {messages[index].topic})(messages[index])
            self._flush(producer, [future])
            if future.failed():
                self._give_up()
                yield index, _reason(future.exception)

    def _flush(self, producer: KafkaProducer, futures: Sequence[Any]) -> None:
        """Return when each is acknowledged or failed; the library bounds that by its delivery timeout."""
        from kafka.errors import KafkaTimeoutError, UnknownError

        deadline = time.monotonic() + self._timeout_s
        while time.monotonic() < deadline:
            # A batch that is found too large is split in two, and the flush that waited for it does not know them.
            with contextlib.suppress(UnknownError):
                producer.flush(max(0.1, deadline - time.monotonic()))
            if all(future.is_done for future in futures):
                return
        raise KafkaTimeoutError

    def _open(self) -> KafkaProducer:
        if self._producer is None:
            self._network = Network()
            self._producer = _open_producer(self._access, self._timeout_s, self._network)
            self._known_topics = set()
        return self._producer

    def _meet_topics(self, producer: KafkaProducer, messages: Sequence[Message]) -> None:
        """Before anything is sent: find out about a broker that is away, or a topic that is missing."""
        from kafka.errors import KafkaTimeoutError

        for topic in {message.topic for message in messages} - self._known_topics:
            try:
                producer.partitions_for(topic)
            except KafkaTimeoutError:
                why = f"there is no topic {topic}" if self._network.is_connected() else "no broker answers"
                raise TryAgainLaterError(f"{self._access.shown}: {why}") from None
            self._known_topics.add(topic)

    def _give_up(self) -> None:
        """Fail all that waits to be sent, so that nothing is sent after the call has failed."""
        producer, self._producer = self._producer, None
        if producer is not None:
            drop_unsent(producer)
            _close(producer)

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None and os.getpid() == self._process_id:
            _close(producer)


def is_too_large(message: Message) -> bool:
    """Whether a message exceeds the limit of topics with default settings."""
    size = len(message.key or b"") + len(message.value or b"")
    if size + 64 * len(message.headers) < MAX_MESSAGE_BYTES // 2:  # the common case, without looking at each header
        return sum(len(value) for _, value in message.headers) > MAX_MESSAGE_BYTES // 2
    return size + sum(len(name) + len(value) + 10 for name, value in message.headers) > MAX_MESSAGE_BYTES


def _open_producer(access: KafkaAccess, timeout_s: float, network: Network) -> KafkaProducer:
    from kafka import KafkaProducer

    quiet()
    timeout_ms = max(int(timeout_s * 1000), 100)
    return KafkaProducer(
        **access.client_options,
        api_version=API_VERSION,
        enable_idempotence=True,
        acks="all",
        # publish() flushes, which sends at once; until then the sending thread stays out of the filling one's way.
        linger_ms=100,
        batch_size=524_288,
        max_request_size=2 * MAX_MESSAGE_BYTES,
        allow_auto_create_topics=False,
        # Together they stay within timeout_s: first the topics are looked up, then the messages are delivered.
        max_block_ms=timeout_ms * 2 // 5,
        delivery_timeout_ms=timeout_ms * 3 // 5,
        request_timeout_ms=timeout_ms * 3 // 10,
        metrics_enabled=False,
        kafka_client=network,
    )


class _Adding:
    """Adds messages to the producer's batches. What its ``send`` looks at once more for each message is known here, and
    the sending thread is woken by the flush that follows: that saves a third of the time."""

    def __init__(self, producer: Any, topics: Collection[str]) -> None:
        from kafka import TopicPartition

        self._append = batch_filler(producer)
        self._places = {
            topic: [TopicPartition(topic, number) for number in sorted(producer.partitions_for(topic))]
            for topic in topics
        }

    def __call__(self, message: Message) -> Any:
        """A future of the acknowledgement."""
        places, key = self._places[message.topic], message.key
        hashed = random.getrandbits(31) if key is None else murmur2(key) & 0x7FFFFFFF
        place = places[hashed % len(places)]
        return self._append(place, None, key, message.value, message.headers)[0]


_WORDS = [struct.Struct(f"<{count}I") for count in range(65)]


def murmur2(data: bytes) -> int:
    """The hash that Java's producers place keys by, three times as fast as the client library's own."""
    length = len(data)
    count = length >> 2
    words = _WORDS[count] if count < len(_WORDS) else struct.Struct(f"<{count}I")
    result = 0x9747B28C ^ length
    for word in words.unpack_from(data):
        mixed = (word * 0x5BD1E995) & 0xFFFFFFFF
        result = ((result * 0x5BD1E995) ^ ((mixed ^ (mixed >> 24)) * 0x5BD1E995)) & 0xFFFFFFFF
    if rest := length & 3:
        result ^= int.from_bytes(data[length - rest :], "little")
        result = (result * 0x5BD1E995) & 0xFFFFFFFF
    result = ((result ^ (result >> 13)) * 0x5BD1E995) & 0xFFFFFFFF
    return result ^ (result >> 15)


def _reason(error: BaseException) -> str:
    """Why a broker will never take a message; any other error is raised."""
    from kafka import errors

    if isinstance(error, (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)):
        return TOO_LARGE
    if isinstance(error, (errors.InvalidRecordError, errors.InvalidTimestampError)):
        return INVALID
    raise error


def _close(producer: KafkaProducer) -> None:
    from kafka.errors import KafkaError

    with contextlib.suppress(KafkaError):
        producer.close(timeout=1.0)
