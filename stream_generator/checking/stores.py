"""Stores that the check asks: whatever a replay can read from, and the HTTP routes of a replica."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Protocol
from urllib.parse import quote

import msgspec

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.events.schema import Prediction, parse_utc
from event_backbone.kafka.access import is_kafka
from event_backbone.process.urls import without_login
from event_backbone.web.http_client import HttpClient
from stream_generator.books.file import Books
from stream_generator.recording.port import Period, Recorded, Recording, answered_of
from stream_generator.recording.sources import source_name
from stream_generator.sending.retrying import Persistence

#: Clocks of several machines may differ by so much; what is still missing then is looked for everywhere.
_CLOCKS_DIFFER = timedelta(minutes=5)
_IDS_IN_AN_ORDER = 200
#: Ids that are named where a replica could not erase them.
_MOST_NAMED = 20


class CheckedStore(Protocol):
    """A store of predictions.

    :meth:`find` gives those of the records in the books that it keeps, and perhaps others; a record that it keeps
    twice comes twice. Unless ``everywhere``, only the time since the books began has to be looked through.
    Errors: :class:`~event_backbone.errors.TryAgainLaterError` when it is away.
    """

    name: str
    may_repeat: bool

    def find(self, books: Books, *, everywhere: bool) -> Iterator[Recorded]: ...


class RecordedStore:
    """A journal, MongoDB or Kafka, read as a replay reads it. ``open_period`` opens it for a period."""

    def __init__(self, source: str, open_period: Callable[[Period], Recording]) -> None:
        self.name = source_name(source, "predictions")
        self.may_repeat = is_kafka(source)
        self._open = open_period

    def find(self, books: Books, *, everywhere: bool) -> Iterator[Recorded]:
        began_at = min(parse_utc(run.started_at) for run in books.runs)
        with contextlib.closing(self._open(Period() if everywhere else Period(began_at - _CLOCKS_DIFFER))) as recording:
            yield from recording.items()


class ReplicaStore:
    """A prediction service: one question for each record, and erasure."""

    may_repeat = False

    def __init__(self, url: str, client: HttpClient, persistence: Persistence) -> None:
        self.name = without_login(url)
        self._url = f"{url.rstrip('/')}/predictions"
        self._client = client
        self._persistence = persistence

    def find(self, books: Books, *, everywhere: bool) -> Iterator[Recorded]:
        for record_id in books.records:
            found = self._persistence.until_done(lambda record_id=record_id: self._one(record_id))  # type: ignore[misc]
            if found is not None:
                yield found

    def _one(self, record_id: str) -> Recorded | None:
        answer = self._client.send("GET", f"{self._url}/{quote(record_id)}")
        if answer.status == 404:
            return None
        self._check(answer.status)
        try:
            kept = decode_bounded(answer.body, Prediction)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._no_service(f"answered {answer.status}, and no prediction") from None
        return Recorded("", kept.record, None, kept.record_id, kept.predicted_at, answered=answered_of(kept))

    def erase(self, record_ids: Sequence[str]) -> list[str]:
        """What was not erased, with the reasons; erasing again is safe."""
        left: list[str] = []
        for start in range(0, len(record_ids), _IDS_IN_AN_ORDER):
            some = record_ids[start : start + _IDS_IN_AN_ORDER]
            left += self._persistence.until_done(lambda some=some: self._erase(some))  # type: ignore[misc]
        return left

    def _erase(self, record_ids: Sequence[str]) -> list[str]:
        body = msgspec.json.encode({"record_ids": record_ids})
        answer = self._client.send("POST", f"{self._url}/erase", body, headers={"Content-Type": "application/json"})
        self._check(answer.status)
        try:
            outcome = decode_bounded(answer.body, _ErasureAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._no_service(f"answered {answer.status}, and not what it erased") from None
        return [f"{one.record_id}: {one.reason}" for one in outcome.not_erased]

    def _check(self, status: int) -> None:
        if status == 429 or status >= 500:
            raise TryAgainLaterError(f"{self.name} answered {status}")
        if status == 401:
            raise self._no_service("wants a good API key; give it as API_KEY")

    def _no_service(self, message: str) -> SettingsError:
        return SettingsError(self.name, [Fault("STORE", "answer", message)])


class _NotErasedRecord(msgspec.Struct):
    record_id: str
    reason: str


class _ErasureAnswer(msgspec.Struct):
    not_erased: list[_NotErasedRecord]
