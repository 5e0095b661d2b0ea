"""Stream detectors: ADWIN on what each record says in the reference's terms, so that no column has a scale of its own.

Watched are, for each numeric column and the score, the rank among the reference's values and how far out that rank
lies; for each category column which of its common categories a record has, or a rare one, or none; and whether a number
is missing. Every detector starts with the reference's own rows, so it also sees what was different from the first
record on.

Bifet and Gavaldà, Learning from time-changing data with adaptive windowing, SDM 2007, 443-448.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from event_backbone.case import Case
from event_backbone.profile import CategoryProfile, NumberProfile, Profile

#: Detectors start afresh at every multiple of this row number, and after a restart they are fed from there.
GENERATION_ROWS = 20_000
#: Reference rows that a detector starts with, at most.
SEED_ROWS = 5_000
#: A category outside of these shares of the reference is watched together with others, or through them.
COMMON_SHARES = (0.01, 0.99)
#: Judged in groups of this many rows by ADWIN.
CLOCK_ROWS = 25
SCORE = "score"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coded:
    """Categories of one column: places in ``names`` in order of arrival, -1 where there is none."""

    codes: NDArray[np.integer[Any]]
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class NewRows:
    """What arrived since the last check, in order: NaN is a missing number. ``row`` is the counter after the last one.

    ``columns`` lacks what some of these rows lack; ``scores`` are those of the version that the profile belongs to.
    """

    row: int
    columns: Mapping[str, Floats | Coded]
    scores: Floats


def generation_start(row: int) -> int:
    """The first row of the generation that ``row`` belongs to: what detectors at that row must have been fed with."""
    return (row - 1) // GENERATION_ROWS * GENERATION_ROWS + 1


class Series:
    """One ADWIN, and what its last alarm said.

    ``expected`` and ``variance`` are the reference's; ``unit`` makes a difference of means a share of rows.
    """

    def __init__(self, seed: Floats, delta: float, unit: float) -> None:
        from river.drift import ADWIN

        self._adwin = ADWIN(delta=delta, clock=CLOCK_ROWS)  # type: ignore[no-untyped-call]
        self.expected = float(seed.mean())
        self._variance = float(seed.var())
        self._rows = seed.size
        self._unit = unit
        self._alarmed_at: float | None = None
        for value in seed.tolist():
            self._adwin.update(value)  # type: ignore[no-untyped-call]

    def feed(self, values: Floats, least_effect: float, significance: float) -> None:
        adwin = self._adwin
        for value in values.tolist():
            adwin.update(value)  # type: ignore[no-untyped-call]
            if adwin.drift_detected:
                self._alarmed_at = self._corroborated(adwin.width, adwin.estimation, least_effect, significance)

    def _corroborated(self, rows: float, mean: float, least_effect: float, significance: float) -> float | None:
        """The mean after the change, if it is not the reference's: a return to normal alarms ADWIN as well."""
        distance = abs(mean - self.expected)
        # What the reference never had has no variance there; the window's then counts.
        variance = max(self._variance, mean * (1 - mean) if self._variance == 0 else 0.0)
        error = math.sqrt(variance * (1 / rows + 1 / self._rows))
        p_value = 2 * float(ndtr(-distance / error)) if error else float(distance == 0)
        return mean if distance * self._unit >= least_effect and p_value < significance else None

    @property
    def speaks(self) -> bool:
        """Whether what came since the alarm is still nearer to the alarm's mean than to the reference's."""
        if self._alarmed_at is None:
            return False
        if self._adwin.drift_detected or self._adwin.width < CLOCK_ROWS:
            return True
        way = self._alarmed_at - self.expected
        return (self._adwin.estimation - self.expected) / way > 0.5


class NumberWatch:
    """Ranks among the reference's values (of equal ones the middle), and how far from the middle they lie."""

    def __init__(self, profile: NumberProfile, delta: float, *, with_missing: bool) -> None:
        self._rising = np.asarray(profile.rising, dtype=np.float64)
        ranks = self._ranks(self._rising[_spread(self._rising.size)])
        self.series = [Series(ranks, delta, unit=2.0), Series(np.abs(2 * ranks - 1), delta, unit=1.0)]
        if with_missing:
            self.series.append(Series(_missing_seed(profile.rows, profile.missing), delta, unit=1.0))

    def _ranks(self, values: Floats) -> Floats:
        below = np.searchsorted(self._rising, values, "left")
        ranks: Floats = (below + np.searchsorted(self._rising, values, "right")) / (2 * self._rising.size)
        return ranks

    def read(self, values: Floats) -> Iterator[Floats]:
        """One array for each of ``series``, rows in order."""
        present = np.isfinite(values)
        ranks = self._ranks(values[present])
        yield ranks
        yield np.abs(2 * ranks - 1)
        yield (~present).astype(np.float64)


class CategoryWatch:
    """Which of the common categories a row has, a rare or unknown one, or none."""

    def __init__(self, profile: CategoryProfile, delta: float) -> None:
        least, most = (share * profile.rows for share in COMMON_SHARES)
        common = [name for name, count in profile.counts.items() if least <= count <= most]
        # The second of two only mirrors the first.
        self._common = common[:1] if len(common) == 2 else common
        self._known = set(common)
        places = {name: place for place, name in enumerate(self._common)}
        counts = [profile.counts[name] for name in self._common]
        rare = sum(count for name, count in profile.counts.items() if name not in self._known)
        self._place_of = places
        self.series = [
            Series(_missing_seed(profile.rows, count), delta, unit=1.0) for count in (*counts, rare, profile.missing)
        ]

    def read(self, values: Coded) -> Iterator[Floats]:
        """One array for each of ``series``, rows in order."""
        rare, missing, mirrored = len(self._common), len(self._common) + 1, -1
        places = [self._place_of.get(name, mirrored if name in self._known else rare) for name in values.names]
        # The last place is that of code -1.
        found = np.array([*places, missing])[values.codes]
        for place in range(missing + 1):
            yield (found == place).astype(np.float64)


def _spread(rows: int) -> NDArray[np.int64]:
    """Places of up to ``SEED_ROWS`` of ``rows`` sorted rows, in an order whose every stretch is like the whole."""
    size = min(rows, SEED_ROWS)
    golden = np.argsort(np.arange(1, size + 1) * ((math.sqrt(5) - 1) / 2) % 1.0, kind="stable")
    order = np.empty(size, dtype=np.int64)
    order[golden] = np.arange(size)
    return (order * rows + rows // 2) // size


def _missing_seed(rows: int, hits: int) -> Floats:
    return (_spread(rows) < hits).astype(np.float64)


Watch = NumberWatch | CategoryWatch


class StreamDetectors:
    """All detectors of one reference, for one generation after the other. Not thread-safe.

    What they say follows from the rows since :func:`generation_start` alone, in whatever batches they come.
    """

    def __init__(self, case: Case, profile: Profile) -> None:
        self._case = case
        self._profile = profile
        self._generation = -1
        self._watches: dict[str, Watch] = {}

    def advance(self, rows: NewRows) -> frozenset[str]:
        """Take in new rows; the names of columns, and ``score``, that differ from the reference since a change."""
        self._begin(rows.row)
        columns = {**rows.columns, SCORE: rows.scores}
        tests = sum(len(watch.series) for watch in self._watches.values())
        for name, watch in self._watches.items():
            if (values := columns.get(name)) is not None:
                self._feed(watch, values, self._least_effect(name), self._case.monitoring.significance / tests)
        return frozenset(name for name, watch in self._watches.items() if any(one.speaks for one in watch.series))

    def _feed(self, watch: Watch, values: Floats | Coded, least_effect: float, significance: float) -> None:
        parts = watch.read(values)  # type: ignore[arg-type]
        for series, part in zip(watch.series, parts, strict=False):
            series.feed(part, least_effect, significance)

    def _least_effect(self, name: str) -> float:
        monitoring = self._case.monitoring
        return monitoring.minimum_effect if name == SCORE else self._case.minimum_effect(self._case.column(name))

    def _begin(self, row: int) -> None:
        generation = (row - 1) // GENERATION_ROWS
        if generation == self._generation:
            return
        self._generation = generation
        self._watches = dict(self._made_watches())

    def _made_watches(self) -> Iterator[tuple[str, Watch]]:
        delta = self._case.monitoring.detector_delta
        for column in self._case.columns:
            match self._profile.columns.get(column.name):
                case CategoryProfile() as profile if column.is_category and profile.rows:
                    yield column.name, CategoryWatch(profile, delta)
                case NumberProfile() as profile if not column.is_category and profile.rising:
                    yield column.name, NumberWatch(profile, delta, with_missing=column.nullable)
        if self._profile.scores.rising:
            yield SCORE, NumberWatch(self._profile.scores, delta, with_missing=False)
