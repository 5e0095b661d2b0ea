"""Topics as a recorded stream: partitions read side by side and merged in time order, up to where they ended."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

import msgspec

from event_backbone.case.schema import Case
from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.decoding.json_bounds import is_too_deep
from event_backbone.errors import Fault, RejectedError, SettingsError, UnreadableMessageError
from event_backbone.events.schema import Label, Prediction, format_utc
from event_backbone.kafka.topics import place_id
from event_backbone.kafka.wire import event_of
from event_backbone.ports import MessageConsumer, Partition, Received
from stream_generator.recording.port import Period, Recorded, answered_of
from stream_generator.sending.retrying import Persistence

#: Read ahead of each partition.
_PAGE_MESSAGES = 200
_POLL_S = 0.5
#: A reader whose place is being looked up seems to be at the end, for a moment.
_POLLS_AT_END = 4
#: Of the years 1 and 9999.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_000
#: What a record's message may hold beside the record.
_BESIDE_THE_RECORD = ("record_id", "schema_version", "case_sha256")


class TopicOffsets(Protocol):
    """Queries to a broker; each may raise :class:`~event_backbone.errors.TryAgainLaterError`."""

    def ends(self, topics: Sequence[str]) -> Mapping[Partition, int]:
        """The offset of the next message of each partition of those topics that are there."""
        ...

    def offsets_at(self, topics: Sequence[str], timestamp_ms: int) -> Mapping[Partition, int]:
        """The first offset whose message is not older; else the end."""
        ...

    def open(self, partition: Partition, offset: int) -> MessageConsumer:
        """One partition from an offset on, or from where it begins by now."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a partition: from ``next`` to before ``end``."""

    next: int
    end: int


Spans = dict[Partition, Span]
_Place = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
#: Topic, partition, and the two of its span.
_decode_spans: Callable[[bytes], list[tuple[str, _Place, _Place, _Place]]] = bounded_decoder(
    list[tuple[str, _Place, _Place, _Place]]
)


@dataclass(frozen=True)
class KafkaRecording:
    """``topics`` of a case; labels of a label topic are items of their own.

    A prediction's time is its ``predicted_at``, any other message's is Kafka's; ``period`` is about Kafka's. A label
    has its place in the order and no time of its own: its clock is not the predictions'. A message that holds no
    record, and an erasure, is left out. A cursor holds the place in every partition and where they end.
    Memory: a page of messages and a consumer for each partition.
    """

    places: TopicOffsets
    topics: Sequence[str]
    case: Case
    period: Period
    persistence: Persistence
    _streams: list[MessageConsumer] = field(default_factory=list)

    def count(self) -> int:
        return sum(max(0, span.end - span.next) for span in self._spans().values())

    def items(self, after: str | None = None) -> Iterator[Recorded]:
        spans = self._spans() if after is None else _spans_of(after)
        readers = [self._recorded(partition, span) for partition, span in spans.items() if span.next < span.end]
        for at, received, recorded in heapq.merge(*readers, key=lambda found: found[0]):
            spans[received.partition] = Span(received.offset + 1, spans[received.partition].end)
            when = None if recorded.record is None else recorded.at or _text(at)
            yield msgspec.structs.replace(recorded, cursor=_cursor(spans), at=when)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()
        self._streams.clear()

    def _spans(self) -> Spans:
        starts = self._ask(self.places.offsets_at, 0 if self.period.since is None else _ms(self.period.since))
        ends = self._ask(self.places.offsets_at, _ms(self.period.until)) if self.period.until else self._ends()
        if not any(partition.topic == self.topics[0] for partition in ends):
            raise SettingsError(self.topics[0], [Fault("--from", "missing", "there is no such topic")])
        return {partition: Span(starts.get(partition, 0), end) for partition, end in sorted(ends.items(), key=_place)}

    def _ends(self) -> Mapping[Partition, int]:
        return self.persistence.until_done(lambda: self.places.ends(self.topics))

    def _ask(
        self, question: Callable[[Sequence[str], int], Mapping[Partition, int]], timestamp_ms: int
    ) -> Mapping[Partition, int]:
        return self.persistence.until_done(lambda: question(self.topics, timestamp_ms))

    def _recorded(self, partition: Partition, span: Span) -> Iterator[tuple[float, Received, Recorded]]:
        """What a partition holds, with its time in seconds since 1970."""
        for received in self._messages(partition, span):
            sent_at = _moment(received.timestamp_ms)
            recorded = self._decoded(received) if self.period.contains(sent_at) else None
            if recorded is not None:
                at = sent_at if recorded.at is None else datetime.fromisoformat(recorded.at)
                yield at.timestamp(), received, recorded

    def _messages(self, partition: Partition, span: Span) -> Iterator[Received]:
        stream = self.places.open(partition, span.next)
        self._streams.append(stream)
        while page := self._page(stream, span.end):
            for received in page:
                if received.offset >= span.end:
                    return
                yield received
            if page[-1].offset + 1 >= span.end:
                return

    def _page(self, stream: MessageConsumer, end: int) -> Sequence[Received]:
        """The next messages; none at the partition's end, where compaction or a transaction may leave no message."""
        at_end = 0
        while at_end < _POLLS_AT_END and not self.persistence.is_over:
            page = self.persistence.until_done(lambda: stream.poll(timeout_s=_POLL_S, max_messages=_PAGE_MESSAGES))
            if page:
                return page
            lags = self.persistence.until_done(stream.lags)
            if lags and all((lag.next_offset or 0) >= end for lag in lags.values()):
                break
            at_end = at_end + 1 if lags and not any(lag.records for lag in lags.values()) else 0
        return []

    def _decoded(self, received: Received) -> Recorded | None:
        if received.partition.topic.endswith(".records"):
            return _record(received)
        try:
            event = event_of(received, self.case)
        except UnreadableMessageError:
            return None
        if isinstance(event, Prediction):
            answered = answered_of(event)
            return Recorded("", event.record, None, event.record_id, event.predicted_at, answered=answered)
        if isinstance(event, Label):
            return Recorded("", None, event.label, event.record_id, labelled_at=event.labelled_at)
        return None


def _record(received: Received) -> Recorded | None:
    """The record of a message of others, whatever is wrong with it but that it is none."""
    value = received.value or b""
    if is_too_deep(value):
        return None
    try:
        body = json.loads(value)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    in_body = body.get("record_id")
    key = received.key.decode(errors="replace") if received.key is not None else None
    record_id = key or (in_body if isinstance(in_body, str) else None) or place_id(received)
    return Recorded("", {name: body[name] for name in body if name not in _BESIDE_THE_RECORD}, None, record_id)


def _cursor(spans: Spans) -> str:
    return json.dumps([[one.topic, one.number, span.next, span.end] for one, span in spans.items()])


def _spans_of(cursor: str) -> Spans:
    try:
        spans = _decode_spans(cursor.encode())
    except (msgspec.DecodeError, UnicodeError):
        raise RejectedError([Fault("after", "format", "is no cursor of this log")]) from None
    return {Partition(topic, number): Span(first, end) for topic, number, first, end in spans}


def _place(found: tuple[Partition, Any]) -> tuple[str, int]:
    return found[0].topic, found[0].number


def _moment(timestamp_ms: int) -> datetime:
    """A producer may write any number; beyond the years of a calendar it is the first or the last moment there is."""
    return datetime.fromtimestamp(min(max(timestamp_ms, _FIRST_MS), _LAST_MS) / 1000, UTC)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _text(at: float) -> str:
    return format_utc(datetime.fromtimestamp(at, UTC))
