"""Reading from Kafka: as a member of a group, or all partitions from places the reader keeps itself."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from event_backbone.errors import TryAgainLaterError
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.client import API_VERSION, quiet, translated
from event_backbone.kafka.internals import Network, known_position, take_failed_batch
from event_backbone.ports import Lag, Partition, RebalanceListener, Received

#: Without a connection for this long, a poll that brings nothing says that the broker is away.
_AWAY_AFTER_S = 1.0
_FETCH_MAX_BYTES = 8 * 1024 * 1024


class _KafkaStream:
    """What both ways of reading share."""

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
            # Bounds what is fetched ahead, and with it the memory.
            fetch_max_bytes=_FETCH_MAX_BYTES,
            request_timeout_ms=self._timeout_ms,
            metrics_enabled=False,
            kafka_client=self._network,
            **options,
        )
        self._partitions: dict[Any, Partition] = {}
        self._connected_at = time.monotonic()
        self._lag_clocks: dict[Any, _LagClock] = {}
        self._paused = False
        self._suspect: tuple[Any, int] | None = None

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        from kafka.errors import CorruptRecordError

        try:
            with translated(self._access, but=CorruptRecordError):
                found = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=max_messages)
        except CorruptRecordError:
            return self._past_the_corrupt()
        if not found:
            self._raise_if_away()
            return []
        messages: list[Received] = []
        for place, batch in found.items():
            partition = self._named(place)
            messages += [
                Received(partition, one.offset, one.timestamp, one.key, one.value, _without_none(one.headers))
                for one in batch
            ]
            self._clock(place).got(batch[-1].timestamp)
        return messages

    def _past_the_corrupt(self) -> Sequence[Received]:
        """A message that the client can't take apart is fetched once more, then handed out empty.

        Its readers find nothing in it and make it a dead letter with its place. Left alone, the client would never
        come past it. What its producer sent with it, in one batch, shares its fate.
        """
        failed = take_failed_batch(self._consumer)
        if failed is None:
            raise TryAgainLaterError(f"{self._access.shown}: a broker can't read its log")
        place, next_offset = failed
        position = known_position(self._consumer, place)
        if position is None:
            return []  # it was taken away meanwhile
        offset = max(next_offset, position)  # a batch is always taken apart from its beginning
        if self._suspect != (place, offset):
            self._suspect = (place, offset)
            self._consumer.seek(place, offset)
            return []
        self._consumer.seek(place, offset + 1)
        return [Received(self._named(place), offset, int(time.time() * 1000), None, None)]

    def _named(self, place: Any) -> Partition:
        partition = self._partitions.get(place)
        if partition is None:
            partition = self._partitions[place] = Partition(place.topic, place.partition)
        return partition

    def _raise_if_away(self) -> None:
        """The library keeps trying in silence; a caller should know that nothing can come."""
        now = time.monotonic()
        if self._network.is_connected(self._consumer.config["group_id"]):
            self._connected_at = now
        elif now - self._connected_at > _AWAY_AFTER_S:
            raise TryAgainLaterError(f"{self._access.shown}: no broker answers")

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        from kafka import TopicPartition
        from kafka.structs import OffsetAndMetadata

        places = {
            TopicPartition(place.topic, place.number): OffsetAndMetadata(offset, "", -1)
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
        return Lag(0, 0.0) if position is None else self._clock(place).lag(max(0, end - position))

    def _clock(self, place: Any) -> _LagClock:
        clock = self._lag_clocks.get(place)
        if clock is None:
            clock = self._lag_clocks[place] = _LagClock()
        return clock

    def close(self) -> None:
        with contextlib.suppress(TryAgainLaterError), translated(self._access):
            self._consumer.close(autocommit=False, timeout_ms=min(self._timeout_ms, 3000))


class _LagClock:
    """How old the oldest message that was not got yet can be.

    It came after the last one that was got, and after the last time that none was missing. What Kafka holds ahead of
    us can't be looked at, so the later of the two is taken.
    """

    def __init__(self) -> None:
        self._since = time.time()
        self._got_any = False

    def got(self, timestamp_ms: int) -> None:
        self._since = timestamp_ms / 1000 if not self._got_any else max(self._since, timestamp_ms / 1000)
        self._got_any = True

    def lag(self, records: int) -> Lag:
        now = time.time()
        if records == 0:
            self._since, self._got_any = now, True
            return Lag(0, 0.0)
        return Lag(records, max(0.0, now - self._since))


def _without_none(headers: list[tuple[str, bytes | None]]) -> Sequence[tuple[str, bytes]]:
    """A header may be null in Kafka; here it is empty."""
    for _, value in headers:
        if value is None:
            return [(name, value or b"") for name, value in headers]
    return headers  # type: ignore[return-value]


class KafkaGroupStream(_KafkaStream):
    """A member of a consumer group; a :class:`~event_backbone.ports.MessageConsumer`.

    Made without a broker being there. The listener is called while :meth:`poll` is, never at the same time as other
    code of its caller, but from another thread. Partitions are dealt out in ranges, so that equal keys of two topics
    with as many partitions meet in one member. The broker takes a member for dead ``session_timeout_s`` after its last
    sign of life; a broker's own bounds, 6 s to 30 min if they were not changed, apply.
    """

    def __init__(
        self,
        access: KafkaAccess,
        topics: Sequence[str],
        group: str,
        listener: RebalanceListener | None = None,
        *,
        session_timeout_s: float = 10.0,
        timeout_s: float = 10.0,
    ) -> None:
        from kafka.coordinator.assignors.range import RangePartitionAssignor

        super().__init__(
            access,
            timeout_s,
            group_id=group,
            session_timeout_ms=int(session_timeout_s * 1000),
            heartbeat_interval_ms=int(session_timeout_s * 1000 / 4),
            max_poll_interval_ms=max(60_000, int(session_timeout_s * 3000)),
            partition_assignment_strategy=(RangePartitionAssignor,),
            metadata_max_age_ms=30_000,  # new partitions are noticed after this
        )
        self._listener = listener
        self._listener_error: BaseException | None = None
        self._closing = False
        self._consumer.subscribe(topics, listener=_listening(self._tell))

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        messages = super().poll(timeout_s=timeout_s, max_messages=max_messages)
        error, self._listener_error = self._listener_error, None
        if error is not None:
            raise error
        return messages

    async def _tell(self, what: str, places: Collection[Any]) -> None:
        """Runs in the client's own thread, which must go on with heartbeats and commits: the listener gets another.

        The thread that polls waits meanwhile.
        """
        from kafka.future import Future

        done = Future()

        def work() -> None:
            try:
                self._told(what, places)
            finally:
                self._network.call_soon(lambda: done.success(None))

        threading.Thread(target=work, name=f"partitions-{what}").start()
        await done

    def _told(self, what: str, places: Collection[Any]) -> None:
        if what == "assigned" and self._paused:
            self._consumer.pause(*places)
        for place in places:
            self._lag_clocks.pop(place, None)
            if what == "assigned":
                self._clock(place)
        if self._listener is None or self._closing:
            return
        try:
            getattr(self._listener, what)([self._named(place) for place in sorted(places)])
        except Exception as error:  # raised by poll(): the client would only log it
            self._listener_error = error

    def close(self) -> None:
        self._closing = True
        super().close()


def _listening(tell: Callable[[str, Collection[Any]], Awaitable[None]]) -> Any:
    from kafka import AsyncConsumerRebalanceListener

    class Listening(AsyncConsumerRebalanceListener):  # type: ignore[misc,unused-ignore]
        async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
            await tell("assigned", assigned)

        async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
            if revoked:
                await tell("revoked", revoked)

        async def on_partitions_lost(self, lost: Collection[Any]) -> None:
            await tell("lost", lost)

    return Listening()


class KafkaAssignedStream(_KafkaStream):
    """All partitions of some topics, whoever else reads them; a :class:`~event_backbone.ports.MessageConsumer`.

    A partition begins at ``position(partition)``, or where Kafka's begins if that is ``None``, or is no longer kept.
    Partitions and topics that come later are noticed after ``look_every_s``. :meth:`commit` writes to ``group`` without
    being its member, for tools that show lags; where a commit fails, nothing else does. ``only`` leaves out every other
    partition.
    """

    def __init__(
        self,
        access: KafkaAccess,
        topics: Sequence[str],
        position: Callable[[Partition], int | None],
        *,
        group: str | None = None,
        timeout_s: float = 10.0,
        look_every_s: float = 5.0,
        only: Partition | None = None,
    ) -> None:
        super().__init__(access, timeout_s, group_id=group, metadata_max_age_ms=int(look_every_s * 1000))
        self._topics = topics
        self._position = position
        self._look_every_s = look_every_s
        self._only = only
        self._look_at = 0.0

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        if time.monotonic() >= self._look_at:
            self._look_for_partitions()
        return super().poll(timeout_s=timeout_s, max_messages=max_messages)

    def _look_for_partitions(self) -> None:
        found = (
            self._refreshed() or self._refreshed()
        )  # the first answer may be to what was asked before we named topics
        if not found:
            raise TryAgainLaterError(f"{self._access.shown}: there is none of {', '.join(self._topics)}")
        self._look_at = time.monotonic() + self._look_every_s
        new = found - self._consumer.assignment()
        if new:
            self._consumer.assign(sorted(found | self._consumer.assignment()))
            self._begin(sorted(new))

    def _refreshed(self) -> set[Any]:
        """The partitions that there are now."""
        with translated(self._access):
            self._refresh()
        return set(self._found())

    def _refresh(self) -> None:
        """Ask for the partitions, but no longer than ``timeout_s``."""
        from kafka.errors import UnknownTopicOrPartitionError

        with contextlib.suppress(UnknownTopicOrPartitionError):  # those that are there are known all the same
            self._network.refresh(self._topics, self._timeout_ms)

    def _found(self) -> Iterator[Any]:
        from kafka import TopicPartition

        for topic in self._topics:
            for number in self._network.partitions_of(topic):
                if self._only in (None, Partition(topic, number)):
                    yield TopicPartition(topic, number)

    def _begin(self, places: Sequence[Any]) -> None:
        for place in places:
            self._clock(place)
            offset = self._position(self._named(place))
            if offset is None:
                self._consumer.seek_to_beginning(place)
            else:
                self._consumer.seek(place, offset)
        if self._paused:
            self._consumer.pause(*places)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._consumer.config["group_id"] is not None:
            with contextlib.suppress(TryAgainLaterError):
                super().commit(offsets)
