"""One thread that works on all that waits as one group.

Scoring eight records at once and committing them together costs about three times one, and waiting a fixed time to fill
a group only hurts. So nobody waits for company: the thread takes all that is there when it is free.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class GroupWorker(Generic[Item]):
    """Calls ``work``, which raises nothing, with groups of one or more items, in their order."""

    def __init__(self, work: Callable[[Sequence[Item]], None], name: str) -> None:
        self._work = work
        self._waiting: deque[tuple[Item, asyncio.Future[None]]] = deque()
        self._is_idle = True
        self._wake = threading.Semaphore(0)
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def do(self, item: Item) -> None:
        """Return when the item was worked on. Always of the same event loop."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._is_idle:
            self._is_idle = False
            self._wake.release()
        await done

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            while self._waiting:
                self._work_on_all()
            self._is_idle = True
            # What came before that was said woke nobody.
            if self._waiting and self._is_idle:
                self._is_idle = False
                self._wake.release()

    def _work_on_all(self) -> None:
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._work([item for item, _ in group])
        group[0][1].get_loop().call_soon_threadsafe(_finish, [done for _, done in group])


def _finish(group: Sequence[asyncio.Future[None]]) -> None:
    for done in group:
        if not done.done():
            done.set_result(None)
