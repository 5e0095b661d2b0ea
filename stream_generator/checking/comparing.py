"""The comparison of books with what one store keeps: lost, doubled, differing. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from stream_generator.books.digests import AnswerContent, answer_digest, record_digest
from stream_generator.books.file import Books, RecordInBooks
from stream_generator.recording.port import Recorded


class StoreFinding(Struct, frozen=True):
    """What one store keeps of the records in the books.

    ``lost``: answered and not there. ``doubled``: there more than once. ``differing``: another record, or another
    answer than the one that was given. ``repeated``: further copies with the same content in a topic, whose readers
    take each id once, so they are no fault. ``unanswered``: there, though no answer came to whoever sent it.
    """

    store: str
    kept: int
    unanswered: int
    repeated: int
    lost: list[str]
    doubled: list[str]
    differing: list[str]

    @property
    def is_well(self) -> bool:
        return not (self.lost or self.doubled or self.differing)


class StoreComparison:
    """Takes what a store gives, one after the other, and holds two short digests of each record of the books.

    ``may_repeat``: a topic, where the same message may stand again.
    """

    def __init__(self, store: str, books: Books, *, may_repeat: bool) -> None:
        self._store = store
        self._books = books
        self._may_repeat = may_repeat
        self._found: dict[str, tuple[str, str]] = {}
        self._again: dict[str, int] = {}
        self._differing: set[str] = set()

    def take(self, items: Iterable[Recorded]) -> None:
        """Records that are not in the books are passed over."""
        for item in items:
            if item.record_id in self._books.records and item.record is not None:
                self._take_one(item.record_id, item)

    def _take_one(self, record_id: str, item: Recorded) -> None:
        kept = digests_of(item)
        first = self._found.setdefault(record_id, kept)
        if first is not kept:
            self._again[record_id] = self._again.get(record_id, 0) + 1
        if first != kept or _differs(self._books.records[record_id], *kept):
            self._differing.add(record_id)

    def missing(self) -> list[str]:
        """Ids of answered records that were not found."""
        records = self._books.records
        return [record_id for record_id in records if records[record_id].is_answered and record_id not in self._found]

    def found(self) -> int:
        return len(self._found)

    def finding(self) -> StoreFinding:
        records = self._books.records
        again = sorted(self._again)
        return StoreFinding(
            store=self._store,
            kept=len(self._found),
            unanswered=sum(not records[record_id].is_answered for record_id in self._found),
            repeated=sum(self._again.values()) if self._may_repeat else 0,
            lost=self.missing(),
            doubled=[] if self._may_repeat else again,
            differing=sorted(self._differing),
        )


def digests_of(item: Recorded) -> tuple[str, str]:
    """Of the record, and of the answer; empty where the store does not know the answer."""
    answered = item.answered
    answer = ""
    if answered is not None and item.record_id is not None:
        content = AnswerContent(
            item.record_id, answered.prediction, answered.score, answered.model, answered.case or "", item.at or ""
        )
        answer = answer_digest(content)
    return record_digest(item.record or {}), answer


def _differs(booked: RecordInBooks, record_hash: str, answer_hash: str) -> bool:
    """Every answer that was given must be the one that is kept, where the store knows it."""
    given = booked.answers - {None}
    other_answer = bool(given and answer_hash) and given != {answer_hash}
    return record_hash != booked.record_hash or other_answer or len(given) > 1


class CountFinding(Struct, frozen=True):
    """What monitoring counted since the books began: each answered record once, and nobody else's."""

    store: str
    counted: int
    answered: int
    sent: int

    @property
    def fault(self) -> str | None:
        """``lost``, ``doubled`` or nothing; records that were sent without an answer may be counted or not."""
        if self.counted < self.answered:
            return "lost"
        return "doubled" if self.counted > self.sent else None

    @property
    def is_well(self) -> bool:
        return self.fault is None
