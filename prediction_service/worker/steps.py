"""The two steps of every batch: stored by the sinks, then published.

The log comes first and what it holds is what is published, so that ``.predictions`` never says anything else about a
``record_id`` than the log does, whichever worker saw the record first and however often it is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from event_backbone.errors import Fault
from event_backbone.events.cloud_events import text_header
from event_backbone.events.schema import Envelope, Event, Label, Prediction, Rejections
from event_backbone.kafka.dead_letters import without_value
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import messages_of
from event_backbone.ports import Delivered, Message, MessageProducer, Refusal, Sink
from prediction_service.worker.batches import BatchMaker, WorkBatch
from prediction_service.worker.metrics import WorkerMetrics


class StoreStep:
    """The first step: every sink but Kafka, in the order of the settings."""

    def __init__(self, sinks: Sequence[Sink], maker: BatchMaker) -> None:
        self._sinks = sinks
        self._maker = maker

    def __call__(self, batch: WorkBatch) -> None:
        """Doing it again after a failure changes nothing. Raises :class:`TryAgainLaterError`."""
        for sink in self._sinks:
            if batch.envelopes:
                delivered = sink.deliver(batch.envelopes)
                self._dead_letter_refused(batch, sink.name, delivered.refused)
                batch.envelopes = [*self._not_refused(batch.envelopes, delivered)]

    def _dead_letter_refused(self, batch: WorkBatch, sink: str, refused: Sequence[Refusal]) -> None:
        for refusal in refused:
            fault = Fault("(body)", refusal.reason, f"was refused by the sink {sink}")
            batch.dead_letters.append(self._maker.dead_letter(batch.origins[refusal.seq], "sink", [fault]))

    def _not_refused(self, envelopes: Sequence[Envelope], delivered: Delivered) -> list[Envelope]:
        """What is published: without the refused and the erased, and what the log holds in place of what came later."""
        refused = {refusal.seq for refusal in delivered.refused}
        going_on = [one for one in envelopes if one.seq not in refused and not _is_of(one, delivered.erased)]
        return [_as_held(one, delivered.held) for one in going_on]


def _is_of(envelope: Envelope, record_ids: Collection[str]) -> bool:
    event = envelope.event
    return isinstance(event, (Prediction, Label)) and event.record_id in record_ids


def _as_held(envelope: Envelope, held: Mapping[str, Prediction]) -> Envelope:
    event = envelope.event
    if not isinstance(event, Prediction) or event.record_id not in held:
        return envelope
    return Envelope(envelope.source, envelope.seq, held[event.record_id])


class PublishStep:
    """The second step: predictions, rejections and dead letters, each to its topic. Labels of others stay theirs."""

    def __init__(
        self, publisher: MessageProducer, topics: Topics, case_sha256: str, maker: BatchMaker, metrics: WorkerMetrics
    ) -> None:
        self._publisher = publisher
        self._topics = topics
        self._case_sha256 = case_sha256
        self._maker = maker
        self._metrics = metrics

    def __call__(self, batch: WorkBatch) -> None:
        """Doing it again after a failure publishes some a second time. Raises :class:`TryAgainLaterError`.

        What is refused is counted only here: a record that is read again because its batch went no further counts once.
        """
        envelopes = [one for one in batch.envelopes if not isinstance(one.event, Label)]
        messages = [message for one in envelopes for message in messages_of(one, self._topics, self._case_sha256)]
        refused = self._publisher.publish(messages)  # one message for each envelope: there are no erasures among them
        letters = [self._letter_of_refused(batch, envelopes[index], reason) for index, reason in refused]
        self._publish_letters([*batch.dead_letters, *letters])
        self._count([one.event for one in envelopes], [*batch.dead_letters, *letters])

    def _count(self, events: Sequence[Event], letters: Sequence[Message]) -> None:
        self._metrics.answered.inc(sum(isinstance(event, Prediction) for event in events))
        for event in events:
            if isinstance(event, Rejections):
                self._metrics.rejected_records.inc(event.records)
                for fault in event.faults:
                    self._metrics.rejected.labels(fault.column, fault.reason).inc(fault.count)
        for letter in letters:
            self._metrics.dead_letters.labels(text_header(letter.headers, "dl_reason") or "").inc()

    def _letter_of_refused(self, batch: WorkBatch, envelope: Envelope, reason: str) -> Message:
        fault = Fault("(body)", reason, "its prediction can't be published")
        return self._maker.dead_letter(batch.origins[envelope.seq], "too_large", [fault])

    def _publish_letters(self, letters: Sequence[Message]) -> None:
        """One that is too large itself is published without its value, which stays at its origin."""
        if letters:
            refused = self._publisher.publish(letters)
            if refused:
                self._publisher.publish([without_value(letters[index]) for index, _ in refused])
