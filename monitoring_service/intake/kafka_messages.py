"""Decoding of Kafka messages into batches for the inbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from event_backbone.case.schema import Case
from event_backbone.errors import UnreadableMessageError
from event_backbone.events.schema import Envelope, utc_now
from event_backbone.kafka.dead_letters import dead_letter_of
from event_backbone.kafka.topics import place_source
from event_backbone.kafka.wire import event_of
from event_backbone.ports import Message, Partition, Received
from monitoring_service.inbox.transaction import Progress

SERVICE = "monitoring"


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """A decoded poll: the events, the source's progress, and dead letters of what is unreadable.

    ``next_offsets`` are those to read on from. With ``stop`` too many in a row were unreadable: the message that was
    one too many, and whatever came after it, are not in here.
    """

    envelopes: Sequence[Envelope]
    progress: Progress
    dead_letters: Sequence[Message]
    next_offsets: Mapping[Partition, int]
    stop: str | None = None


class StreamDecoder:
    """Turns messages into batches and counts, by partition, how many in a row can't be read. Not thread-safe."""

    def __init__(
        self, case: Case, dead_letters: str, *, unreadable_limit: int, now: Callable[[], str] = utc_now
    ) -> None:
        self._case = case
        self._dead_letters = dead_letters
        self._unreadable_limit = unreadable_limit
        self._now = now
        self._in_a_row = Counter[Partition]()

    def begin_anew(self) -> None:
        """What was decoded is read once more: it must not count twice."""
        self._in_a_row.clear()

    def decode(self, messages: Sequence[Received]) -> StreamBatch:
        envelopes: list[Envelope] = []
        letters: list[Message] = []
        unreadable = Counter[str]()
        offsets: dict[Partition, int] = {}
        stop = None
        for message in messages:
            try:
                envelopes.append(self._envelope(message))
                self._in_a_row[message.partition] = 0
            except UnreadableMessageError as error:
                self._in_a_row[message.partition] += 1
                if self._in_a_row[message.partition] >= self._unreadable_limit:
                    stop = self._too_many(message, error)
                    break
                unreadable[error.reason] += 1
                letters.append(self._letter(message, error))
            offsets[message.partition] = message.offset
        positions = {place_source(partition): offset for partition, offset in offsets.items()}
        following = {partition: offset + 1 for partition, offset in offsets.items()}
        return StreamBatch(envelopes, Progress(positions, unreadable), letters, following, stop)

    def _envelope(self, message: Received) -> Envelope:
        return Envelope(place_source(message.partition), message.offset, event_of(message, self._case))

    def _letter(self, message: Received, error: UnreadableMessageError) -> Message:
        return dead_letter_of(message, error.reason, error.faults, self._now(), SERVICE, self._dead_letters)

    def _too_many(self, message: Received, error: UnreadableMessageError) -> str:
        place = f"partition {message.partition.number} of {message.partition.topic} at offset {message.offset}"
        return (
            f"{self._unreadable_limit} messages in a row can't be read: {place} ({error.reason}); "
            "mend their producer, or raise MONITORING_UNREADABLE_LIMIT"
        )
