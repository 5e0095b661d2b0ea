"""The performance of one model version, as it is measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from monitoring_world import made_case, made_profile, regression_case
from msgspec.structs import replace

from event_backbone.model.reference_profile import Calibration, CategoryProfile, NumberProfile, Profile
from monitoring_service.messages import Labelled, MeasurePerformance, Performance
from monitoring_service.performance.measuring import measure_performance, realised
from monitoring_service.windows.segments import MOST_VALUES, SegmentReader

CASE = made_case(segments=["payment"])
#: A score is what it says; half of the reference's labels were "yes".
PROFILE = replace(
    made_profile(CASE),
    expectation=Calibration([0.0, 1.0], [0.0, 1.0]),
    labels=CategoryProfile({"no": 500, "yes": 500}, 0),
    performance={"accuracy": 0.9},
)


def labelled(rows: int = 400, *, seed: int = 1, inverted: bool = False) -> Labelled:
    """Rows whose score is what it says, and that were paid by card, in cash, or in a way nobody expects."""
    rng = np.random.default_rng(seed)
    scores = rng.random(rows)
    positive = (rng.random(rows) < scores) != inverted
    return Labelled(
        scores.tolist(),
        ["yes" if score >= 0.5 else "no" for score in scores],
        ["yes" if one else "no" for one in positive],
        {"payment": [("card", "cash", None)[min(place % 10, 2)] for place in range(rows)]},
    )


def measured(known: Labelled, profile: Profile | None = PROFILE, **window: Any) -> Performance:
    return measure_performance(CASE, profile, MeasurePerformance("b" * 64, known, **window))


def test_realised_and_expected_stand_side_by_side() -> None:
    known = labelled()
    scores = np.linspace(0, 1, 300)
    window = {"scores": scores.tobytes(), "predictions": (scores >= 0.5).astype(np.float64).tobytes()}
    found = measured(known, **window, labelled_in_window=75)
    assert (found.rows, found.labelled_rows, found.labelled_share) == (300, 400, 0.25)
    assert found.metric_values == realised(CASE, known)
    assert found.estimated["accuracy"].value == pytest.approx(0.75, abs=0.002)
    assert found.reference == {"accuracy": 0.9}
    assert abs(found.gap["accuracy"].value) < 0.08


def test_earlier_statements_are_what_was_measured_before_the_newest_labels_and_rows() -> None:
    known, scores = labelled(440), np.linspace(0, 1, 300)
    found = measured(known.part(0, 400), older=known.part(400), scores=scores.tobytes(), predictions=scores.tobytes())
    for checks, earlier in enumerate(found.earlier, start=1):
        fewer = scores[: 300 - checks * CASE.monitoring.check_every_rows].tobytes()
        before = known.part(checks * CASE.monitoring.check_every_rows).part(0, 400)
        alone = measured(before, scores=fewer, predictions=fewer)
        assert earlier.metric_values == {"accuracy": alone.metric_values["accuracy"]}
        assert earlier.estimated == {"accuracy": alone.estimated["accuracy"]}
        assert (earlier.gap, earlier.target) == (alone.gap, alone.target)
        assert (earlier.rows, earlier.labelled_rows) == (alone.rows, 400)
    assert len(found.earlier) == CASE.monitoring.consecutive_checks - 1


def test_without_older_labels_the_earlier_statements_are_about_fewer() -> None:
    assert [one.labelled_rows for one in measured(labelled(230)).earlier] == [210, 190]
    assert [one.rows for one in measured(Labelled(), scores=bytes(8 * 40), predictions=bytes(8 * 40)).earlier] == [
        30,
        20,
    ]


def test_labels_that_changed_their_meaning_are_a_gap() -> None:
    found = measured(labelled(inverted=True))
    assert found.gap["accuracy"].value == pytest.approx(0.5, abs=0.06)
    assert (found.gap["accuracy"].low or 0) > 0.3


def test_a_segment_has_its_metrics_from_a_minimum_of_rows_on() -> None:
    known = labelled()
    found = {one.value: one for one in measured(known).segments}
    assert {value: one.labelled_rows for value, one in found.items()} == {"card": 40, "cash": 40}
    card = [place for place, value in enumerate(known.segments["payment"]) if value == "card"]
    right = sum(known.predictions[place] == known.labels[place] for place in card)
    assert found["card"].metric_values["accuracy"].value == right / 40
    few = {one.value: one for one in measured(labelled(290)).segments}
    assert (few["card"].labelled_rows, few["card"].metric_values) == (29, {})


def test_labels_are_compared_with_the_references() -> None:
    same, other = measured(labelled()).target, measured(replace(labelled(), labels=["yes"] * 400)).target
    assert same is not None
    assert other is not None
    assert (same.name, same.state) == ("returned", "ok")
    assert (same.p_value or 0) > 0.01
    assert other.effect == pytest.approx(0.5)
    assert (other.p_value or 1) < 1e-9


def test_numbers_as_labels_are_compared_with_the_references() -> None:
    case, rng = regression_case(), np.random.default_rng(2)
    rising = np.sort(rng.normal(0, 1, 2000)).tolist()
    profile = replace(PROFILE, labels=NumberProfile(rising, 0), expectation=None)
    values = rng.normal(1, 1, 400).tolist()
    found = measure_performance(case, profile, MeasurePerformance("b" * 64, Labelled(values, values, values))).target
    assert found is not None
    assert (found.p_value or 1) < 1e-9


def test_too_few_labels_say_nothing_about_the_target() -> None:
    found = measured(labelled(199)).target
    assert found is not None
    assert (found.state, found.reason, found.p_value) == ("insufficient", "too_few_rows", None)


def test_without_a_reference_the_realised_metrics_are_left() -> None:
    scores = np.linspace(0, 1, 300)
    found = measured(labelled(), None, scores=scores.tobytes(), predictions=scores.tobytes())
    assert found.metric_values
    assert (found.estimated, found.gap, found.reference, found.target) == ({}, {}, {}, None)


def test_nothing_at_all_is_an_empty_performance() -> None:
    found = measured(Labelled(), None)
    assert found == Performance(earlier=[Performance(), Performance()])


def test_only_the_first_expected_values_of_a_column_have_metrics() -> None:
    column = CASE.column("payment")
    names = [f"way {number}" for number in range(MOST_VALUES + 1)]
    wide = column.model_copy(update={"expected": column.expected.model_copy(update={"categories": names})})
    columns = [wide if one.name == "payment" else one for one in CASE.columns]
    reader = SegmentReader(CASE.model_copy(update={"columns": columns}))
    texts = [reader.text_of({"payment": name}) for name in (names[0], names[-2], names[-1], 5, None)]
    assert reader.columns_of(texts) == {"payment": [names[0], names[-2], None, None, None]}
