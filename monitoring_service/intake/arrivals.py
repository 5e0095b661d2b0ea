"""Arrivals: how many rows came in each of the last seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

ARRIVALS_SHOWN_S = 300


class Arrivals:
    """Records received in each of the last seconds; thread-safe."""

    def __init__(self, by_second: Mapping[int, int], *, kept_s: int, clock: Callable[[], float] = time.time) -> None:
        self._lock = threading.Lock()
        self._by_second = dict(by_second)
        self._kept_s = kept_s
        self._clock = clock

    def count(self, records: int) -> None:
        with self._lock:
            now = int(self._clock())
            self._by_second[now] = self._by_second.get(now, 0) + records
            for second in [second for second in self._by_second if second < now - self._kept_s]:
                del self._by_second[second]

    def by_second(self, *, since: int) -> dict[int, int]:
        with self._lock:
            return {second: records for second, records in self._by_second.items() if second >= since}
