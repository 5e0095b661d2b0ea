"""MongoDB as a prediction log, and the collection of re-scored predictions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from event_backbone.errors import Fault, RejectedError
from event_backbone.events.schema import Label, Prediction, latest_labels
from event_backbone.mongodb.access import MongoAccess
from event_backbone.mongodb.connection import MongoConnection
from event_backbone.mongodb.documents import Collections, forget_erased, label_of, prediction_of, rescored_document
from event_backbone.ports import LoggedPrediction

#: ``predicted_at~record_id``: a time has no tilde.
_CURSOR = re.compile(r"(?P<predicted_at>[0-9TZ:.-]{20,40})~(?P<record_id>.{1,128})", re.DOTALL)


class MongoLog:
    """Everything any replica and worker of a case stored, in the order of ``(predicted_at, record_id)``.

    Nothing is connected before the first question. A page is found by its place in that order, whatever came before.
    """

    def __init__(self, access: MongoAccess, case: str) -> None:
        self._connection = MongoConnection(access)
        self._collections = Collections(case)

    def prediction(self, record_id: str) -> Prediction | None:
        found = self._connection.find(self._collections.predictions, {"_id": record_id})
        return prediction_of(found[0]) if found else None

    def predictions(
        self, *, since: str | None = None, until: str | None = None, after: str | None = None, limit: int
    ) -> Sequence[LoggedPrediction]:
        query = _period(since, until) if after is None else _behind(after, since, until)
        found = self._connection.find(self._collections.predictions, query, order=("predicted_at", "_id"), limit=limit)
        return [
            LoggedPrediction(f"{document['predicted_at']}~{document['_id']}", prediction_of(document))
            for document in found
        ]

    def count(self, *, since: str | None = None, until: str | None = None) -> int:
        return self._connection.count(self._collections.predictions, _period(since, until))

    def labels(self, record_ids: Collection[str]) -> Mapping[str, Label]:
        if not record_ids:
            return {}
        found = self._connection.find(self._collections.labels, {"record_id": {"$in": sorted(set(record_ids))}})
        return latest_labels(label_of(document) for document in found)

    def close(self) -> None:
        self._connection.close()


def _period(since: str | None, until: str | None) -> dict[str, Any]:
    limits = {operator: limit for operator, limit in (("$gte", since), ("$lt", until)) if limit is not None}
    return {"predicted_at": limits} if limits else {}


def _behind(cursor: str, since: str | None, until: str | None) -> dict[str, Any]:
    place = _CURSOR.fullmatch(cursor)
    if place is None:
        raise RejectedError([Fault("after", "format", "is no cursor of this log")])
    at, record_id = place["predicted_at"], place["record_id"]
    # The first limit alone is what the index can use; the second leaves out what shares its time and was seen.
    not_seen = {"$or": [{"predicted_at": {"$gt": at}}, {"_id": {"$gt": record_id}}]}
    return {**_period(max(at, since or ""), until), **not_seen}


class RescoredPredictions:
    """Other versions' predictions of stored records, once by ``(record_id, model version)``; no change to the log."""

    def __init__(self, access: MongoAccess, case: str) -> None:
        self._connection = MongoConnection(access)
        self._collections = Collections(case)

    def keep(self, predictions: Sequence[Prediction]) -> int:
        """Store new ones and return their number; what is known already and what was erased is left out.

        When this returns, it survives the death of any process of ours.
        Raises :class:`~event_backbone.errors.TryAgainLaterError` when MongoDB is away; call again with all of them.
        """
        names, stored_at = self._collections, datetime.now(UTC)
        documents = [rescored_document(prediction, stored_at) for prediction in predictions]
        unwritten = self._connection.insert(names.rescored, documents)
        forget_erased(self._connection, names, {prediction.record_id for prediction in predictions})
        return len(documents) - len(unwritten)

    def close(self) -> None:
        self._connection.close()
