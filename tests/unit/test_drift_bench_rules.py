"""The drift bench: its rivals compute what they are named after, its shifts are what their numbers say."""

from __future__ import annotations

import numpy as np
import pytest
from click import BadParameter
from prediction_world import made_case

from benchmarks.drift.defaults import parsed_set
from benchmarks.drift.frames import Frame
from benchmarks.drift.rules import evidently_score, population_stability
from benchmarks.drift.shifts import divergence, drawn_shifts, listed_shifts
from event_backbone.case.schema import MonitoringSettings
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from monitoring_service.drift.evidently_score import evidently_score as evidently_itself
from monitoring_service.windows.columns import CategoryValues, NumberValues

NAMES = ["a", "b", "c"]


def codes(*counts: int) -> CategoryValues:
    return CategoryValues(np.repeat(np.arange(len(counts), dtype=np.int32), counts), NAMES)


def test_evidentlys_scores_are_evidentlys() -> None:
    random = np.random.default_rng(1)
    before, after = np.sort(random.normal(0, 2, 2000)), random.normal(0.3, 2, 500)
    ours = evidently_score(NumberProfile(before.tolist(), 0), NumberValues(after))
    assert ours == pytest.approx(evidently_itself(before, after, "num")[0], abs=1e-9)
    ours = evidently_score(CategoryProfile({"a": 900, "b": 500, "c": 100}, 0), codes(100, 300, 50))
    both = np.repeat([0, 1, 2], [900, 500, 100]), codes(100, 300, 50).codes
    assert ours == pytest.approx(evidently_itself(*both, "cat")[0], abs=1e-9)


def test_the_stability_index_of_two_shares_is_the_closed_form() -> None:
    index = population_stability(
        CategoryProfile({"a": 500, "b": 500}, 0), CategoryValues(codes(75, 25).codes, NAMES[:2])
    )
    assert index == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5), abs=1e-3)


def test_the_divergence_of_two_shares_is_the_closed_form() -> None:
    found = divergence(
        CategoryProfile({"a": 500_000, "b": 500_000}, 0), CategoryValues(codes(75_000, 25_000).codes, NAMES[:2])
    )
    assert found == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5), abs=1e-3)


def test_numbers_from_the_same_distribution_hardly_diverge() -> None:
    random = np.random.default_rng(2)
    reference = NumberProfile(np.sort(random.normal(size=5000)).tolist(), 0)
    assert divergence(reference, NumberValues(random.normal(size=5000))) < 0.005
    assert divergence(reference, NumberValues(random.normal(0.5, size=5000))) == pytest.approx(0.125, abs=0.03)


def test_missing_numbers_diverge_from_present_ones() -> None:
    reference, values = NumberProfile([1.0] * 5000, 0), np.ones(5000)
    values[:500] = np.nan
    assert divergence(reference, NumberValues(np.ones(5000))) < 0.001
    assert divergence(reference, NumberValues(values)) > 0.1


def test_only_what_a_case_has_columns_for_is_drawn() -> None:
    count = {"name": "count", "title": "Count", "help": "Of something.", "kind": "integer"}
    case = made_case(columns=[count])
    rows = Frame({"count": NumberValues(np.arange(100.0))}, np.zeros(100))
    assert {shift.kind for shift in drawn_shifts(case, rows, seed=1, count=20)} == {"add", "scale"}


def test_a_set_is_the_defaults_with_what_was_changed() -> None:
    found = parsed_set("minimum_effect=0.05,detector_delta=0.002")
    assert found == MonitoringSettings(minimum_effect=0.05, detector_delta=0.002)
    with pytest.raises(BadParameter, match="window_rows: a set consists of significance"):
        parsed_set("window_rows=500")


def test_every_bound_belongs_to_a_shift_that_moves_a_column() -> None:
    assert [shift.bound for shift in listed_shifts() if shift.bound is not None] == [900, 450, 550, 1600]
    assert all(shift.moves_inputs for shift in listed_shifts() if shift.bound is not None)
