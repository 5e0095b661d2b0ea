"""Label delay: the time from prediction to label, as a histogram whose counts are totals of the inbox."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

_HOUR, _DAY = 3600, 86_400
#: Upper bounds of the buckets, in seconds; above the last there is one more.
BUCKETS_S = (1, 10, 60, 300, 900, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 30 * _DAY)

_COUNT = "label_delay:"
_SUM_MS = "label_delay_ms"
_NAMES = [f"{_COUNT}{bound}" for bound in BUCKETS_S] + [f"{_COUNT}more"]


def count_delay(totals: Counter[str], predicted_at: str, labelled_at: str) -> None:
    """Count one label; what was known before it was predicted came at once."""
    delay = datetime.fromisoformat(labelled_at) - datetime.fromisoformat(predicted_at)
    delay_s = max(0.0, delay.total_seconds())
    totals[_NAMES[bisect_left(BUCKETS_S, delay_s)]] += 1
    totals[_SUM_MS] += round(delay_s * 1000)


class LabelDelays(Struct, frozen=True):
    """``counts`` of labels by bucket, the last for all above :data:`BUCKETS_S`; ``sum_s`` over all of them."""

    counts: tuple[int, ...] = (0,) * len(_NAMES)
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """For each bound how many labels came within it."""
        return [(bound, sum(self.counts[: place + 1])) for place, bound in enumerate(BUCKETS_S)]

    def quantile_s(self, share: float) -> float | None:
        """The delay that this share of labels did not exceed, interpolated in its bucket as Prometheus does.

        Above the last bound it is that bound; ``None`` before the first label.
        """
        if not self.count:
            return None
        wanted, below, lower = share * self.count, 0, 0.0
        for bound, count in zip(BUCKETS_S, self.counts, strict=False):
            if count and below + count >= wanted:
                return lower + (bound - lower) * (wanted - below) / count
            below, lower = below + count, bound
        return lower


def delays_in(totals: Mapping[str, int]) -> LabelDelays:
    return LabelDelays(tuple(totals.get(name, 0) for name in _NAMES), totals.get(_SUM_MS, 0) / 1000)


class RecentDelays(Struct, frozen=True):
    """Marks in the totals that separate newer labels from older ones: a change shows although years went before it."""

    older: LabelDelays = LabelDelays()
    newer: LabelDelays = LabelDelays()

    def moved(self, now: LabelDelays, labels: int) -> RecentDelays:
        """Move the marks when so many labels came since the newer one."""
        return RecentDelays(self.newer, now) if now.count - self.newer.count >= labels else self

    def since(self, now: LabelDelays) -> LabelDelays:
        """The newest labels: between one and two times as many as the marks are apart, once there are so many."""
        counts = zip(now.counts, self.older.counts, strict=True)
        return LabelDelays(tuple(count - before for count, before in counts), now.sum_s - self.older.sum_s)
