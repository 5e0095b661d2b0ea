"""Batches of the worker: messages of one poll, scored and ready for sinks and Kafka."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import uuid_utils

from event_backbone.case.records import Record
from event_backbone.case.schema import Case
from event_backbone.errors import Fault, RejectedError, StopError, UnreadableMessageError
from event_backbone.events.cloud_events import is_ours, text_header
from event_backbone.events.schema import Envelope, Event, FaultCount, Rejections, utc_now
from event_backbone.kafka.dead_letters import dead_letter_of
from event_backbone.kafka.topics import Topics, place_id
from event_backbone.kafka.wire import event_of
from event_backbone.model.scoring import fault_in_score
from event_backbone.ports import Message, Partition, Received
from prediction_service.inference.predictor import Predictor
from prediction_service.inference.rejections import FaultLabels
from prediction_service.worker.metrics import WorkerMetrics
from prediction_service.worker.records import RecordReader, RejectedMessageError

SERVICE = "worker"


class TooManyInvalidError(StopError):
    """Nothing but invalid messages for so long that the producers, the case file or this program must be wrong."""

    def __init__(self, partition: Partition, count: int) -> None:
        self.partition = partition
        super().__init__(
            f"{count} invalid messages in a row in {partition.topic}, partition {partition.number}: stopped before "
            "the stream becomes dead letters; look at them with `prediction-service dead-letters list`"
        )


@dataclass(slots=True)
class WorkBatch:
    """Predictions, labels, rejections and dead letters of some messages, and the offsets after them.

    ``origins`` has the message an envelope came from, by the envelope's ``seq``.
    """

    next_offsets: Mapping[Partition, int]
    epochs: Mapping[Partition, int]
    envelopes: list[Envelope] = field(default_factory=list)
    dead_letters: list[Message] = field(default_factory=list)
    origins: dict[int, Received] = field(default_factory=dict)


class BatchMaker:
    """Turns received messages into batches. One caller at a time."""

    def __init__(
        self, case: Case, topics: Topics, predictor: Predictor, metrics: WorkerMetrics, *, most_invalid_in_a_row: int
    ) -> None:
        self._case = case
        self._topics = topics
        self._predictor = predictor
        self._metrics = metrics
        self._most_invalid = most_invalid_in_a_row
        self._invalid_in_a_row: Counter[Partition] = Counter()
        self._reader = RecordReader(case)
        self._fault_labels = FaultLabels(case)
        # An envelope's place: unlike an offset, this number is not given twice in a batch of several partitions.
        self._source = f"worker-{uuid_utils.uuid7()}"
        self._seq = itertools.count(1)

    def make(self, messages: Sequence[Received], epochs: Mapping[Partition, int]) -> WorkBatch:
        """Read, score and wrap; nothing is delivered yet.

        Raises:
            TooManyInvalidError: the limit is reached; none of this batch may be committed.
            NoModelError: there is no champion yet.
        """
        batch = WorkBatch({one.partition: one.offset + 1 for one in messages}, epochs)
        records: list[Record] = []
        origins: list[Received] = []
        for received in messages:
            if received.partition.topic == self._topics.labels:
                self._take_label(batch, received)
            elif (record := self._record(batch, received)) is not None:
                records.append(record)
                origins.append(received)
        predictions = self._predictor.predict(records) if records else []
        for prediction, origin in zip(predictions, origins, strict=True):
            if (fault := fault_in_score(prediction.score)) is not None:
                self._reject(batch, origin, "record", RejectedError([fault]))
            else:
                self._add(batch, prediction, origin)
        return batch

    def dead_letter(self, received: Received, reason: str, faults: Sequence[Fault] = ()) -> Message:
        """The dead letter of a message that can't be taken."""
        first_seen = text_header(received.headers, "dl_first_seen") or utc_now()
        return dead_letter_of(received, reason, faults, first_seen, SERVICE, self._topics.dead_letters)

    def _add(self, batch: WorkBatch, event: Event, origin: Received) -> None:
        seq = next(self._seq)
        batch.envelopes.append(Envelope(self._source, seq, event))
        batch.origins[seq] = origin

    def _record(self, batch: WorkBatch, received: Received) -> Record | None:
        try:
            record = self._reader.read(received)
        except RejectedMessageError as error:
            self._reject(batch, received, error.reason, error)
            return None
        self._invalid_in_a_row[received.partition] = 0
        return record

    def _take_label(self, batch: WorkBatch, received: Received) -> None:
        """Keep a label that somebody else published; ours are kept by the replica that took them."""
        if is_ours(received.headers, self._case.name):
            return
        try:
            label = event_of(received, self._case)
        except UnreadableMessageError as error:
            self._reject(batch, received, error.reason, error)
            return
        self._invalid_in_a_row[received.partition] = 0
        self._metrics.labels.inc()
        self._add(batch, label, received)

    def _reject(self, batch: WorkBatch, received: Received, reason: str, error: RejectedError) -> None:
        self._invalid_in_a_row[received.partition] += 1
        if self._invalid_in_a_row[received.partition] >= self._most_invalid:
            raise TooManyInvalidError(received.partition, self._most_invalid)
        batch.dead_letters.append(self.dead_letter(received, reason, error.faults))
        if received.partition.topic == self._topics.records and reason != "gone":  # nobody knows what it was
            self._add(batch, self._rejections(received, error.faults), received)

    def _rejections(self, received: Received, faults: Sequence[Fault]) -> Rejections:
        """One refused record as counts, under an identity that is the same however often the record is read."""
        pairs = Counter(self._fault_labels.of(fault) for fault in faults)
        counts = [FaultCount(column, reason, count) for (column, reason), count in sorted(pairs.items())]
        now = utc_now()
        return Rejections(place_id(received), self._case.name, now, now, 1, counts)
