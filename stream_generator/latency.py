"""Latencies in bounded memory: a histogram with buckets one per cent wide."""

from __future__ import annotations

import math
from collections import Counter

_SMALLEST_S = 1e-5
_LOG_WIDTH = math.log(1.01)


class LatencyHistogram:
    """Counts by logarithmic buckets, as HdrHistogram does; a quantile is exact to half a per cent.

    A second to a day fits in about 1,100 buckets. Not thread-safe.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._buckets[math.floor(math.log(max(seconds, _SMALLEST_S) / _SMALLEST_S) / _LOG_WIDTH)] += 1

    def quantile(self, share: float) -> float | None:
        """Seconds that ``share`` of the latencies do not exceed; ``None`` before the first."""
        rank = max(1, math.ceil(share * self._buckets.total()))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return _SMALLEST_S * math.exp((bucket + 0.5) * _LOG_WIDTH)
        return None
