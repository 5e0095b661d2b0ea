"""The reference profile: the sample that windows are compared with, counted once at training, part of the bundle.

One sample a column in the form the tests need (numbers in ascending order, categories as counts), so that nobody sorts
or counts the reference again, and nothing in it joins two values of one record.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from event_backbone.case.schema import Case, Column
from event_backbone.decoding.bounded_json import bounded_decoder

PROFILE_FILE = "reference_profile.json"


class NumberProfile(Struct, frozen=True, tag="numbers"):
    """The finite values in ascending order, and the number of rows without one."""

    sorted_values: list[float] = field(name="rising")
    missing: int

    @property
    def rows(self) -> int:
        return len(self.sorted_values) + self.missing

    def downsampled(self, share: float) -> NumberProfile:
        """The same distribution in that share of the rows: the middle value of each run of equal length."""
        places = range(round(len(self.sorted_values) * share))
        sorted_values = [
            self.sorted_values[int((place + 0.5) / len(places) * len(self.sorted_values))] for place in places
        ]
        return NumberProfile(sorted_values, _fewer(self.missing, share))


class CategoryProfile(Struct, frozen=True, tag="categories"):
    """Rows by category, and the number of rows without one."""

    counts: dict[str, int]
    missing: int

    @property
    def rows(self) -> int:
        return sum(self.counts.values()) + self.missing

    def downsampled(self, share: float) -> CategoryProfile:
        """The same distribution in that share of the rows."""
        counts = {name: _fewer(count, share) for name, count in self.counts.items()}
        return CategoryProfile(counts, _fewer(self.missing, share))


class Calibration(Struct, frozen=True):
    """The expected outcome of a prediction as a function of its score: values at ascending ``scores``, linear between.

    ``values`` is the share of positives (``binary``: calibration), or the mean absolute and mean squared error
    (``regression``: ``values`` and ``squares``). It was fitted to ``rows`` rows, or, if that is 0, to
    the reference.
    """

    scores: list[float]
    values: list[float]
    squares: list[float] = []
    rows: int = 0


class Profile(Struct, frozen=True):
    """The reference of one model version; ``rows`` is its number of independent rows (see :func:`downsampled`).

    ``predictions`` and ``labels`` are categories in a binary case and numbers otherwise. ``performance`` holds the
    metrics on the reference's own rows, ``expectation`` what estimates are made from. The last three are empty where
    too few labels are known, as in many an accepted window.
    """

    rows: int
    columns: dict[str, NumberProfile | CategoryProfile]
    scores: NumberProfile
    predictions: NumberProfile | CategoryProfile
    labels: NumberProfile | CategoryProfile | None = None
    performance: dict[str, float] = {}
    expectation: Calibration | None = None


def number_profile(values: Sequence[Any]) -> NumberProfile:
    """``None``, NaN and infinities count as missing."""
    present = sorted(float(value) for value in values if value is not None and math.isfinite(value))
    return NumberProfile(present, len(values) - len(present))


def category_profile(values: Sequence[Any]) -> CategoryProfile:
    counts = Counter(value for value in values if value is not None)
    return CategoryProfile(dict(sorted(counts.items())), len(values) - counts.total())


def column_profiles(case: Case, columns: Mapping[str, Sequence[Any]]) -> dict[str, NumberProfile | CategoryProfile]:
    """Profiles of the case's columns; ``columns`` holds one list of values each."""
    return {column.name: _profile_of(column, columns[column.name]) for column in case.columns}


def answer_profile(case: Case, values: Sequence[Any]) -> NumberProfile | CategoryProfile:
    """Profile of predictions or labels."""
    return category_profile(values) if case.is_binary else number_profile(values)


def _profile_of(column: Column, values: Sequence[Any]) -> NumberProfile | CategoryProfile:
    return category_profile(values) if column.is_category else number_profile(values)


def downsampled(profile: Profile, rows: int) -> Profile:
    """The same distributions, counted in ``rows`` rows; a profile of no more is given back as it is.

    For rows that repeat each other: counted in full, tests would take them for that many independent ones.
    """
    if rows >= profile.rows:
        return profile
    share = rows / profile.rows
    return msgspec.structs.replace(
        profile,
        rows=rows,
        columns={name: column.downsampled(share) for name, column in profile.columns.items()},
        scores=profile.scores.downsampled(share),
        predictions=profile.predictions.downsampled(share),
        labels=None if profile.labels is None else profile.labels.downsampled(share),
    )


def _fewer(count: int, share: float) -> int:
    """What was seen stays seen."""
    return max(1, round(count * share)) if count else 0


encode_profile = msgspec.json.Encoder().encode
#: Raises :class:`msgspec.DecodeError` when the bytes are no profile.
decode_profile: Callable[[bytes], Profile] = bounded_decoder(Profile)
