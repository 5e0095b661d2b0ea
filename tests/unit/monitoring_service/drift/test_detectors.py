"""Stream detectors: what they notice, what they keep quiet about, and that they say the same after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from event_backbone.case.files import load_case
from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, Profile
from monitoring_service.drift.detector_inputs import CategoryWatch
from monitoring_service.drift.detectors import SCORE, StreamDetectors, generation_start
from monitoring_service.windows.columns import CategoryValues, ColumnValues, NumberValues

STEP = 50


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case(Path(__file__).parents[4] / "cases" / "housing.yaml")


class Stream:
    """Rows of every column, drawn from what the reference was drawn from unless ``change`` says otherwise."""

    def __init__(self, case: Case, seed: int) -> None:
        self._case = case
        self._random = np.random.default_rng(seed)

    def rows(self, count: int, **change: Any) -> tuple[dict[str, ColumnValues], Any]:
        columns: dict[str, ColumnValues] = {}
        for column in self._case.columns:
            if column.is_category:
                shares = change.get(column.name, [0.5, 0.3, 0.0, 0.15, 0.05])
                codes = self._random.choice(5, count, p=shares).astype(np.int32)
                columns[column.name] = CategoryValues(codes, column.categories)
            else:
                columns[column.name] = NumberValues(self._random.normal(change.get(column.name, 0.0), 1.0, count))
        return columns, self._random.random(count) ** change.get(SCORE, 1.0)


@pytest.fixture(scope="module")
def profile(case: Case) -> Profile:
    columns, scores = Stream(case, 1).rows(3000)
    profiles: dict[str, NumberProfile | CategoryProfile] = {}
    for name, values in columns.items():
        if isinstance(values, NumberValues):
            profiles[name] = NumberProfile(np.sort(values.values).tolist(), 0)
        else:
            counts = np.bincount(values.codes, minlength=5).tolist()
            profiles[name] = CategoryProfile(dict(zip(values.names, counts, strict=True)), 0)
    return Profile(3000, profiles, NumberProfile(np.sort(scores).tolist(), 0), NumberProfile([], 0))


def play(detectors: StreamDetectors, stream: Stream, first: int, last: int, **change: Any) -> list[frozenset[str]]:
    """What they say at each check after row ``first`` up to row ``last``."""
    return [detectors.advance(row, *stream.rows(STEP, **change)) for row in range(first + STEP, last + 1, STEP)]


def test_nobody_speaks_without_drift(case: Case, profile: Profile) -> None:
    assert set().union(*play(StreamDetectors(case, profile), Stream(case, 2), 0, 10_000)) == set()


@pytest.mark.parametrize(
    ("name", "changed"),
    [("median_income", 0.6), ("ocean_proximity", [0.35, 0.45, 0.0, 0.15, 0.05]), (SCORE, 2.0)],
)
def test_a_change_is_told_for_its_column_only(case: Case, profile: Profile, name: str, changed: Any) -> None:
    detectors, stream = StreamDetectors(case, profile), Stream(case, 3)
    play(detectors, stream, 0, 1000)
    assert play(detectors, stream, 1000, 2000, **{name: changed})[-1] == {name}


def test_what_differed_from_the_first_row_on_is_told(case: Case, profile: Profile) -> None:
    assert play(StreamDetectors(case, profile), Stream(case, 4), 0, 500, median_income=0.8)[-1] == {"median_income"}


def test_a_category_that_the_reference_never_had_is_told(case: Case, profile: Profile) -> None:
    changed = {"ocean_proximity": [0.45, 0.3, 0.05, 0.15, 0.05]}
    assert play(StreamDetectors(case, profile), Stream(case, 5), 0, 1000, **changed)[-1] == {"ocean_proximity"}


def test_what_the_reference_lacks_by_chance_is_expected_to_come() -> None:
    names = [f"name {place}" for place in range(10)]
    with_singles = CategoryWatch(CategoryProfile(dict.fromkeys(names[:9], 1) | {names[9]: 991}, 0))
    without = CategoryWatch(CategoryProfile(dict.fromkeys(names[:9], 2) | {names[9]: 982}, 0))
    # Common ones, rare ones together, those never seen, none.
    assert [watch.series[-2].seed.sum() for watch in (with_singles, without)] == [9, 0]


def test_a_small_skew_from_the_first_row_on_is_told_when_the_first_window_is_full(case: Case, profile: Profile) -> None:
    said = play(StreamDetectors(case, profile), Stream(case, 10), 0, 1000, median_income=0.18)
    assert said[-1] == {"median_income"}
    assert set().union(*said[:-1]) == set()


def test_missing_numbers_are_told_where_they_are_allowed(case: Case, profile: Profile) -> None:
    detectors, stream = StreamDetectors(case, profile), Stream(case, 6)
    for row in range(STEP, 1001, STEP):
        columns, scores = stream.rows(STEP)
        values = columns["total_bedrooms"]
        assert isinstance(values, NumberValues)
        values.values[::10] = np.nan
        said = detectors.advance(row, columns, scores)
    assert said == {"total_bedrooms"}


def test_they_fall_silent_when_the_stream_is_again_like_the_reference(case: Case, profile: Profile) -> None:
    detectors, stream = StreamDetectors(case, profile), Stream(case, 7)
    play(detectors, stream, 0, 1500, median_income=0.6)
    back = play(detectors, stream, 1500, 4000)
    assert back[0] == {"median_income"}
    assert set().union(*back[20:]) == set()


def test_a_short_burst_after_a_long_quiet_time_is_over_when_it_is(case: Case, profile: Profile) -> None:
    detectors, stream = StreamDetectors(case, profile), Stream(case, 11)
    play(detectors, stream, 0, 3000)
    assert play(detectors, stream, 3000, 3300, median_income=2.0)[-1] == {"median_income"}
    assert set().union(*play(detectors, stream, 3300, 4100)[4:]) == set()


def test_a_column_that_is_not_there_or_faulty_disturbs_no_other(case: Case, profile: Profile) -> None:
    detectors, stream = StreamDetectors(case, profile), Stream(case, 8)
    for row in range(STEP, 1001, STEP):
        columns, scores = stream.rows(STEP, median_income=0.8)
        del columns["population"]
        columns["households"] = NumberValues(np.full(STEP, np.nan), "not_a_number")
        said = detectors.advance(row, columns, scores)
    assert said == {"median_income"}


def test_fed_again_with_the_rows_of_the_generation_they_say_the_same(case: Case, profile: Profile) -> None:
    rows = Stream(case, 9).rows(22_000, median_income=0.15)

    def portion(row: int) -> tuple[dict[str, ColumnValues], Any]:
        part = slice(row - STEP, row)
        columns: dict[str, ColumnValues] = {
            name: NumberValues(values.values[part])
            if isinstance(values, NumberValues)
            else CategoryValues(values.codes[part], values.names)
            for name, values in rows[0].items()
        }
        return columns, rows[1][part]

    without_restart = StreamDetectors(case, profile)
    said = {row: without_restart.advance(row, *portion(row)) for row in range(STEP, 22_001, STEP)}
    for stop in (5_000, 21_000):
        restarted, first = StreamDetectors(case, profile), generation_start(stop, STEP)
        again = {row: restarted.advance(row, *portion(row)) for row in range(first - 1 + STEP, stop + 501, STEP)}
        assert all(again[row] == said[row] for row in range(stop, stop + 501, STEP))


def test_a_generation_begins_at_a_check() -> None:
    assert generation_start(20_000, 50) == 1
    assert generation_start(20_050, 50) == 20_001
    assert (generation_start(20_020, 70) - 1) % 70 == 0
