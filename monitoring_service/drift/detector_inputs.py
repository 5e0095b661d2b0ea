"""Inputs of the stream detectors: each record by its rank or category in the reference, so that scales don't matter.

For each numeric column and the score the rank among the reference's values, how far from the middle, and whether it
lies at either end, among the lowest or among the highest; for each category column which of its common categories a
record has, or a rare one, one that the reference never had, or none; and whether a number is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from monitoring_service.windows.columns import CategoryValues, NumberValues

#: Reference rows that a detector starts with, at most.
SEED_ROWS = 5_000
#: A category outside of these shares of the reference is watched together with others, or through them.
COMMON_SHARES = (0.01, 0.99)
#: Of the reference's values this share lies at the ends, where errors of unit and new extremes are.
END_SHARE = 0.02
#: And this one lies among the lowest, as among the highest.
TAIL_SHARE = 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a column: its values in the reference. Times ``unit`` a difference of means is a share of rows.

    By ``weight`` the series of a column share its chance to be taken for drift.
    """

    seed: Floats
    unit: float = 1.0
    weight: float = 1.0

    @property
    def is_share(self) -> bool:
        return bool(np.isin(self.seed, (0.0, 1.0)).all())


class NumberWatch:
    """Ranks among the reference's values (of equal ones the middle), whatever the unit."""

    def __init__(self, profile: NumberProfile, *, with_missing: bool) -> None:
        self._sorted = np.asarray(profile.sorted_values, dtype=np.float64)
        self._with_missing = with_missing
        rank, *others = _readings(self._ranks(self._sorted[_spread(self._sorted.size)]))
        self.series = [Series(rank, unit=2.0), *map(Series, others)]
        if with_missing:
            self.series.append(Series(_seed(profile.rows, profile.missing)))

    def readings(self, values: NumberValues) -> Iterator[Floats]:
        """The values of these rows, in order, as arrays of shape ``(series, values)``."""
        present = np.isfinite(values.values)
        yield _readings(self._ranks(values.values[present]))
        if self._with_missing:
            yield (~present).astype(np.float64)[np.newaxis]

    def _ranks(self, values: Floats) -> Floats:
        below = np.searchsorted(self._sorted, values, "left")
        ranks: Floats = (below + np.searchsorted(self._sorted, values, "right")) / (2 * self._sorted.size)
        return ranks


def _readings(ranks: Floats) -> Floats:
    """The rank, how far it is from the middle, and whether it is at either end, among the lowest or the highest."""
    outwards = np.abs(2 * ranks - 1)
    hits = (outwards > 1 - END_SHARE, ranks < TAIL_SHARE, ranks > 1 - TAIL_SHARE)
    return np.stack([ranks, outwards, *hits])


class CategoryWatch:
    """Which of the common categories a row has, a rare one, one that the reference never had, or none."""

    def __init__(self, profile: CategoryProfile) -> None:
        names = _common(profile)
        rare = {name for name in profile.counts if name not in names}
        split_points = {name: place for place, name in enumerate(names)}
        self._place_of = {**split_points, **dict.fromkeys(rare, len(names))}
        self._unseen = len(names) + 1
        counts = [*(profile.counts[name] for name in names), sum(profile.counts[name] for name in rare)]
        counts += [_unseen_rows(profile), profile.missing]
        # The second of two only mirrors the first.
        watched = [place for place in range(len(counts)) if not (len(names) == 2 and place == 1)]
        self._watched = np.array(watched)[:, np.newaxis]
        seeds = [_seed(profile.rows, counts[place]) for place in watched]
        # Of what is rare every row tells more, so it needs the chance less.
        self.series = [Series(seed, weight=max(seed.mean(), COMMON_SHARES[0])) for seed in seeds]

    def readings(self, values: CategoryValues) -> Iterator[Floats]:
        """The values of these rows, in order, as an array of shape ``(series, values)``."""
        split_points = [self._place_of.get(name, self._unseen) for name in values.names]
        # The last place is that of code -1.
        found = np.array([*split_points, self._unseen + 1])[values.codes]
        yield (found == self._watched).astype(np.float64)


def _common(profile: CategoryProfile) -> list[str]:
    least, most = (share * profile.rows for share in COMMON_SHARES)
    return [name for name, count in profile.counts.items() if least <= count <= most]


def _unseen_rows(profile: CategoryProfile) -> int:
    """Of as many new rows, how many will have a category that the reference happens to lack: as many as it has once.

    Good, The population frequencies of species and the estimation of population parameters, Biometrika 40 (1953).
    """
    return sum(count == 1 for count in profile.counts.values())


def _spread(rows: int) -> NDArray[np.int64]:
    """Places of up to ``SEED_ROWS`` of ``rows`` sorted rows, in an order whose every stretch is like the whole."""
    size = min(rows, SEED_ROWS)
    golden = np.argsort(np.arange(1, size + 1) * ((math.sqrt(5) - 1) / 2) % 1.0, kind="stable")
    order = np.empty(size, dtype=np.int64)
    order[golden] = np.arange(size)
    return (order * rows + rows // 2) // size


def _seed(rows: int, hits: int) -> Floats:
    return (_spread(rows) < hits).astype(np.float64)


Watch = NumberWatch | CategoryWatch
