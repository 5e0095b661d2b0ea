"""What may be committed: only what took every step, and only while its partition is ours."""

from __future__ import annotations

from event_backbone.ports import Partition
from prediction_service.worker.batches import WorkBatch
from prediction_service.worker.offsets import OffsetTracker

FIRST, SECOND = Partition("shop.records", 0), Partition("shop.records", 1)


def batch(book: OffsetTracker, **offsets: int) -> WorkBatch:
    places = {FIRST if name == "first" else SECOND: offset for name, offset in offsets.items()}
    return WorkBatch(places, book.epochs_of(places))


def test_a_finished_batch_makes_its_offsets_due_once() -> None:
    book = OffsetTracker()
    book.came([FIRST, SECOND])
    book.note([batch(book, first=5, second=7), batch(book, first=9)])
    assert book.due() == {FIRST: 9, SECOND: 7}
    book.committed({FIRST: 9, SECOND: 7})
    assert book.due() == {}


def test_what_was_noted_after_a_commit_began_stays_due() -> None:
    book = OffsetTracker()
    book.came([FIRST])
    book.note([batch(book, first=5)])
    sent = book.due()
    book.note([batch(book, first=6)])
    book.committed(sent)
    assert book.due() == {FIRST: 6}


def test_what_is_in_hand_when_its_partition_goes_is_never_committed() -> None:
    book = OffsetTracker()
    book.came([FIRST, SECOND])
    in_hand = batch(book, first=5, second=7)
    book.went([FIRST])
    book.note([in_hand])
    assert book.due() == {SECOND: 7}


def test_a_partition_that_went_and_came_back_has_nothing_due_from_before() -> None:
    book = OffsetTracker()
    book.came([FIRST])
    in_hand = batch(book, first=5)
    book.went([FIRST])
    book.came([FIRST])
    book.note([in_hand])
    assert book.due() == {}
    book.note([batch(book, first=3)])
    assert book.due() == {FIRST: 3}


def test_a_batch_made_while_its_partition_was_not_ours_is_not_committed() -> None:
    book = OffsetTracker()
    stray = batch(book, first=5)
    book.came([FIRST])
    book.note([stray])
    assert book.due() == {}
