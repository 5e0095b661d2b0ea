"""A consumer of all partitions, from offsets that the reader keeps itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from event_backbone.errors import TryAgainLaterError
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.client import translated
from event_backbone.kafka.consumer import KafkaReader
from event_backbone.ports import Partition, Received


class KafkaAssignedConsumer(KafkaReader):
    """All partitions of some topics, outside any group's assignment; a :class:`~event_backbone.ports.MessageConsumer`.

    A partition begins at ``position(partition)``, or where Kafka's begins if that is ``None``, or is no longer kept.
    Later partitions and topics are found after ``refresh_every_s``. :meth:`commit` writes to ``group`` without
    being its member, for tools that show lags; where a commit fails, nothing else does. ``only`` leaves out every other
    partition.

    The partitions of a topic that was made anew begin anew; ``met(topic, id)`` is called before their positions are
    asked for, as it is for a topic that is met first.
    """

    def __init__(
        self,
        access: KafkaAccess,
        topics: Sequence[str],
        position: Callable[[Partition], int | None],
        *,
        group: str | None = None,
        timeout_s: float = 10.0,
        refresh_every_s: float = 5.0,
        only: Partition | None = None,
        met: Callable[[str, str], None] = lambda _topic, _id: None,
    ) -> None:
        super().__init__(access, timeout_s, group_id=group, metadata_max_age_ms=int(refresh_every_s * 1000))
        self._topics = topics
        self._position = position
        self._refresh_every_s = refresh_every_s
        self._only = only
        self._met = met
        self._refresh_at = 0.0

    def poll(self, *, timeout_s: float, max_messages: int) -> Sequence[Received]:
        if time.monotonic() >= self._refresh_at:
            self._find_partitions()
        return super().poll(timeout_s=timeout_s, max_messages=max_messages)

    def _find_partitions(self) -> None:
        found = (
            self._refreshed() or self._refreshed()
        )  # the first answer may be to what was asked before we named topics
        if not found:
            raise TryAgainLaterError(f"{self._access.shown}: there is none of {', '.join(self._topics)}")
        self._refresh_at = time.monotonic() + self._refresh_every_s
        made_anew = self._meet_topics()
        new = found - self._consumer.assignment()
        if new:
            self._consumer.assign(sorted(found | self._consumer.assignment()))
        begun = new | {place for place in found if place.topic in made_anew}
        if begun:
            self._begin(sorted(begun))

    def _meet_topics(self) -> set[str]:
        """Topics that were made anew since they were met."""
        made_anew = set()
        for topic, topic_id in self._other_ids(self._topics).items():
            self._met(topic, topic_id)
            if self._meet(topic, topic_id):
                made_anew.add(topic)
        return made_anew

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
        self._dropped.forget(places)
        for place in places:
            self._clock(place)
            offset = self._position(self._named(place))
            if offset is None:
                self._consumer.seek_to_beginning(place)
            else:
                self._consumer.seek(place, offset)
                self._dropped.expect(place, offset)
        if self._paused:
            self._consumer.pause(*places)

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        if self._consumer.config["group_id"] is not None:
            with contextlib.suppress(TryAgainLaterError):
                super().commit(offsets)
