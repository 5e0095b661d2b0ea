"""Collections, documents and indexes of a case in MongoDB, and erasure there.

A document is the event as its JSON has it, with ``_id`` and ``stored_at``, the time of storing, by which it expires.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec.structs import asdict

from event_backbone.errors import StopError, shortened
from event_backbone.events.schema import Erasure, Event, Label, Prediction, Rejections, Shadow, event_id
from event_backbone.mongodb.connection import Document, Index, MongoConnection

SomeEvent = TypeVar("SomeEvent", Prediction, Label)

#: MongoDB takes no longer time for documents to expire.
_LONGEST_EXPIRY_S = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Collections:
    """Names of a case's collections."""

    case: str

    @property
    def predictions(self) -> str:
        return f"{self.case}.predictions"

    @property
    def labels(self) -> str:
        return f"{self.case}.labels"

    @property
    def conflicts(self) -> str:
        """Predictions for an id that is held with another content."""
        return f"{self.case}.conflicts"

    @property
    def rescored(self) -> str:
        """Other model versions' predictions of stored records, once by ``record_id`` and version: a shadow's as they
        are answered, a replay's later."""
        return f"{self.case}.rescored"

    @property
    def rejections(self) -> str:
        return f"{self.case}.rejections"

    @property
    def erasures(self) -> str:
        """Ids that were erased, for good."""
        return f"{self.case}.erasures"

    def indexes(self, retention_s: float) -> dict[str, list[Index]]:
        """By collection; ``retention_s=0`` keeps documents for ever."""
        expiry = [Index(("stored_at",), min(math.ceil(retention_s), _LONGEST_EXPIRY_S))] if retention_s > 0 else []
        return {
            self.predictions: [Index(("predicted_at", "_id")), *expiry],
            self.labels: [Index(("record_id", "labelled_at")), *expiry],
            self.conflicts: [Index(("record_id",)), *expiry],
            self.rescored: [Index(("record_id",)), *expiry],
        }


def document_of(event: Event, stored_at: datetime) -> Document:
    """The document that keeps ``event`` where it is the first of its identity."""
    return {
        "_id": _id_of(event),
        "type": type(event).__struct_config__.tag,
        **_fields_of(event),
        "stored_at": stored_at,
    }


def _id_of(event: Event) -> str | dict[str, str]:
    match event:
        case Prediction() | Erasure():
            return event.record_id
        case Label():
            return event_id(event).removeprefix("label:")
        case Rejections():
            return event.rejections_id
        case Shadow():
            return _version_id(event)


def _version_id(event: Prediction | Shadow) -> dict[str, str]:
    return {"record_id": event.record_id, "model_version": event.model.version}


def _fields_of(event: Event) -> dict[str, Any]:
    match event:
        case Prediction() | Shadow():
            # By hand: a general conversion walks through the record, and this is what there is most of.
            return {**asdict(event), "model": asdict(event.model)}
        case Rejections():
            return {**asdict(event), "faults": [asdict(fault) for fault in event.faults]}
        case _:
            return asdict(event)


def conflict_document(prediction: Prediction, stored_at: datetime) -> Document:
    return {**document_of(prediction, stored_at), "_id": f"{prediction.record_id}:{prediction.content_hash}"}


def rescored_document(prediction: Prediction, stored_at: datetime) -> Document:
    return {**document_of(prediction, stored_at), "_id": _version_id(prediction)}


def prediction_of(document: Mapping[str, Any]) -> Prediction:
    """Raises :class:`StopError` for a document that is no prediction."""
    return _converted(document, Prediction)


def label_of(document: Mapping[str, Any]) -> Label:
    return _converted(document, Label)


def _converted(document: Mapping[str, Any], kind: type[SomeEvent]) -> SomeEvent:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise StopError(
            f"MongoDB holds a document that is no {kind.__name__.lower()}: {shortened(str(error))}"
        ) from None


def forget_erased(connection: MongoConnection, collections: Collections, record_ids: Collection[str]) -> set[str]:
    """Which of some ids are erased; whatever is kept about them goes.

    Called after writing: who erases leaves a tombstone first and deletes then, so one of the two finds what was written
    in between.
    """
    if not record_ids:
        return set()
    tombstones = connection.find(collections.erasures, {"_id": {"$in": list(record_ids)}}, fields=["_id"])
    erased = {str(tombstone["_id"]) for tombstone in tombstones}
    if erased:
        of_erased = {"$in": sorted(erased)}
        connection.delete(collections.predictions, {"_id": of_erased})
        for collection in (collections.labels, collections.conflicts, collections.rescored):
            connection.delete(collection, {"record_id": of_erased})
    return erased
