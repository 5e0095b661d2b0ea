"""The schedule: gives each item to a sending thread when it is due, in the stream's order."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from stream_generator.sending.pacing import Clock
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.resuming import Marks

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Due:
    """An item whose time has come; ``at`` is that time on the run's clock."""

    item: Outgoing
    at: float


class Schedule:
    """One stream for several threads.

    Items leave in their order, and one whose ``record_id`` is in flight waits until that is over: so what is said
    about an id is said in the recorded order, however many threads send.
    """

    def __init__(self, items: Iterable[Outgoing], clock: Clock, marks: Marks) -> None:
        self._items = iter(items)
        self._clock = clock
        self._marks = marks
        self._started_at: float | None = None
        self._ahead: Outgoing | None = None
        self._turn = threading.Lock()
        self._in_flight: set[str] = set()
        self._landed = threading.Condition()

    def take(self, most: int) -> list[Due]:
        """Wait until the next item is due; return it with those behind it that are due, too: ``most`` at the most.

        Nothing is returned at the end of the stream, and when the run was stopped. Whoever takes says :meth:`landed`.
        """
        with self._turn:
            # Waiting in here keeps the order: whoever comes next waits for the turn.
            first = self._peek()
            if first is None or self._clock.wait(self._due_at(first) - self._clock.now()) or self._wait_for(first):
                return []
            return self._taken(most)

    def landed(self, batch: Iterable[Due]) -> None:
        """These are no longer in flight."""
        with self._landed:
            self._in_flight.difference_update(due.item.record_id for due in batch if due.item.body is not None)
            self._landed.notify_all()

    def _taken(self, most: int) -> list[Due]:
        batch = [self._leaves()]
        now = self._clock.now()
        while len(batch) < most and (item := self._peek()) is not None and self._may_leave(item, now):
            batch.append(self._leaves())
        return batch

    def _leaves(self) -> Due:
        """The item ahead, now in flight."""
        item = self._peek()
        assert item is not None
        self._ahead = None
        if item.body is not None:
            with self._landed:
                self._in_flight.add(item.record_id)
        self._marks.begun(item)
        return Due(item, self._due_at(item))

    def _may_leave(self, item: Outgoing, now: float) -> bool:
        return (item.due_s is None or self._due_at(item) <= now) and not self._has_to_wait(item)

    def _has_to_wait(self, item: Outgoing) -> bool:
        return item.body is not None and item.record_id in self._in_flight

    def _wait_for(self, item: Outgoing) -> bool:
        """Until nothing of this id is in flight; return whether the run was stopped."""
        with self._landed:
            while self._has_to_wait(item) and not self._clock.stopped:
                self._landed.wait(_LOOK_EVERY_S)
        return self._clock.stopped

    def _peek(self) -> Outgoing | None:
        if self._ahead is None:
            self._ahead = next(self._items, None)
            if self._started_at is None:
                # A source that is slow to open makes no record late.
                self._started_at = self._clock.now()
        return self._ahead

    def _due_at(self, item: Outgoing) -> float:
        now = self._clock.now()
        return now if item.due_s is None or self._started_at is None else self._started_at + item.due_s
