"""Stored predictions as the HTTP routes give them: from the replica's own journal, or from a log of all replicas."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct

from event_backbone.case.records import fault_in_kept_id
from event_backbone.errors import Fault, RejectedError, TryAgainLaterError
from event_backbone.events.schema import Prediction, format_utc, parse_utc
from event_backbone.ports import PredictionLog
from event_backbone.web.request_bodies import query_number
from prediction_service.journal.writer import Journal

MAX_PAGE = 1000
MOST_ID_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Page:
    """``next``: what ``since`` of the following page is; ``None`` at the end."""

    predictions: list[Prediction]
    next: str | None


class ErasureOrder(Struct, frozen=True):
    """The body of ``POST /predictions/erase``."""

    record_ids: Annotated[
        list[Annotated[str, Meta(max_length=MOST_ID_CHARACTERS)]], Meta(min_length=1, max_length=MAX_PAGE)
    ]


class ErasedRecord(Struct, frozen=True):
    """What was removed of one record: predictions and labels."""

    record_id: str
    rows_erased: int


class NotErased(Struct, frozen=True):
    """An id that was not erased, and why."""

    record_id: str
    reason: str


class ErasureResult(Struct, frozen=True):
    """The answer to an order; ``rows_erased`` is the sum."""

    rows_erased: int
    erased: list[ErasedRecord]
    not_erased: list[NotErased]


def erase_each(journal: Journal, case: str, record_ids: Sequence[str]) -> ErasureResult:
    """Erase record after record; one that fails keeps none of the others from being erased."""
    erased: list[ErasedRecord] = []
    not_erased: list[NotErased] = []
    for record_id in dict.fromkeys(record_ids):
        fault = fault_in_kept_id(record_id)
        if fault is not None:
            not_erased.append(NotErased(record_id, f"{fault.place} {fault.message}"))
            continue
        try:
            erased.append(ErasedRecord(record_id, journal.erase(record_id, case)))
        except TryAgainLaterError as error:
            not_erased.append(NotErased(record_id, str(error)))
    return ErasureResult(sum(one.rows_erased for one in erased), erased, not_erased)


class StoredPredictions:
    """Questions to one log, one at a time. Thread-safe.

    ``where`` names the log in a sentence. Errors are those of the log.
    """

    def __init__(self, log: PredictionLog, where: str) -> None:
        self._log = log
        self._asking = threading.Lock()
        self.where = where

    def one(self, record_id: str) -> Prediction | None:
        with self._asking:
            return self._log.prediction(record_id)

    def page(self, args: Mapping[str, str]) -> Page:
        """``since``: a time, or the ``next`` of the page before; ``limit``: how many at most.

        Raises :class:`RejectedError` with every fault in these.
        """
        limit, faults = _limit_of(args)
        try:
            page = self._page(limit, _place_of(args))
        except RejectedError:
            faults.append(Fault("since", "format", "must be an RFC 3339 time with an offset, or a page's next"))
        if faults:
            raise RejectedError(faults)
        return page

    def _page(self, limit: int, place: Mapping[str, str]) -> Page:
        with self._asking:
            found = self._log.predictions(limit=limit, **place)
        return Page([one.prediction for one in found], found[-1].cursor if len(found) == limit else None)

    def close(self) -> None:
        with self._asking:
            self._log.close()


def _limit_of(args: Mapping[str, str]) -> tuple[int, list[Fault]]:
    try:
        return query_number(args, "limit", default=100, low=1, high=MAX_PAGE), []
    except RejectedError as error:
        return 1, list(error.faults)


def _place_of(args: Mapping[str, str]) -> dict[str, str]:
    """A time where it is one, else a cursor: each log knows its own."""
    text = args.get("since", "")
    if not text:
        return {}
    try:
        return {"since": format_utc(parse_utc(text))}
    except ValueError:
        return {"after": text}
