"""Threads that answer requests whole: each takes the next one that waits, and the event loop hears when it is done."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Task = TypeVar("Task")


class WorkerThreads(Generic[Task]):
    """Calls ``work``, which raises nothing, with each task in one of so many threads of this process."""

    def __init__(self, work: Callable[[Task], None], threads: int, name: str) -> None:
        self._work = work
        self._queue: SimpleQueue[tuple[Task, asyncio.Future[None]]] = SimpleQueue()
        self._finished: deque[asyncio.Future[None]] = deque()
        self._is_waking = False
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    async def do(self, task: Task) -> None:
        """Return when the task is done. Always of the same event loop."""
        done = asyncio.get_running_loop().create_future()
        self._queue.put((task, done))
        await done

    def _run(self) -> None:
        while True:
            # In a call of its own: a thread that waits must not keep the request of before.
            self._do(*self._queue.get())

    def _do(self, task: Task, done: asyncio.Future[None]) -> None:
        self._work(task)
        self._finished.append(done)
        # One wake-up is enough for all that is finished until the loop comes round.
        if not self._is_waking:
            self._is_waking = True
            done.get_loop().call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._is_waking = False
        while self._finished:
            done = self._finished.popleft()
            if not done.done():
                done.set_result(None)
