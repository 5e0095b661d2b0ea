"""Stream detectors: ADWIN on what each record says in the reference's terms, so that no column has a scale of its own.

Watched are, for each numeric column and the score, the rank among the reference's values, how far from the middle and
whether at either end it lies; for each category column which of its common categories a record has, or a rare one, or
none; and whether a number is missing. Every detector starts with the reference's own rows, so it also sees what was
different from the first record on.

Bifet and Gavaldà, Learning from time-changing data with adaptive windowing, SDM 2007, 443-448.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from event_backbone.case import Case
from event_backbone.profile import CategoryProfile, NumberProfile, Profile
from monitoring_service.adwin import Adwin
from monitoring_service.window_columns import CategoryValues, ColumnValues, NumberValues

#: Detectors start afresh at every multiple of this row number, and after a restart they are fed from there.
GENERATION_ROWS = 20_000
#: Reference rows that a detector starts with, at most.
SEED_ROWS = 5_000
#: A category outside of these shares of the reference is watched together with others, or through them.
COMMON_SHARES = (0.01, 0.99)
#: Of the reference's values this share lies at the ends, where errors of unit and new extremes are.
END_SHARE = 0.02
#: Of the surprise that a change must be, as much must be left beside the reference.
LIKENESS = 0.5
#: Judged in groups of this many rows by ADWIN.
CLOCK_ROWS = 25
SCORE = "score"

Floats = NDArray[np.float64]


def generation_start(row: int, step: int) -> int:
    """The first row of the generation that the check at ``row`` belongs to; every ``step`` rows there is one."""
    length = -(-GENERATION_ROWS // step) * step
    return (row - 1) // length * length + 1


class Series:
    """One ADWIN, and whether what came since the last change that it saw is unlike the reference.

    ADWIN says that there was a change, and keeps much from before it; where it was is then found as the split of what
    came between two checks that sets the means furthest apart. ``unit`` makes a difference of means a share of rows.
    """

    def __init__(self, seed: Floats, unit: float, rule: Corroboration) -> None:
        self._adwin = Adwin(rule.delta, CLOCK_ROWS)
        self._seed = seed.tolist()
        self._reference = _Part(seed.size, float(seed.sum()))
        self._variance = float(seed.var())
        self._is_indicator = bool(np.isin(seed, (0.0, 1.0)).all())
        self._unit = unit
        self._rule = rule
        self._begin()

    def _begin(self) -> None:
        """With the reference as what came before."""
        self._adwin.feed(self._seed)
        #: Everything since the last change, as it was after each check.
        self._parts = [self._reference]
        #: What came before the change that is still open.
        self._before: _Part | None = None
        self.speaks = False

    def feed(self, values: Floats) -> None:
        """Take in what came since the last check."""
        new = values.tolist()
        changed = self._adwin.feed(new)
        # Of a few dozen values Python's sum takes a tenth of numpy's.
        self._parts.append(self._parts[-1].and_also(len(new), sum(new)))
        if changed:
            change = self._change()
            self._parts = [part.without(change) for part in self._parts if part.rows >= change.rows]
            self._before = change if self._before is None else self._before.and_also(*change)
        if self._before is not None:
            self._hear(self._before)

    def _change(self) -> _Part:
        """What came before the change."""
        newest = self._parts[-1]
        return max(self._parts[:-1], key=lambda before: newest.without(before).distance_from(before))

    def _hear(self, before: _Part) -> None:
        """What came since the change corroborates it, speaks against it, or leaves it open."""
        since = self._parts[-1]
        if not since.rows:
            return
        unlike = self._surprise_at(since, self._reference)
        has_effect = abs(since.mean - self._reference.mean) * self._unit >= self._rule.least_effect
        # The reference is a sample: where it happens to lie apart from the stream, the stream itself knows better.
        least = self._rule.least_surprise(since.rows)
        is_sure = self._surprise_at(since, before) >= least and unlike >= least * LIKENESS
        self.speaks = has_effect and is_sure
        # A false alarm, or a return to normal: that is a change as well, but what comes after it is like the reference.
        if (unlike < 1 or not has_effect) and since.rows > CLOCK_ROWS:
            self._begin()

    def _surprise_at(self, since: _Part, before: _Part) -> float:
        """Half the squared difference in standard errors.

        Where values are far from the normal distribution: Chernoff's bound of shares, Bernstein's of the others.
        """
        rows = 1 / (1 / since.rows + 1 / before.rows)
        if self._is_indicator:
            least = 0.5 / before.rows  # what was never there
            return rows * _relative_entropy(since.mean, min(max(before.mean, least), 1 - least))
        distance = abs(since.mean - before.mean)
        return rows * distance**2 / (2 * (self._variance + distance / 3))


def _relative_entropy(share: float, expected: float) -> float:
    """How unlikely a share is, a row, as a negative logarithm (Chernoff's bound); ``expected`` is neither 0 nor 1."""
    parts = ((share, expected), (1 - share, 1 - expected))
    return sum(one * math.log(one / other) for one, other in parts if one > 0)


@dataclass(frozen=True, slots=True)
class Corroboration:
    """``delta`` is ADWIN's; what follows a change must differ from the reference by at least the effect.

    ``chance`` is the probability that something in a whole generation without drift is taken for drift.
    """

    delta: float
    least_effect: float
    chance: float

    def least_surprise(self, rows: int) -> float:
        """How far out a stretch of this many rows must be, in halves of squared standard errors.

        A generation has the more of them, and each may have the less of the chance, the shorter they are.
        """
        return float(ndtri(self.chance * min(1.0, rows / GENERATION_ROWS) / 2)) ** 2 / 2


class Levels(NamedTuple):
    """``delta`` of every ADWIN, and one column's chance to be corroborated without drift."""

    delta: float
    chance: float


class _Part(NamedTuple):
    """Some values in a row: how many, and their sum."""

    rows: int
    total: float

    @property
    def mean(self) -> float:
        return self.total / self.rows

    def and_also(self, rows: int, total: float) -> _Part:
        return _Part(self.rows + rows, self.total + total)

    def without(self, before: _Part) -> _Part:
        return _Part(self.rows - before.rows, self.total - before.total)

    def distance_from(self, other: _Part) -> float:
        """Of two means, in standard errors but for a factor."""
        if not self.rows or not other.rows:
            return 0.0
        return abs(self.mean - other.mean) / math.sqrt(1 / self.rows + 1 / other.rows)


class NumberWatch:
    """Ranks among the reference's values (of equal ones the middle), whatever the unit."""

    def __init__(self, profile: NumberProfile, least_effect: float, levels: Levels, *, with_missing: bool) -> None:
        self._rising = np.asarray(profile.rising, dtype=np.float64)
        seeds = [*_readings(self._ranks(self._rising[_spread(self._rising.size)]))]
        rule = Corroboration(levels.delta, least_effect, levels.chance / len(seeds))
        self._series = [Series(seed, unit, rule) for seed, unit in zip(seeds, (2.0, 1.0, 1.0), strict=True)]
        if with_missing:
            self._series.append(Series(_seed(profile.rows, profile.missing), 1.0, rule))

    @property
    def speaks(self) -> bool:
        return any(one.speaks for one in self._series)

    def feed(self, values: NumberValues) -> None:
        """Take in what came since the last check, rows in order."""
        present = np.isfinite(values.values)
        readings = [*_readings(self._ranks(values.values[present])), (~present).astype(np.float64)]
        for series, reading in zip(self._series, readings, strict=False):
            series.feed(reading)

    def _ranks(self, values: Floats) -> Floats:
        below = np.searchsorted(self._rising, values, "left")
        ranks: Floats = (below + np.searchsorted(self._rising, values, "right")) / (2 * self._rising.size)
        return ranks


def _readings(ranks: Floats) -> Iterator[Floats]:
    """The rank, how far it is from the middle, and whether it is at either end."""
    yield ranks
    outwards = np.abs(2 * ranks - 1)
    yield outwards
    yield (outwards > 1 - END_SHARE).astype(np.float64)


class CategoryWatch:
    """Which of the common categories a row has, a rare one, one that the reference never had, or none."""

    def __init__(self, profile: CategoryProfile, least_effect: float, levels: Levels) -> None:
        names = _common(profile)
        rare = {name for name in profile.counts if name not in names}
        places = {name: place for place, name in enumerate(names)}
        self._place_of = {**places, **dict.fromkeys(rare, len(names))}
        self._unseen = len(names) + 1
        counts = [*(profile.counts[name] for name in names), sum(profile.counts[name] for name in rare), 0]
        self._reference = np.array([*counts, profile.missing], dtype=np.float64)
        # The second of two only mirrors the first.
        self._watched = [place for place in range(self._reference.size) if not (len(names) == 2 and place == 1)]
        usual = sum(self._reference[place] > 0 for place in self._watched)
        rule = Corroboration(levels.delta, least_effect, levels.chance / max(1, usual))
        self._series = [Series(_seed(profile.rows, int(self._reference[place])), 1.0, rule) for place in self._watched]

    @property
    def speaks(self) -> bool:
        return any(one.speaks for one in self._series)

    def feed(self, values: CategoryValues) -> None:
        """Take in what came since the last check, rows in order."""
        places = [self._place_of.get(name, self._unseen) for name in values.names]
        # The last place is that of code -1.
        found = np.array([*places, self._unseen + 1])[values.codes]
        indicators = (found == np.arange(self._reference.size)[:, None]).astype(np.float64)
        for series, place in zip(self._series, self._watched, strict=True):
            series.feed(indicators[place])


def _common(profile: CategoryProfile) -> list[str]:
    least, most = (share * profile.rows for share in COMMON_SHARES)
    return [name for name, count in profile.counts.items() if least <= count <= most]


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


class StreamDetectors:
    """All detectors of one reference, for one generation after the other. Not thread-safe.

    What they say follows from the rows since :func:`generation_start` alone.
    """

    def __init__(self, case: Case, profile: Profile) -> None:
        self._case = case
        self._profile = profile
        self._generation = 0
        self._watches: dict[str, Watch] = {}

    def advance(self, row: int, columns: Mapping[str, ColumnValues], scores: Floats) -> frozenset[str]:
        """Take in the rows from the last check to the one at ``row``, in order; ``scores`` of the profile's model only.

        Returns the names of columns, and ``score``, that differ from the reference since a change.
        """
        self._begin(generation_start(row, self._case.monitoring.check_every_rows))
        values = {**columns, SCORE: NumberValues(scores)}
        for name, watch in self._watches.items():
            if (found := values.get(name)) is not None and found.fault is None:
                watch.feed(found)  # type: ignore[arg-type]
        return frozenset(name for name, watch in self._watches.items() if watch.speaks)

    def _begin(self, generation: int) -> None:
        if generation == self._generation:
            return
        self._generation = generation
        self._watches = dict(self._made_watches())

    def _made_watches(self) -> Iterator[tuple[str, Watch]]:
        monitoring = self._case.monitoring
        levels = Levels(monitoring.detector_delta, monitoring.significance / (len(self._case.columns) + 1))
        for column in self._case.columns:
            least_effect = self._case.minimum_effect(column)
            match self._profile.columns.get(column.name):
                case CategoryProfile() as profile if column.is_category and profile.rows:
                    yield column.name, CategoryWatch(profile, least_effect, levels)
                case NumberProfile() as profile if not column.is_category and profile.rising:
                    yield column.name, NumberWatch(profile, least_effect, levels, with_missing=column.nullable)
        if self._profile.scores.rising:
            yield SCORE, NumberWatch(self._profile.scores, monitoring.minimum_effect, levels, with_missing=False)
