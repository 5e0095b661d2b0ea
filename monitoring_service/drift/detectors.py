"""Stream detectors: ADWIN and a change-point scan on every series of a column.

ADWIN says that there was a change; :class:`.ChangePointScan` where it was, how sure it is, and when the next one comes.
Both start with the reference's own rows, so they also see what was different from the first record on.

Bifet and Gavaldà, Learning from time-changing data with adaptive windowing, SDM 2007, 443-448.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, Profile
from monitoring_service.drift.adwin import Adwin
from monitoring_service.drift.change_point import ChangePointScan, ReferenceTotals, Since
from monitoring_service.drift.detector_inputs import CategoryWatch, Floats, NumberWatch, Series, Watch
from monitoring_service.windows.columns import ColumnValues, NumberValues

#: Detectors start afresh at every multiple of this row number, and after a restart they are fed from there.
GENERATION_ROWS = 20_000
#: A longer stretch needs no smaller ratio than one of so many rows: those lie apart where the reference does.
LONG_ROWS = 1_500
#: Of the ratio that a change must reach, as much must be left beside the reference: it is a sample, and where it
#: happens to lie apart from the stream, the stream itself knows better.
LIKENESS = 0.5
#: What sets two stretches apart by so many nats is another change: four standard errors.
CLEAR_NATS = 8.0
#: A smaller divergence than this, in nats, is like the reference.
LIKE_NATS = 1.0
#: Nats that a change must have more where ADWIN saw none: a quarter of the chance.
ALONE = math.log(4)
#: Family-wise probability that a generation's first window is taken for a skew from its first row on.
FIRST_WINDOW_CHANCE = 0.02
#: ADWIN is fed with the means of so many rows, and looks once for so many of them.
GROUP_ROWS, CLOCK_GROUPS = 5, 5
SCORE = "score"

Flags = NDArray[np.bool_]


def generation_start(row: int, step: int) -> int:
    """The first row of the generation that the check at ``row`` belongs to; every ``step`` rows there is one."""
    length = _checks_of_a_generation(step) * step
    return (row - 1) // length * length + 1


def _checks_of_a_generation(step: int) -> int:
    return -(-GENERATION_ROWS // step)


class Watched(NamedTuple):
    """One column, or the score: its detectors' input, and the least share of rows that must have moved."""

    name: str
    watch: Watch
    least_effect: float


class Generation:
    """The detectors of one generation, from its first row to its last. Arrays hold one element for each series."""

    def __init__(self, case: Case, watched: Sequence[Watched]) -> None:
        monitoring = case.monitoring
        self._watched = watched
        series = [one for each in watched for one in each.watch.series]
        siblings = np.array([len(each.watch.series) for each in watched])
        self._names = np.repeat([each.name for each in watched], siblings)
        units = np.array([one.unit for one in series])
        self._least_distance = np.repeat([each.least_effect for each in watched], siblings) / units
        checks = _checks_of_a_generation(monitoring.check_every_rows)
        self._scan = ChangePointScan(_reference_of(series), checks)
        self._adwins = [_SeededAdwin(one.seed, monitoring.detector_delta) for one in series]
        # Shared by all series; by stretches as well, of which there are the more the shorter.
        share = np.concatenate([_shares(each.watch.series) for each in watched]) / len(series)
        rows = monitoring.check_every_rows * np.arange(1, checks + 1)
        by_age = np.minimum(rows, LONG_ROWS) / GENERATION_ROWS
        self._least_log_likelihood_ratio = _nats(monitoring.detector_significance * share[:, np.newaxis] * by_age)
        self._least_at_first = _nats(FIRST_WINDOW_CHANCE * share)
        self._first_window = -(-monitoring.window_rows // monitoring.check_every_rows)
        self._changed, self._alarm = (np.zeros(len(series), dtype=bool) for _ in range(2))
        # The first place where the change may have been, and the one up to which all is forgotten.
        self._first, self._base = (np.zeros(len(series), dtype=np.int64) for _ in range(2))
        # Where the change most likely was, as long as there is one.
        self._split = self._base.copy()

    def advance(self, columns: Mapping[str, ColumnValues]) -> frozenset[str]:
        """Take in the rows of one check, in order. Returns the names of what differs from the reference."""
        self._changed |= self._take_in(columns)
        for series in np.flatnonzero(self._alarm).tolist():
            place = self._scan.latest_change(series, self._split[series], CLEAR_NATS)
            if place > self._split[series]:
                self._first[series] = place
        self._forget_what_is_over()
        self._alarm = self._are_sure()
        if self._scan.now == self._first_window:
            skewed = self._are_skewed() & ~self._alarm
            self._split[skewed] = self._base[skewed]
            self._alarm |= skewed
        return frozenset(self._names[self._alarm].tolist())

    def _take_in(self, columns: Mapping[str, ColumnValues]) -> Flags:
        """Whether each series' ADWIN saw a change."""
        # Most often one: only columns with gaps have fewer values.
        same_length = itertools.groupby(self._readings(columns), key=lambda block: block.shape[1])
        blocks = [np.concatenate(list(some)) for _, some in same_length]
        sizes = np.repeat([block.shape[1] for block in blocks], [block.shape[0] for block in blocks])
        self._scan.add(sizes, np.concatenate([block.sum(axis=1) for block in blocks]))
        groups = (group for block in blocks for group in _group_means(block))
        return np.array([adwin.feed(group) for adwin, group in zip(self._adwins, groups, strict=True)])

    def _readings(self, columns: Mapping[str, ColumnValues]) -> Iterator[Floats]:
        for each in self._watched:
            found = columns.get(each.name)
            if found is None or found.fault is not None:
                yield np.empty((len(each.watch.series), 0))
            else:
                yield from each.watch.readings(found)  # type: ignore[arg-type]

    def _are_sure(self) -> Flags:
        split_points = self._scan.split_points(self._first)
        since = self._scan.since(split_points)
        least = np.take_along_axis(self._least_log_likelihood_ratio, self._scan.now - split_points - 1, axis=1)
        least += np.where(self._changed, 0.0, ALONE)[:, np.newaxis]
        worth = LIKENESS * self._least_log_likelihood_ratio.min()
        beyond = self._scan.log_likelihood_ratio(since, self._base, worth) - least
        beyond[~self._has_effect(since)] = -np.inf
        flags: Flags = beyond.max(axis=1) >= 0
        # Few series get here, most often none.
        series = np.flatnonzero(flags)
        divergence_from_reference = self._scan.divergence_from_reference(
            Since(*(array[series] for array in since)), worth, series
        )
        beyond = np.minimum(beyond[series], divergence_from_reference / LIKENESS - least[series])
        best = beyond.argmax(axis=1)[:, np.newaxis]
        self._split[series] = np.take_along_axis(split_points[series], best, axis=1)[:, 0]
        flags[series] = np.take_along_axis(beyond, best, axis=1)[:, 0] >= 0
        return flags

    def _are_skewed(self) -> Flags:
        """With one possible split point only, before the first row, a smaller ratio suffices."""
        since = self._scan.since(np.zeros((self._alarm.size, 1), dtype=np.int64))
        divergence_from_reference = self._scan.divergence_from_reference(since, self._least_at_first.min())
        flags: Flags = ((divergence_from_reference >= self._least_at_first[:, np.newaxis]) & self._has_effect(since))[
            :, 0
        ]
        return flags

    def _has_effect(self, since: Since) -> Flags:
        flags: Flags = (since.rows > 0) & (since.distance >= self._least_distance[:, np.newaxis])
        return flags

    def _forget_what_is_over(self) -> None:
        """Where what came since the last of several changes is like the reference: that was a return to normal."""
        if not (self._first > self._base).any():
            return
        since = self._scan.since(self._first[:, np.newaxis])
        is_back = (self._scan.divergence_from_reference(since, LIKE_NATS) < LIKE_NATS) | ~self._has_effect(since)
        over = (self._first > self._base) & is_back[:, 0] & (since.rows[:, 0] > GROUP_ROWS * CLOCK_GROUPS)
        self._base[over] = self._first[over]
        self._changed[over] = False
        for series in np.flatnonzero(over):
            self._adwins[series].begin()


class _SeededAdwin:
    """ADWIN after the reference's own rows, fed with means of some rows each: a fifth of the time of single rows."""

    def __init__(self, seed: Floats, delta: float) -> None:
        self._seed = _group_means(seed[np.newaxis])[0]
        self._delta = delta
        self.begin()

    def begin(self) -> None:
        """With nothing but the reference."""
        self._adwin = Adwin(self._delta, CLOCK_GROUPS)
        self._adwin.feed(self._seed)

    def feed(self, means: Sequence[float]) -> bool:
        """Whether there was a change."""
        return self._adwin.feed(means)


def _group_means(values: Floats) -> list[list[float]]:
    """Along the last of the two axes; the last group may be smaller."""
    whole = values.shape[1] // GROUP_ROWS * GROUP_ROWS
    means = values[:, :whole].reshape(len(values), -1, GROUP_ROWS).sum(axis=2) / GROUP_ROWS
    if whole < values.shape[1]:
        means = np.column_stack([means, values[:, whole:].mean(axis=1)])
    lists: list[list[float]] = means.tolist()
    return lists


def _reference_of(series: Sequence[Series]) -> ReferenceTotals:
    rows, means, variances = (
        np.array(numbers, dtype=np.float64)[:, np.newaxis]
        for numbers in zip(*((one.seed.size, one.seed.mean(), one.seed.var()) for one in series), strict=True)
    )
    return ReferenceTotals(rows, means, variances, np.array([one.is_share for one in series]))


def _shares(series: Sequence[Series]) -> Floats:
    """Of a column's series, in proportion to their weights; one on average."""
    weights = np.array([one.weight for one in series])
    shares: Floats = weights / weights.mean()
    return shares


def _nats(chance: Floats) -> Floats:
    """The log-likelihood ratio that a normal mean exceeds by this chance: half the square of its standard errors."""
    nats: Floats = ndtri(chance / 2) ** 2 / 2
    return nats


class StreamDetectors:
    """All detectors of one reference, for one generation after the other. Not thread-safe.

    What they say follows from the rows since :func:`generation_start` alone.
    """

    def __init__(self, case: Case, profile: Profile) -> None:
        self._case = case
        self._watched = list(_watched_of(case, profile))
        self._start = 0
        self._generation = Generation(case, self._watched)

    def advance(self, row: int, columns: Mapping[str, ColumnValues], scores: Floats) -> frozenset[str]:
        """Take in the rows from the last check to the one at ``row``, in order; ``scores`` of the profile's model only.

        Returns the names of columns, and ``score``, that differ from the reference since a change.
        """
        start = generation_start(row, self._case.monitoring.check_every_rows)
        if start != self._start:
            self._start, self._generation = start, Generation(self._case, self._watched)
        return self._generation.advance({**columns, SCORE: NumberValues(scores)})


def _watched_of(case: Case, profile: Profile) -> Iterator[Watched]:
    for column in case.columns:
        least_effect = case.minimum_effect(column)
        match profile.columns.get(column.name):
            case CategoryProfile() as known if column.is_category and known.rows:
                yield Watched(column.name, CategoryWatch(known), least_effect)
            case NumberProfile() as known if not column.is_category and known.sorted_values:
                yield Watched(column.name, NumberWatch(known, with_missing=column.nullable), least_effect)
    if profile.scores.sorted_values:
        yield Watched(SCORE, NumberWatch(profile.scores, with_missing=False), case.monitoring.minimum_effect)
