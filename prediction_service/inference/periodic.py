"""Periodic tasks, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from prediction_service.inference.metrics import PredictingMetrics

log = structlog.get_logger()


class PeriodicTasks:
    """Runs tasks by name, each on its own thread at its own interval, until :meth:`stop`."""

    def __init__(self, metrics: PredictingMetrics) -> None:
        self._failures = metrics.background_failures
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def every(self, interval_s: float, task: str, work: Callable[[], None]) -> None:
        self._failures.labels(task)
        thread = threading.Thread(target=self._repeat, args=(interval_s, task, work), name=task, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _repeat(self, interval_s: float, task: str, work: Callable[[], None]) -> None:
        while not self._stop.wait(interval_s):
            try:
                work()
            except Exception:  # a thread's border: the work comes again, and the failure is counted
                self._failures.labels(task).inc()
                log.exception("background_failure", task=task)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
