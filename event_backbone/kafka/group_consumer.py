"""A consumer that is a member of a consumer group."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from event_backbone.errors import TryAgainLaterError
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.client import translated
from event_backbone.kafka.consumer import KafkaReader, is_of_another
from event_backbone.kafka.internals import committed_offsets, keep_joins
from event_backbone.ports import RebalanceListener, Received

#: A poll must not last long, or the group takes its member for dead.
_COMMITTED_WITHIN_MS = 1000
#: By then a broker that answers has said which topics there are.
_TOPICS_KNOWN_AFTER_S = 5.0


class KafkaGroupConsumer(KafkaReader):
    """A member of a consumer group; a :class:`~event_backbone.ports.MessageConsumer`.

    Made without a broker being there. The listener is called while :meth:`poll` is, never at the same time as other
    code of its caller, but from another thread. Partitions are dealt out in ranges, so that equal keys of two topics
    with as many partitions meet in one member. The broker takes a member for dead ``session_timeout_s`` after its last
    sign of life; a broker's own bounds, 6 s to 30 min if they were not changed, apply.

    A topic may be deleted and made anew under the same name, and what was committed meanwhile stands in the new one as
    if it were a place there. Each commit tells the topic's id, and one that tells another begins nothing.
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
            metadata_max_age_ms=30_000,  # new partitions and topics made anew are noticed after this
        )
        keep_joins(self._consumer)
        self._topics = topics
        self._asked_at = time.monotonic()
        self._listener = listener
        self._listener_error: BaseException | None = None
        self._closing = False
        #: Assigned, and paused until the next poll finds out where they begin.
        self._not_begun = set[Any]()
        self._consumer.subscribe(topics, listener=_listening(self._notify_in_thread))

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        self._begin_topics_made_anew()
        self._begin_assigned()
        messages = super().poll(timeout_s=timeout_s, max_messages=max_messages)
        error, self._listener_error = self._listener_error, None
        if error is not None:
            raise error
        if not messages:
            self._raise_if_missing()
        return messages

    def _begin_topics_made_anew(self) -> None:
        """To the listener its partitions were lost and came again: what is in flight from the old one has no place."""
        for topic, topic_id in self._other_ids(self._topics).items():
            places = {place for place in self._consumer.assignment() if place.topic == topic}
            if topic in self._topic_ids and places:
                self._notify("lost", places)
                self._notify("assigned", places)
            self._meet(topic, topic_id)

    def _begin_assigned(self) -> None:
        """Where the group's last commit says, but at the log's beginning where it was made to another topic."""
        places = [place for place in self._not_begun if self._is_met(place.topic)]
        if not places:
            return
        with translated(self._access):
            committed = committed_offsets(self._consumer, places, _COMMITTED_WITHIN_MS)
        for place in places:
            offset, metadata = committed.get(place, (None, ""))
            if offset is None or is_of_another(metadata, self._topic_ids.get(place.topic)):
                self._consumer.seek_to_beginning(place)
            else:
                self._consumer.seek(place, offset)
                self._dropped.expect(place, offset)
        self._not_begun.difference_update(places)
        if not self._paused:
            self._consumer.resume(*places)

    def _is_met(self, topic: str) -> bool:
        """Whether it is known, and its id, which brokers before Kafka 2.8 don't tell."""
        return bool(self._network.partitions_of(topic)) and (
            topic in self._topic_ids or self._network.topic_id(topic) is None
        )

    def resume(self) -> None:
        super().resume()
        self._consumer.pause(*self._not_begun)

    def _raise_if_missing(self) -> None:
        """Of topics that are not there a group deals out nothing, and says nothing."""
        if self._consumer.assignment() or time.monotonic() - self._asked_at < _TOPICS_KNOWN_AFTER_S:
            return
        if not any(self._network.partitions_of(topic) for topic in self._topics):
            raise TryAgainLaterError(f"{self._access.shown}: there is none of {', '.join(self._topics)}")

    async def _notify_in_thread(self, what: str, places: Collection[Any]) -> None:
        """Runs in the client's own thread, which must go on with heartbeats and commits: the listener gets another.

        The thread that polls waits meanwhile.
        """
        from kafka.future import Future

        done = Future()

        def work() -> None:
            try:
                self._notify(what, places)
            finally:
                self._network.call_soon(lambda: done.success(None))

        threading.Thread(target=work, name=f"partitions-{what}").start()
        await done

    def _notify(self, what: str, places: Collection[Any]) -> None:
        if what == "assigned":
            self._consumer.pause(*places)
            self._not_begun.update(places)
        else:
            self._not_begun.difference_update(places)
        self._dropped.forget(places)
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


def _listening(notify: Callable[[str, Collection[Any]], Awaitable[None]]) -> Any:
    from kafka import AsyncConsumerRebalanceListener

    class Listening(AsyncConsumerRebalanceListener):  # type: ignore[misc,unused-ignore]
        async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
            await notify("assigned", assigned)

        async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
            if revoked:
                await notify("revoked", revoked)

        async def on_partitions_lost(self, lost: Collection[Any]) -> None:
            await notify("lost", lost)

    return Listening()
