"""Dead letters of a case, in its topic and parked by sinks: find, show, replay."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from event_backbone.errors import Fault, RejectedError, UnreadableMessageError
from event_backbone.events.schema import Envelope, decode_event
from event_backbone.kafka.access import KafkaAccess
from event_backbone.kafka.dead_letters import DeadLetter, dead_letter_in, replay_of
from event_backbone.ports import Message, MessageProducer, Received, Sink
from prediction_service.delivery.parked_rows import parked_rows

_REPLAYED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class CollectedLetter:
    """One dead letter, as it was first seen, and its number of attempts."""

    letter: DeadLetter
    attempts: int = 1

    @property
    def origin(self) -> str:
        """Topic, partition and offset, or a sink and a journal's row."""
        letter = self.letter
        if letter.topic is not None:
            return f"{letter.topic} partition {letter.partition} offset {letter.offset}"
        return f"sink {letter.sink}, journal {letter.source} row {letter.seq}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Chosen letters: of a reason, first seen since (RFC 3339 in UTC), by id; at most ``limit``, the oldest first."""

    reason: str | None = None
    since: str | None = None
    ids: frozenset[str] = frozenset()
    limit: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        return (
            (self.reason is None or letter.reason == self.reason)
            and (self.since is None or letter.first_seen >= self.since)
            and (not self.ids or letter.id in self.ids)
        )


class DeadLetterCollector:
    """Collects letters, each id once. Contents are held only where asked for: there may be many."""

    def __init__(self, chosen: Filter, *, contents: bool) -> None:
        self._chosen = chosen
        self._contents = contents
        self._found: dict[str, CollectedLetter] = {}

    def take(self, letter: DeadLetter) -> None:
        if not self._chosen.takes(letter):
            return
        known = self._found.get(letter.id)
        if known is not None:
            self._found[letter.id] = replace(known, attempts=known.attempts + 1)
        else:
            kept = letter if self._contents else msgspec.structs.replace(letter, value=None, headers=())
            self._found[letter.id] = CollectedLetter(kept)

    def take_parked(self, letter: DeadLetter) -> None:
        """A row that may have been published, too: that is not another attempt."""
        if letter.id not in self._found:
            self.take(letter)

    def found(self) -> list[CollectedLetter]:
        in_order = sorted(self._found.values(), key=lambda one: (one.letter.first_seen, one.letter.id))
        return in_order[: self._chosen.limit]


def find(
    published: Callable[[], Iterator[Received]], journals_dir: Path, chosen: Filter, *, contents: bool
) -> list[CollectedLetter]:
    """Letters of the topic and of parked rows on this machine. Other messages in the topic are passed over."""
    collector = DeadLetterCollector(chosen, contents=contents)
    for message in published():
        with contextlib.suppress(UnreadableMessageError):
            collector.take(dead_letter_in(message))
    for rows in parked_rows(journals_dir):
        for letter in rows.letters():
            collector.take_parked(letter)
    return collector.found()


def messages_until_now(access: KafkaAccess, topic: str, *, timeout_s: float) -> Iterator[Received]:
    """All messages of a topic up to its present end; a topic that is not there has none.

    Raises:
        TryAgainLaterError: Kafka is away.
    """
    from event_backbone.kafka.admin import end_offsets, offsets_at
    from event_backbone.kafka.assigned_consumer import KafkaAssignedConsumer

    ends = end_offsets(access, [topic], timeout_s=timeout_s)
    begins = offsets_at(access, [topic], 0, timeout_s=timeout_s)
    unread = {partition for partition, end in ends.items() if begins[partition] < end}
    if not unread:
        return
    with contextlib.closing(KafkaAssignedConsumer(access, [topic], begins.get, timeout_s=timeout_s)) as stream:
        while unread:
            messages = stream.poll(timeout_s=1.0, max_messages=1000)
            for message in messages:
                if message.offset < ends[message.partition]:
                    yield message
                if message.offset + 1 >= ends[message.partition]:
                    unread.discard(message.partition)
            if not messages:  # a transaction's end is no message, and may be the last that is there
                lags = stream.lags()
                unread = {one for one in unread if one not in lags or (lags[one].next_offset or 0) < ends[one]}


# Replay ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replayed:
    """``not_replayed``: by id, why."""

    count: int
    not_replayed: dict[str, str]


def replay(
    found: Sequence[CollectedLetter], publisher: MessageProducer | None, sinks: Sequence[Sink], journals_dir: Path
) -> Replayed:
    """Send records back to their topics and rows to their sinks. Doing it twice gives the same state: who takes them
    knows a ``record_id`` again, and what fails again is the same dead letter.

    Raises:
        TryAgainLaterError: Kafka or a sink is away; what was sent until then may be sent again.
    """
    letters = [one.letter for one in found]
    failed = _replay_records([letter for letter in letters if letter.topic is not None], publisher)
    failed |= _replay_rows([letter for letter in letters if letter.topic is None], sinks, journals_dir)
    return Replayed(len(letters) - len(failed), failed)


def _replay_records(letters: Sequence[DeadLetter], publisher: MessageProducer | None) -> dict[str, str]:
    failed: dict[str, str] = {}
    messages: list[tuple[str, Message]] = []
    for letter in letters:
        try:
            messages.append((letter.id, replay_of(letter)))
        except RejectedError as error:
            failed[letter.id] = error.faults[0].message
    for first in range(0, len(messages) if publisher else 0, _REPLAYED_AT_ONCE):
        batch = messages[first : first + _REPLAYED_AT_ONCE]
        assert publisher is not None  # the range is empty without one
        failed |= {batch[index][0]: reason for index, reason in publisher.publish([message for _, message in batch])}
    return failed


def _replay_rows(letters: Sequence[DeadLetter], sinks: Sequence[Sink], journals_dir: Path) -> dict[str, str]:
    by_name = {sink.name: sink for sink in sinks}
    failed, taken = {}, []
    for letter in letters:
        if letter.sink not in by_name:
            failed[letter.id] = f"SINKS names no sink called {letter.sink}"
        elif reason := _refusal_of(letter, by_name[letter.sink]):
            failed[letter.id] = reason
        else:
            taken.append(letter)
    for rows in parked_rows(journals_dir):
        rows.forget([letter for letter in taken if letter.source == rows.source])
    return failed


def _refusal_of(letter: DeadLetter, sink: Sink) -> str | None:
    try:
        event = decode_event(letter.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "its content was not kept"
    refused = sink.deliver([Envelope(letter.source or "", letter.seq or 0, event)]).refused
    return f"refused again: {refused[0].reason}" if refused else None


def letter_with_id(found: Sequence[CollectedLetter], wanted: str) -> CollectedLetter:
    """Raises :class:`RejectedError` when there is none of this id."""
    for one in found:
        if one.letter.id == wanted:
            return one
    raise RejectedError([Fault(wanted, "unknown", "is no dead letter of this case")])
