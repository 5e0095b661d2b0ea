"""MongoDB as a sink: predictions once by ``record_id``, labels, rejections, erasures and shadow predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Envelope, Erasure, Label, Prediction, Rejections, Shadow
from event_backbone.mongodb.access import MongoAccess
from event_backbone.mongodb.connection import DUPLICATE, Document, MongoConnection
from event_backbone.mongodb.documents import Collections, conflict_document, document_of, forget_erased, prediction_of
from event_backbone.ports import Delivered, Refusal

log = structlog.get_logger()

#: A large collection's index takes longer to make than a delivery may; the server goes on with it meanwhile.
_BETWEEN_INDEX_TRIES_S = 60.0


@dataclass
class _Outcome:
    """The outcome of a batch so far."""

    stored_at: datetime
    refused: list[Refusal] = field(default_factory=list)
    held: dict[str, Prediction] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)

    def as_delivered(self, erased: set[str]) -> Delivered:
        return Delivered(
            sorted(self.refused, key=lambda refusal: refusal.seq),
            sum(record_id not in erased for record_id in self.conflicts),
            {record_id: prediction for record_id, prediction in self.held.items() if record_id not in erased},
            frozenset(erased),
        )


class MongoSink:
    """Delivers to one database; rows of another case than its own are refused. Nothing is connected before the first
    delivery.

    An erased ``record_id`` is erased for good: what comes under it later is not kept.
    """

    def __init__(
        self,
        access: MongoAccess,
        case: str,
        *,
        name: str = "mongodb",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._connection = MongoConnection(access)
        self._case = case
        self._collections = Collections(case)
        self._retention_s = access.retention_s
        self._monotonic = monotonic
        self._indexes_due_at: float | None = 0.0

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        if not batch:
            return Delivered()
        self._keep_indexes()
        try:
            return self._deliver(batch)
        except TryAgainLaterError:
            if self._indexes_due_at is not None:
                self._indexes_due_at = 0.0  # it was not the index that took long: the server is away
            raise

    def _deliver(self, batch: Sequence[Envelope]) -> Delivered:
        names = self._collections
        outcome = _Outcome(datetime.now(UTC))
        outcome.refused += [Refusal(envelope.seq, "case") for envelope in batch if envelope.event.case != self._case]
        mine = [envelope for envelope in batch if envelope.event.case == self._case]
        # Tombstones come first: in one batch too, an erasure wins over what stands before and behind it.
        self._insert(names.erasures, [one for one in mine if isinstance(one.event, Erasure)], outcome)
        known = self._insert(names.predictions, [one for one in mine if isinstance(one.event, Prediction)], outcome)
        self._insert(names.labels, [one for one in mine if isinstance(one.event, Label)], outcome)
        self._insert(names.rescored, [one for one in mine if isinstance(one.event, Shadow)], outcome)
        self._insert(names.rejections, [one for one in mine if isinstance(one.event, Rejections)], outcome)
        missing = self._compare_with_held(known, outcome)
        ids = {one.event.record_id for one in mine if not isinstance(one.event, Rejections)}
        erased = forget_erased(self._connection, names, ids)
        if missing - erased:
            raise TryAgainLaterError("MongoDB forgot a prediction while it was being looked at")
        return outcome.as_delivered(erased)

    def _insert(
        self,
        collection: str,
        envelopes: Sequence[Envelope],
        outcome: _Outcome,
        document: Callable[..., Document] = document_of,
    ) -> list[Envelope]:
        """Those whose identity is known already."""
        unwritten = self._connection.insert(collection, [document(one.event, outcome.stored_at) for one in envelopes])
        outcome.refused += [
            Refusal(envelopes[one.index].seq, one.reason) for one in unwritten if one.reason != DUPLICATE
        ]
        return [envelopes[one.index] for one in unwritten if one.reason == DUPLICATE]

    def _compare_with_held(self, known: Sequence[Envelope], outcome: _Outcome) -> set[str]:
        """Note what is held, and keep what differs from it beside it; ids under which nothing is held any more."""
        if not known:
            return set()
        ids = {one.event.record_id for one in known if isinstance(one.event, Prediction)}
        documents = self._connection.find(self._collections.predictions, {"_id": {"$in": sorted(ids)}})
        outcome.held = {str(document["_id"]): prediction_of(document) for document in documents}
        differing = [one for one in known if self._differs(one, outcome)]
        known_already = self._insert(self._collections.conflicts, differing, outcome, conflict_document)
        not_new = {one.seq for one in known_already} | {refusal.seq for refusal in outcome.refused}
        outcome.conflicts = [_record_id(one) for one in differing if one.seq not in not_new]
        return ids - outcome.held.keys()

    @staticmethod
    def _differs(envelope: Envelope, outcome: _Outcome) -> bool:
        prediction = envelope.event
        assert isinstance(prediction, Prediction)
        held = outcome.held.get(prediction.record_id)
        return held is not None and held.content_hash != prediction.content_hash

    def _keep_indexes(self) -> None:
        """Once; one that takes too long holds up a single delivery."""
        if self._indexes_due_at is None or self._monotonic() < self._indexes_due_at:
            return
        self._indexes_due_at = self._monotonic() + _BETWEEN_INDEX_TRIES_S
        for collection, indexes in self._collections.indexes(self._retention_s).items():
            self._connection.keep_indexes(collection, indexes)
        self._indexes_due_at = None

    def close(self) -> None:
        self._connection.close()


def _record_id(envelope: Envelope) -> str:
    assert isinstance(envelope.event, Prediction)
    return envelope.event.record_id
