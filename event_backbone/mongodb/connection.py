"""A connection to MongoDB, and the operations that stores are made of.

No text of the driver goes into an error: it may hold a document, or what a URL says before its hosts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.mongodb.access import MongoAccess

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.database import Database

log = structlog.get_logger()

DUPLICATE, NOT_STORABLE, TOO_LARGE = "duplicate", "not_storable", "too_large"
_DUPLICATE_CODES = frozenset({11000, 11001, 12582})
#: Error code of one write → the word for it; another that is not about the server's state is ``refused``.
_WORDS = {
    **dict.fromkeys((2, 9, 15, 22, 52, 55, 57), NOT_STORABLE),
    **dict.fromkeys((10334, 17280), TOO_LARGE),
    121: "validation",
}
#: A whole command that fails with one of these does so because of a document in it.
_ABOUT_A_DOCUMENT = frozenset({9, 15, 22, 10334, 17280})
#: Codes of one write that are about the server at this moment and not about the document: network, primary, time
#: limits, rights, disk.
_ABOUT_THE_SERVER = frozenset({
    6, 7, 8, 11, 13, 18, 50, 64, 79, 82, 89, 91, 100, 112, 133, 134, 136, 149, 189, 202, 216, 237, 251, 262, 314, 317,
    358, 384, 9001, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436, 14031,
})  # fmt: skip
_INDEX_NOT_FOUND = 27
_MAX_DOCUMENT_BYTES = 16 * 1024 * 1024

Document = dict[str, Any]
Filter = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A document that was not written: its index in the batch, and a reason."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Index:
    """Fields in ascending order; with ``expire_after_s`` documents go that long after the date in its one field."""

    fields: tuple[str, ...]
    expire_after_s: int | None = None

    @property
    def name(self) -> str:
        return "_".join(f"{name}_1" for name in self.fields)


class MongoConnection:
    """One database, connected at the first call.

    Durability: what :meth:`insert` and :meth:`delete` did is in the journal of a majority of the members.
    Errors: :class:`~event_backbone.errors.TryAgainLaterError` for whatever is about the connection, the server's state
    or its rights. Blocking: each call at most about ``timeout_s``. One caller at a time.
    """

    def __init__(self, access: MongoAccess) -> None:
        self._access = access
        self._client: MongoClient[Document] | None = None
        self._opened: Database[Document] | None = None

    @property
    def hosts(self) -> str:
        return self._access.hosts

    def insert(self, collection: str, documents: Sequence[Document]) -> list[Unwritten]:
        """Write documents in no order; returns those that were not written, each with its reason."""
        from bson.errors import BSONError
        from pymongo.errors import BulkWriteError, PyMongoError

        if not documents:
            return []
        try:
            self._database[collection].insert_many(documents, ordered=False)
        except BulkWriteError as error:
            return self._unwritten(error.details)
        except (PyMongoError, BSONError, OSError, OverflowError, UnicodeError, RecursionError) as error:
            reason = _about_a_document(error, documents)
            if reason is None:
                raise self._later(error) from None
            return self._insert_apart(collection, documents, reason)
        return []

    def _insert_apart(self, collection: str, documents: Sequence[Document], reason: str) -> list[Unwritten]:
        """Documents that are refused whole: bisection finds the one that spoils them, its neighbours are written."""
        if len(documents) == 1:
            return [Unwritten(0, reason)]
        middle = len(documents) // 2
        second = self.insert(collection, documents[middle:])
        return [
            *self.insert(collection, documents[:middle]),
            *(Unwritten(middle + unwritten.index, unwritten.reason) for unwritten in second),
        ]

    def _unwritten(self, details: Mapping[str, Any]) -> list[Unwritten]:
        codes = {int(error["index"]): int(error.get("code", 0)) for error in details["writeErrors"]}
        if details["writeConcernErrors"] or not _ABOUT_THE_SERVER.isdisjoint(codes.values()):
            raise TryAgainLaterError(f"MongoDB at {self.hosts} did not confirm what it was given")
        return [Unwritten(index, _word(code)) for index, code in sorted(codes.items())]

    def find(
        self,
        collection: str,
        query: Filter,
        *,
        order: Sequence[str] = (),
        limit: int = 0,
        fields: Sequence[str] = (),
    ) -> list[Document]:
        """Documents that match, in ascending order of some fields; ``limit=0`` means all, no ``fields`` means each."""
        with self._translated():
            found = self._database[collection].find(query, fields or None, limit=limit)
            return list(found.sort([(name, 1) for name in order]) if order else found)

    def count(self, collection: str, query: Filter) -> int:
        with self._translated():
            # The plain command: the driver's own methods aggregate, or take no query.
            return int(self._database.command("count", collection, query=query)["n"])

    def delete(self, collection: str, query: Filter) -> int:
        """How many documents went."""
        with self._translated():
            return self._database[collection].delete_many(query).deleted_count

    def keep_indexes(self, collection: str, indexes: Sequence[Index]) -> None:
        """Make these indexes, and drop others that expire documents; nothing happens where all is as it should be."""
        there = self._indexes(collection)
        wanted = {index.name: index for index in indexes}
        for name, expire_after_s in there.items():
            changed = name in wanted and wanted[name].expire_after_s != expire_after_s
            if changed or (name not in wanted and expire_after_s is not None):
                self._drop_index(collection, name)
                log.info("mongo_index_dropped", collection=collection, index=name)
        for name, index in wanted.items():
            if there.get(name, -1) != index.expire_after_s:
                self._make_index(collection, index)

    def _indexes(self, collection: str) -> dict[str, int | None]:
        """Name → seconds after which documents expire, ``None`` where they don't."""
        with self._translated():
            return {
                str(found["name"]): None if (expires := found.get("expireAfterSeconds")) is None else int(expires)
                for found in self._database[collection].list_indexes()
            }

    def _make_index(self, collection: str, index: Index) -> None:
        expires: dict[str, Any] = {} if index.expire_after_s is None else {"expireAfterSeconds": index.expire_after_s}
        with self._translated():
            self._database[collection].create_index([(name, 1) for name in index.fields], name=index.name, **expires)

    def _drop_index(self, collection: str, name: str) -> None:
        from pymongo.errors import OperationFailure

        try:
            with self._translated(OperationFailure):
                self._database[collection].drop_index(name)
        except OperationFailure as error:
            if error.code != _INDEX_NOT_FOUND:  # another process was faster
                raise self._later(error) from None

    def close(self) -> None:
        """The next call connects again."""
        if self._client is not None:
            self._client.close()
        self._client = self._opened = None

    @property
    def _database(self) -> Database[Document]:
        if self._opened is None:
            self._client, self._opened = self._open()
        return self._opened

    def _open(self) -> tuple[MongoClient[Document], Database[Document]]:
        from bson.codec_options import CodecOptions, TypeRegistry
        from pymongo import MongoClient, ReadPreference, WriteConcern

        access = self._access
        client: MongoClient[Document] = MongoClient(access.url, **access.options)
        database = client.get_database(
            access.database,
            codec_options=CodecOptions(tz_aware=True, type_registry=TypeRegistry([_plain_integers()])),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern(w="majority", j=True, wtimeout=access.options["socketTimeoutMS"]),
        )
        return client, database

    @contextlib.contextmanager
    def _translated(self, *passed: type[Exception]) -> Iterator[None]:
        """Errors of the driver become ours, except those of the kinds that a caller handles itself."""
        from pymongo.errors import PyMongoError

        try:
            yield
        except passed:
            raise
        except (PyMongoError, OSError) as error:
            raise self._later(error) from None

    def _later(self, error: Exception) -> TryAgainLaterError:
        details = getattr(error, "details", None) or {}
        code = f" ({details['codeName']})" if "codeName" in details else ""
        return TryAgainLaterError(f"MongoDB at {self.hosts}: {type(error).__name__}{code}")


def _about_a_document(error: Exception, documents: Sequence[Document]) -> str | None:
    """Why one of these documents can never be stored, where that is what an error of them all means."""
    from bson.errors import BSONError
    from pymongo.errors import AutoReconnect, DocumentTooLarge, OperationFailure

    if isinstance(error, DocumentTooLarge):
        return TOO_LARGE
    if isinstance(error, (BSONError, OverflowError, UnicodeError, RecursionError)):
        return NOT_STORABLE
    if isinstance(error, OperationFailure) and error.code in _ABOUT_A_DOCUMENT:
        return _WORDS[error.code]
    # A server may hang up on what is too large.
    return TOO_LARGE if isinstance(error, AutoReconnect) and _one_is_too_large(documents) else None


def _one_is_too_large(documents: Sequence[Document]) -> bool:
    import bson
    from bson.errors import BSONError

    try:
        return any(len(bson.encode(document)) > _MAX_DOCUMENT_BYTES for document in documents)
    except (BSONError, OverflowError, UnicodeError, RecursionError):
        return False  # found out when there is a connection


def _word(code: int) -> str:
    return DUPLICATE if code in _DUPLICATE_CODES else _WORDS.get(code, "refused")


def _plain_integers() -> Any:
    """The driver marks 64-bit integers with a type of its own, which our encoders do not know."""
    from bson.codec_options import TypeDecoder
    from bson.int64 import Int64

    class _PlainIntegers(TypeDecoder):
        bson_type = Int64

        def transform_bson(self, value: Any) -> Any:
            return int(value)

    return _PlainIntegers()
