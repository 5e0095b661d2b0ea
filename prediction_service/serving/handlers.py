"""Request handlers: bytes in, status and bytes out; everything answered is in the journal first."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from event_backbone.case.labels import decode_label
from event_backbone.case.records import Record, RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.errors import ConflictError, Fault, RejectedError
from event_backbone.events.schema import ModelRef, Prediction, decode_event
from event_backbone.model.scoring import fault_in_score
from event_backbone.prediction_log.journal_layout import Entry, entry_of
from event_backbone.web.problems import FaultListing, fault_documents, problem, rejection, rejection_status
from event_backbone.web.request_bodies import alone_if_large
from prediction_service.inference.predictor import Predictor
from prediction_service.inference.rejections import RejectionLog
from prediction_service.journal.writer import HeldEntry, Journal
from prediction_service.serving.batch_body import split_batch
from prediction_service.serving.metrics import ServingMetrics
from prediction_service.serving.micro_batching import MicroBatcher

#: Status and JSON body; the content type follows from the status.
Reply = tuple[int, bytes]


class Answer(msgspec.Struct, frozen=True):
    """The body of a 200 from ``/predict``."""

    record_id: str
    prediction: str | float
    score: float
    model: ModelRef
    case: str
    predicted_at: str


class RecordAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One element of a batch's ``results``."""

    status: int
    answer: Answer | None = None
    detail: str | None = None
    faults: list[dict[str, str]] = []


_encode = msgspec.json.Encoder().encode


class PredictionHandlers:
    """Handles records and labels. Thread-safe."""

    def __init__(
        self,
        case: Case,
        journal: Journal,
        predictor: Predictor,
        metrics: ServingMetrics,
        rejections: RejectionLog,
        max_batch_records: int,
    ) -> None:
        self._case = case
        self._journal = journal
        self._predictor = predictor
        self._metrics = metrics
        self._rejections = rejections
        self._max_batch_records = max_batch_records
        self._answer_one: MicroBatcher[Record, tuple[Prediction, HeldEntry | None]] = MicroBatcher(self._answer_all)
        self.decoder = RecordDecoder(case)

    # Predictions --------------------------------------------------------------------------------------------------

    def predict(self, body: bytes) -> Reply:
        """One record as JSON; those that other threads bring at the same moment are one group with it."""
        decoded = self._decode(body)
        return self._reply_for(*self._answer_one(decoded)) if isinstance(decoded, Record) else decoded

    def predict_all(self, bodies: Sequence[bytes]) -> list[Reply]:
        """Records as JSON that came one by one: scored and committed as one group, each with its own reply."""
        decoded = [self._decode(body) for body in bodies]
        records = [record for record in decoded if isinstance(record, Record)]
        answers = iter(self._answer_all(records) if records else ())
        return [self._reply_for(*next(answers)) if isinstance(one, Record) else one for one in decoded]

    def _decode(self, body: bytes) -> Record | Reply:
        try:
            return self.decoder.decode_trusted(body)
        except ValueError:
            return self._refuse(body)

    def _refuse(self, body: bytes) -> Reply:
        with alone_if_large(body):
            faults = self.decoder.faults_in_body(body)
        self._rejections.count(faults)
        return rejection(faults)

    def predict_payload(self, payload: object) -> Reply:
        """One record that is decoded already: the web form's."""
        try:
            record = self.decoder.convert(payload)
        except RejectedError as error:
            self._rejections.count(error.faults)
            return rejection(error.faults)
        return self._reply_for(*self._answer_one(record))

    def _answer_all(self, records: Sequence[Record]) -> list[tuple[Prediction, HeldEntry | None]]:
        """Score records and append the predictions, all or none; each with what is held under its id.

        One without a score that is a number is not appended, and spoils none of the others.
        """
        made = self._predictor.predict(records)
        entries = [entry_of(prediction) for prediction in made if fault_in_score(prediction.score) is None]
        kept = iter(self._journal.append(entries) if entries else [])
        if len(entries) == len(made):
            return list(zip(made, kept, strict=True))
        return [(one, None if fault_in_score(one.score) else next(kept)) for one in made]

    def _reply_for(self, made: Prediction, kept: HeldEntry | None) -> Reply:
        try:
            return 200, _encode(self._answer_for(made, kept))
        except ConflictError as error:
            return 409, problem(409, str(error))
        except RejectedError as error:
            return rejection(error.faults)

    def _answer_for(self, made: Prediction, kept: HeldEntry | None) -> Answer:
        """The answer of one prediction, counted as new, repeated, conflicting or refused.

        Raises:
            ConflictError: the id was used for something else.
            RejectedError: the model gives no number for this record.
        """
        if kept is None:
            faults = [fault for fault in [fault_in_score(made.score)] if fault is not None]
            self._rejections.count(faults)
            raise RejectedError(faults)
        if kept.new:
            self._metrics.answered.inc()
            return _answer(made)
        if kept.content_hash != made.content_hash:
            self._metrics.conflicts.inc()
            used = "used for another record" if kept.content_hash else "erased"
            raise ConflictError(f"record_id {made.record_id!r} was already {used}; nothing changed")
        self._metrics.repeated.inc()
        return _answer(_stored_prediction(kept))

    # Batches ------------------------------------------------------------------------------------------------------

    def predict_batch(self, body: bytes) -> Reply:
        """A JSON array of records, or one record a line: ``results`` in the same order, each with its own status."""
        records = self.decoder.decode_array(body)
        results: list[RecordAnswer | None]
        valid: Sequence[tuple[int, Record]]
        if records is not None and 0 < len(records) <= self._max_batch_records:
            results, valid = [None] * len(records), list(enumerate(records))
        else:
            try:
                with alone_if_large(body):
                    results, valid = self._decode_each(body)
            except RejectedError as error:
                self._rejections.count(error.faults)
                return rejection(error.faults, "batch")
        answered = self._answer_all([record for _, record in valid]) if valid else []
        for (index, _), (made, kept) in zip(valid, answered, strict=True):
            results[index] = self._record_answer(made, kept)
        return 200, _encode({"results": results})

    def _decode_each(self, body: bytes) -> tuple[list[RecordAnswer | None], list[tuple[int, Record]]]:
        """The refusals of a batch by place, and its valid records; raises :class:`RejectedError` when it is none."""
        items = split_batch(body, at_most=self._max_batch_records)
        results: list[RecordAnswer | None] = [None] * len(items)
        valid: list[tuple[int, Record]] = []
        listing = FaultListing()
        for index, item in enumerate(items):
            try:
                valid.append((index, self.decoder.decode(item)))
            except RejectedError as error:
                self._rejections.count(error.faults)
                results[index] = RecordAnswer(rejection_status(error.faults), faults=listing.documents(error.faults))
        return results, valid

    def _record_answer(self, made: Prediction, kept: HeldEntry | None) -> RecordAnswer:
        try:
            return RecordAnswer(200, self._answer_for(made, kept))
        except ConflictError as error:
            return RecordAnswer(409, detail=str(error))
        except RejectedError as error:
            return RecordAnswer(422, faults=fault_documents(error.faults))

    # Labels -------------------------------------------------------------------------------------------------------

    def take_labels(self, body: bytes) -> Reply:
        """One label, a JSON array of them, or one a line; good ones are kept beside bad neighbours."""
        try:
            with alone_if_large(body):
                entries, refused = self._decode_labels(body)
        except RejectedError as error:
            return rejection(error.faults, "body")
        if not entries:
            return rejection([fault for _, faults in refused for fault in faults], "label")
        self._journal.append(entries)
        self._metrics.labels.inc(len(entries))
        listing = FaultListing()
        named = [{"index": index, "faults": listing.documents(faults)} for index, faults in refused]
        return 202, _encode({"accepted": len(entries), "rejected": named})

    def _decode_labels(self, body: bytes) -> tuple[list[Entry], list[tuple[int, Sequence[Fault]]]]:
        """Labels as entries, and the faults of the others by place; raises :class:`RejectedError` when it is none."""
        entries: list[Entry] = []
        refused: list[tuple[int, Sequence[Fault]]] = []
        for index, item in enumerate(split_batch(body, at_most=self._max_batch_records)):
            try:
                entries.append(entry_of(decode_label(item, self._case)))
            except RejectedError as error:
                refused.append((index, error.faults))
        return entries, refused


def _answer(made: Prediction) -> Answer:
    return Answer(made.record_id, made.prediction, made.score, made.model, made.case, made.predicted_at)


def _stored_prediction(kept: HeldEntry) -> Prediction:
    event = decode_event(kept.body)
    assert isinstance(event, Prediction)
    return event
