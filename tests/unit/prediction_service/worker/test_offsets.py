"""What may be committed: only what took every step, and only while its partition is ours."""

from __future__ import annotations

from event_backbone.ports import Partition
from prediction_service.worker.batches import WorkBatch
from prediction_service.worker.offsets import OffsetTracker

FIRST, SECOND = Partition("shop.records", 0), Partition("shop.records", 1)


def batch(tracker: OffsetTracker, **offsets: int) -> WorkBatch:
    places = {FIRST if name == "first" else SECOND: offset for name, offset in offsets.items()}
    return WorkBatch(places, tracker.epochs_of(places))


def test_a_finished_batch_makes_its_offsets_due_once() -> None:
    tracker = OffsetTracker()
    tracker.came([FIRST, SECOND])
    tracker.note([batch(tracker, first=5, second=7), batch(tracker, first=9)])
    assert tracker.due() == {FIRST: 9, SECOND: 7}
    tracker.committed({FIRST: 9, SECOND: 7})
    assert tracker.due() == {}


def test_what_was_noted_after_a_commit_began_stays_due() -> None:
    tracker = OffsetTracker()
    tracker.came([FIRST])
    tracker.note([batch(tracker, first=5)])
    sent = tracker.due()
    tracker.note([batch(tracker, first=6)])
    tracker.committed(sent)
    assert tracker.due() == {FIRST: 6}


def test_what_is_in_hand_when_its_partition_goes_is_never_committed() -> None:
    tracker = OffsetTracker()
    tracker.came([FIRST, SECOND])
    in_hand = batch(tracker, first=5, second=7)
    tracker.went([FIRST])
    tracker.note([in_hand])
    assert tracker.due() == {SECOND: 7}


def test_a_partition_that_went_and_came_back_has_nothing_due_from_before() -> None:
    tracker = OffsetTracker()
    tracker.came([FIRST])
    in_hand = batch(tracker, first=5)
    tracker.went([FIRST])
    tracker.came([FIRST])
    tracker.note([in_hand])
    assert tracker.due() == {}
    tracker.note([batch(tracker, first=3)])
    assert tracker.due() == {FIRST: 3}


def test_a_batch_made_while_its_partition_was_not_ours_is_not_committed() -> None:
    tracker = OffsetTracker()
    stray = batch(tracker, first=5)
    tracker.came([FIRST])
    tracker.note([stray])
    assert tracker.due() == {}
