"""Problem documents (RFC 9457), the form of every error response."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from event_backbone.errors import MOST_FAULTS_LISTED, Fault, listed, number_of

CONTENT_TYPE = "application/problem+json"
#: Faults that are named in the answer to a batch.
MOST_FAULTS_IN_PARTS = 1000


class Problem(msgspec.Struct, omit_defaults=True):
    """``type`` is ``about:blank``: the status says what kind of problem it is, ``faults`` what is wrong, by field."""

    title: str
    status: int
    detail: str
    faults: list[dict[str, str]] = []
    type: str = msgspec.field(default="about:blank")


def problem(status: int, detail: str, faults: Iterable[Fault] = ()) -> bytes:
    """The JSON of a problem document."""
    return msgspec.json.encode(Problem(HTTPStatus(status).phrase, status, detail, fault_documents(faults)))


def fault_documents(faults: Iterable[Fault]) -> list[dict[str, str]]:
    """Faults as JSON: the first, and how many more there are."""
    return _documents(listed(faults))


def _documents(faults: Iterable[Fault]) -> list[dict[str, str]]:
    return [{"field": fault.place, "reason": fault.reason, "message": fault.message} for fault in faults]


class FaultListing:
    """Faults of the parts of one answer as JSON: the first of all, then only how many each part has."""

    def __init__(self, most: int = MOST_FAULTS_IN_PARTS) -> None:
        self._left = most

    def documents(self, faults: Iterable[Fault]) -> list[dict[str, str]]:
        named = _documents(listed(faults, min(self._left, MOST_FAULTS_LISTED)))
        self._left = max(0, self._left - len(named))
        return named


def rejection_status(faults: Iterable[Fault]) -> int:
    """400 for what is no JSON at all, else 422."""
    return 400 if any(fault.reason == "json" for fault in faults) else 422


def rejection(faults: Iterable[Fault], what: str = "record") -> tuple[int, bytes]:
    """Status and document for input with faults."""
    found = list(faults)
    status = rejection_status(found)
    return status, problem(status, f"The {what} has {number_of(found)}; nothing was stored.", found)
