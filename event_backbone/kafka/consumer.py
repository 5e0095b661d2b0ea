"""What the group consumer and the assigned consumer share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from event_backbone.errors import AwayError, StopError, TryAgainLaterError
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.client import API_VERSION, quiet, translated
from event_backbone.kafka.dropped import DroppedMessages
from event_backbone.kafka.internals import (
    Network,
    OversizedBatchError,
    UndecodableError,
    known_position,
    name_what_fails,
)
from event_backbone.kafka.lag import LagClock
from event_backbone.ports import Lag, Loss, Partition, Received

log = structlog.get_logger()

#: Without a connection for this long, a poll that brings nothing says that the broker is away.
_AWAY_AFTER_S = 1.0
_FETCH_MAX_BYTES = 8 * 1024 * 1024
#: Begins the metadata of a commit; others may have written anything there.
_TOPIC_ID = "topic_id="
_OVERSIZED = "batch that expands to more than is taken"


class KafkaReader:
    """Polling, pausing, lags and errors of both kinds of consumer."""

    def __init__(self, access: KafkaAccess, timeout_s: float, **options: Any) -> None:
        from kafka import KafkaConsumer

        quiet()
        self._access = access
        self._timeout_ms = max(int(timeout_s * 1000), 1000)
        self._network = Network()
        self._consumer: Any = KafkaConsumer(
            **access.client_options,
            api_version=API_VERSION,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            isolation_level="read_committed",
            # Bounds what is fetched ahead, and with it the memory.
            fetch_max_bytes=_FETCH_MAX_BYTES,
            request_timeout_ms=self._timeout_ms,
            metrics_enabled=False,
            kafka_client=self._network,
            **options,
        )
        name_what_fails(self._consumer)
        self._dropped = DroppedMessages(self._consumer, self._timeout_ms)
        self._partitions: dict[Any, Partition] = {}
        self._topic_ids: dict[str, str] = {}
        self._connected_at = time.monotonic()
        self._lag_clocks: dict[Any, LagClock] = {}
        self._paused = False
        self._suspect: tuple[Any, int] | None = None

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        from kafka.errors import CorruptRecordError

        try:
            with translated(self._access, but=CorruptRecordError):
                found = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=max_messages)
        except UndecodableError as error:
            return self._past_the_undecodable(error)
        except CorruptRecordError:  # told by the broker
            raise TryAgainLaterError(f"{self._access.shown}: a broker can't read its log") from None
        lost = self._lost(found)
        if not found:
            if not lost:
                self._raise_if_away()
            return lost
        messages: list[Received] = [*lost]
        for place, batch in found.items():
            partition = self._named(place)
            messages += [
                Received(partition, one.offset, one.timestamp, one.key, one.value, _without_none(one.headers))
                for one in batch
            ]
            self._clock(place).got(batch[-1].timestamp)
        return messages

    def _other_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """The ids of topics that are not those that were met before: new ones, and ones that were made anew.

        A topic that was made anew, as by a broker that lost its disk, is another one, and a place in the old one means
        nothing in it. The client keeps such a place.
        """
        found = {topic: self._network.topic_id(topic) for topic in topics}
        return {topic: one for topic, one in found.items() if one is not None and one != self._topic_ids.get(topic)}

    def _meet(self, topic: str, topic_id: str) -> bool:
        """Whether another one of that name was met before."""
        was_met = topic in self._topic_ids
        self._topic_ids[topic] = topic_id
        if was_met:
            log.warning("topic_made_anew", topic=topic)
        return was_met

    def _lost(self, found: Mapping[Any, Sequence[Any]]) -> Sequence[Received]:
        """What was to be read next and is gone, as one empty message at its last place."""
        try:
            with translated(self._access):
                gone = self._dropped.gone(found)
        except TryAgainLaterError as error:  # what was found must not be lost for this
            log.warning("jumps_not_explained", error=str(error))
            return []
        lost = []
        for place, first, last in gone:
            log.warning("messages_gone", topic=place.topic, partition=place.partition, first=first, last=last)
            loss = Loss("gone", f"offsets {first} to {last} were dropped by the broker before they were read")
            lost.append(self._empty(place, last, loss))
        return lost

    def _past_the_undecodable(self, failed: UndecodableError) -> Sequence[Received]:
        """A message that can't be decoded is fetched once more, then returned empty.

        Its readers make it a dead letter with its place. Left alone, nobody would ever come past it. What its producer
        sent with it, in one batch, shares its fate. A codec that is not installed is no fault of the message.
        """
        from kafka.errors import UnsupportedCodecError

        reason = type(failed.__cause__).__name__
        position = known_position(self._consumer, failed.place)
        if position is None:
            return []  # it was taken away meanwhile
        offset = max(failed.offset, position)  # a batch is always decoded from its beginning
        if isinstance(failed.__cause__, UnsupportedCodecError):
            shown = f"partition {failed.place.partition} of {failed.place.topic} at offset {offset}"
            raise StopError(f"{shown} is compressed by a codec that is not installed: {failed.__cause__}")
        if isinstance(failed.__cause__, OversizedBatchError):
            return self._past_the_oversized(failed.place, offset, failed.__cause__.last_offset)
        if self._suspect != (failed.place, offset):
            self._suspect = (failed.place, offset)
            self._consumer.seek(failed.place, offset)
            return []
        self._consumer.seek(failed.place, offset + 1)
        return [self._empty(failed.place, offset, Loss("corrupt", f"can't be decoded: {reason}"))]

    def _past_the_oversized(self, place: Any, first: int, last: int) -> Sequence[Received]:
        """A compressed batch that is too large, as one empty message at its last place.

        Its checksum was right, so fetching it once more would bring the same, and it does end where it says.
        """
        last = max(first, last)
        log.warning("batch_oversized", topic=place.topic, partition=place.partition, first=first, last=last)
        self._consumer.seek(place, last + 1)
        return [
            self._empty(place, last, Loss("oversized_batch", f"offsets {first} to {last} came in one {_OVERSIZED}"))
        ]

    def _empty(self, place: Any, offset: int, loss: Loss) -> Received:
        return Received(self._named(place), offset, int(time.time() * 1000), None, None, loss=loss)

    def _named(self, place: Any) -> Partition:
        partition = self._partitions.get(place)
        if partition is None:
            partition = self._partitions[place] = Partition(place.topic, place.partition)
        return partition

    def _raise_if_away(self) -> None:
        """The library retries in silence; a caller should know that nothing can come."""
        now = time.monotonic()
        if self._network.is_connected(self._consumer.config["group_id"]):
            self._connected_at = now
        elif now - self._connected_at > _AWAY_AFTER_S:
            raise AwayError(f"{self._access.shown}: no broker answers")

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        from kafka import TopicPartition
        from kafka.structs import OffsetAndMetadata

        places = {
            TopicPartition(place.topic, place.number): OffsetAndMetadata(
                offset, _of_topic(self._topic_ids.get(place.topic)), -1
            )
            for place, offset in offsets.items()
        }
        with translated(self._access):
            self._consumer.commit(places, timeout_ms=self._timeout_ms)

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._consumer.resume(*self._consumer.assignment())

    def lags(self) -> Mapping[Partition, Lag]:
        """Asks the broker for the ends, so that it is also right while nothing is fetched."""
        places = list(self._consumer.assignment())
        if not places:
            return {}
        with translated(self._access):
            ends = self._consumer.end_offsets(places, timeout_ms=min(self._timeout_ms, 5000))
        return {self._named(place): self._lag(place, end) for place, end in ends.items()}

    def _lag(self, place: Any, end: int) -> Lag:
        position = known_position(self._consumer, place)
        if position is None:
            return Lag(0, 0.0)
        return self._clock(place).lag(max(0, end - position), position)

    def _clock(self, place: Any) -> LagClock:
        clock = self._lag_clocks.get(place)
        if clock is None:
            clock = self._lag_clocks[place] = LagClock()
        return clock

    def close(self) -> None:
        with contextlib.suppress(TryAgainLaterError), translated(self._access):
            self._consumer.close(autocommit=False, timeout_ms=min(self._timeout_ms, 3000))


def _of_topic(topic_id: str | None) -> str:
    """The metadata of a commit."""
    return "" if topic_id is None else f"{_TOPIC_ID}{topic_id}"


def is_of_another(metadata: str, topic_id: str | None) -> bool:
    """Whether a commit was made to a topic of this name that is not this one."""
    return topic_id is not None and metadata.startswith(_TOPIC_ID) and metadata != _of_topic(topic_id)


def _without_none(headers: list[tuple[str, bytes | None]]) -> Sequence[tuple[str, bytes]]:
    """A header may be null in Kafka; here it is empty."""
    for _, value in headers:
        if value is None:
            return [(name, value or b"") for name, value in headers]
    return headers  # type: ignore[return-value]
