"""A pipeline of steps, each in a thread of its own, so that one waits while another works."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.process.backoff import Backoff

log = structlog.get_logger()

Item = TypeVar("Item")

#: Seconds between two tries of a step while the other side is away, doubled up to the second number; every worker loses
#: it at the same time.
BACKOFF_S = (0.1, 5.0)
_JITTER = 0.2


class StepMeter(Protocol):
    """Receives the duration and the retries of steps."""

    def took(self, step: str, seconds: float) -> None: ...

    def retried(self, step: str) -> None: ...


class Pipeline(Generic[Item]):
    """Takes items in order through every step, in order; at most ``depth`` are in flight, so memory is bounded.

    A step that raises :class:`TryAgainLaterError` is tried again until it succeeds or the pipeline is closed; any other
    error ends the pipeline, and :meth:`check` raises it. One caller at a time; the steps run in threads of their own.
    """

    def __init__(self, steps: Sequence[tuple[str, Callable[[Item], None]]], meter: StepMeter, *, depth: int) -> None:
        self._steps = list(steps)
        self._meter = meter
        self._depth = depth
        self._changed = threading.Condition()
        self._waiting: list[deque[Item]] = [deque() for _ in range(len(self._steps) + 1)]
        self._in_hand = 0
        self._closed = False
        self._failure: BaseException | None = None
        self.away: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(index,), name=f"step-{name}", daemon=True)
            for index, (name, _) in enumerate(self._steps)
        ]
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raise what ended a step."""
        if self._failure is not None:
            raise self._failure

    def wait_for_room(self, timeout_s: float) -> bool:
        """Wait until another item may be offered; whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._in_hand < self._depth or self._is_over, timeout_s)

    def offer(self, item: Item) -> None:
        with self._changed:
            self._in_hand += 1
            self._waiting[0].append(item)
            self._changed.notify_all()

    def take_finished(self) -> list[Item]:
        """Items that took every step since the last call, in order."""
        with self._changed:
            finished = list(self._waiting[-1])
            self._waiting[-1].clear()
        return finished

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._in_hand or self._is_over, timeout_s) and not self._in_hand

    @property
    def in_hand(self) -> int:
        return self._in_hand

    def close(self) -> None:
        """Drop what is in flight; a step that is just running ends first."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def _is_over(self) -> bool:
        return self._closed or self._failure is not None

    def _run(self, index: int) -> None:
        name, step = self._steps[index]
        try:
            while (item := self._next(index)) is not None:
                if self._until_done(name, step, item):
                    self._pass_on(index, item)
        except BaseException as error:  # a thread's border: the caller is told, and stops
            log.exception("step_failed", step=name)
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _next(self, index: int) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting[index] or self._is_over)
            return None if self._is_over else self._waiting[index].popleft()

    def _pass_on(self, index: int, item: Item) -> None:
        with self._changed:
            self._waiting[index + 1].append(item)
            if index + 1 == len(self._steps):
                self._in_hand -= 1
            self._changed.notify_all()

    def _until_done(self, name: str, step: Callable[[Item], None], item: Item) -> bool:
        backoff = Backoff(*BACKOFF_S, jitter=_JITTER)
        while True:
            started = time.perf_counter()
            try:
                step(item)
            except TryAgainLaterError as error:
                self._report_away(name, error)
                if self._wait_in_vain(backoff.failed(error.retry_after_s)):
                    return False
            else:
                self.away.pop(name, None)
                self._meter.took(name, time.perf_counter() - started)
                return True

    def _report_away(self, name: str, error: TryAgainLaterError) -> None:
        if name not in self.away:
            log.warning("sink_away", step=name, error=str(error))
        self.away[name] = str(error)
        self._meter.retried(name)

    def _wait_in_vain(self, seconds: float) -> bool:
        """Wait, unless the pipeline is closed; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._is_over, seconds)
