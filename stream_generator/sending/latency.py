"""Latency histograms in bounded memory, with buckets one per cent wide."""

from __future__ import annotations

import math
from collections import Counter

_LOG_WIDTH = math.log(1.01)


class LogHistogram:
    """Counts by logarithmic buckets, as HdrHistogram does; a quantile is exact to half a per cent.

    From ``smallest`` to 10^10 times as much fits in about 2,300 buckets; what is smaller counts as ``smallest_is``.
    Not thread-safe.
    """

    def __init__(self, smallest: float, *, smallest_is: float) -> None:
        self._smallest = smallest
        self._smallest_is = smallest_is
        self._below = 0
        self._buckets: Counter[int] = Counter()

    def add(self, value: float) -> None:
        if value < self._smallest:
            self._below += 1
        else:
            self._buckets[math.floor(math.log(value / self._smallest) / _LOG_WIDTH)] += 1

    def quantile(self, share: float) -> float | None:
        """The value that ``share`` of the values do not exceed; ``None`` before the first."""
        rank = max(1, math.ceil(share * (self._below + self._buckets.total()))) - self._below
        if self._below and rank <= 0:
            return self._smallest_is
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return self._smallest * math.exp((bucket + 0.5) * _LOG_WIDTH)
        return None


class LatencyHistogram(LogHistogram):
    """Latencies in seconds; a millisecond to a day fits in about 1,800 buckets."""

    def __init__(self) -> None:
        super().__init__(1e-5, smallest_is=1e-5)
