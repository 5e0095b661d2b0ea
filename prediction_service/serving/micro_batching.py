"""Micro-batching: items that callers bring at the same moment are worked on as one group.

Scoring eight records at once and committing them together costs about three times one, and waiting a fixed time to fill
a group only hurts. So nobody waits for company: whoever holds the lock takes all that is queued at that moment, and the
others find theirs done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Pending(Generic[Item, Result]):
    __slots__ = ("error", "is_done", "item", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_done = False
        self.result: Result
        self.error: Exception | None = None


class MicroBatcher(Generic[Item, Result]):
    """Calls ``work`` with groups of one or more items and hands each caller its own result.

    ``work`` returns one result for each item, in order. What it raises, every caller of that group gets.
    Thread-safe; ``work`` is never run by two threads at once.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._queue: deque[_Pending[Item, Result]] = deque()

    def __call__(self, item: Item) -> Result:
        pending: _Pending[Item, Result] = _Pending(item)
        self._queue.append(pending)
        with self._lock:
            if not pending.is_done:
                self._do([self._queue.popleft() for _ in range(len(self._queue))])
        if pending.error is not None:
            raise pending.error
        return pending.result

    def _do(self, group: list[_Pending[Item, Result]]) -> None:
        try:
            results = self._work([pending.item for pending in group])
            for pending, result in zip(group, results, strict=True):
                pending.result = result
        except Exception as error:  # handed on to every caller of the group, who have their own borders
            for pending in group:
                pending.error = error
        for pending in group:
            pending.is_done = True
