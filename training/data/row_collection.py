"""A case's raw rows in a MongoDB collection of their own, in the order in which they were pushed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.events.schema import encode_json
from event_backbone.mongodb.connection import Document, MongoConnection
from training.data.raw import DataOrigin
from training.data.reading import Retrieved
from training.data.rows import LabelledRows

_AT_ONCE = 1000
#: Counts and digest of the rows. It is written after them, and goes before them: without it they are not complete.
_HEAD = "head"


class MongoRows:
    """The collection ``<case>.raw``: a document a row, ``{"_id": "train-00000001", "record": {...}, "label": ...}``."""

    def __init__(self, connection: MongoConnection, case: Case) -> None:
        self._connection = connection
        self._name = f"{case.name}.raw"

    @property
    def place(self) -> str:
        """For people."""
        return f"the collection {self._name} at {self._connection.hosts}"

    def push(self, train: LabelledRows, test: LabelledRows) -> None:
        self._connection.delete(self._name, {"_id": _HEAD})
        self._connection.delete(self._name, {})
        documents = [*_documents("train", train), *_documents("test", test)]
        for start in range(0, len(documents), _AT_ONCE):
            self._insert(documents[start : start + _AT_ONCE])
        self._insert([{"_id": _HEAD, "train": len(train), "test": len(test), "sha256": _digest_of(train, test)}])

    def _insert(self, documents: list[Document]) -> None:
        if unwritten := self._connection.insert(self._name, documents):
            reasons = ", ".join(sorted({one.reason for one in unwritten}))
            raise TryAgainLaterError(f"{self.place} did not take {len(unwritten):,} rows ({reasons})")

    def read(self) -> Retrieved:
        """The rows in their order.

        Raises:
            SettingsError: there are none, or they are not the ones that were pushed.
            TryAgainLaterError: MongoDB is away.
        """
        train, test = self._rows("train"), self._rows("test")
        digest, head = _digest_of(train, test), self._connection.find(self._name, {"_id": _HEAD})
        if not head or head[0]["sha256"] != digest:
            message = "holds no complete set of rows: run `train-model push` first"
            raise SettingsError(self.place, [Fault("rows", "incomplete", message)])
        sentence = f"{len(train) + len(test):,} rows of {self.place}"
        return Retrieved(DataOrigin("collection", sentence, {self._name: digest}), train, test)

    def _rows(self, part: str) -> LabelledRows:
        found = list(self._pages(part))
        return LabelledRows([one["record"] for one in found], [one["label"] for one in found])

    def _pages(self, part: str) -> Iterator[Document]:
        after = f"{part}-"
        while page := self._connection.find(
            self._name, {"_id": {"$gt": after, "$lt": f"{part}."}}, order=("_id",), limit=_AT_ONCE
        ):
            yield from page
            after = page[-1]["_id"]


def _documents(part: str, rows: LabelledRows) -> Iterator[dict[str, Any]]:
    for place, (record, label) in enumerate(zip(rows.records, rows.labels, strict=True)):
        yield {"_id": f"{part}-{place:08d}", "record": dict(record), "label": label}


def _digest_of(train: LabelledRows, test: LabelledRows) -> str:
    digest = hashlib.sha256()
    for part, rows in (("train", train), ("test", test)):
        for record, label in zip(rows.records, rows.labels, strict=True):
            digest.update(encode_json([part, record, label]))
    return digest.hexdigest()
