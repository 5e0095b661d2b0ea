"""Segments are what the case file declares, and their intervals are as wide as theory says."""

from __future__ import annotations

import numpy as np
import pytest
from training_world import RawFiles, made_case, made_rows

from event_backbone.errors import SettingsError
from training.data.rows import LabelledRows
from training.promotion.segments import bootstrap_interval, measure_segments, measures_of_classes, segments_of

CASE = RawFiles().case(
    monitoring={"segments": ["colour"]},
    training={"bands": {"weight": [100, 200]}},
)
ROWS = made_rows(600)


def test_segments_are_the_declared_columns_values_and_bands() -> None:
    found = {(column, value): places for column, value, places in segments_of(CASE, ROWS)}
    assert {value for column, value in found if column == "colour"} == {"green", "red", "yellow", "None"}
    assert [value for column, value in found if column == "weight"] == [
        "below 100",
        "100 to below 200",
        "200 and above",
    ]
    heavy = {ROWS.records[place]["weight"] for place in found["weight", "200 and above"]}
    assert min(heavy) == 200


def test_a_case_without_declarations_has_no_segments() -> None:
    assert list(segments_of(made_case(), ROWS)) == []


def test_a_segment_of_a_few_rows_is_left_out() -> None:
    assert {column for column, _, _ in segments_of(CASE, ROWS.take(np.arange(20)))} == set()


def test_all_rows_come_first_and_every_segment_has_its_measures() -> None:
    scores = np.random.default_rng(1).uniform(size=len(ROWS))
    whole, *parts = measure_segments(CASE, ROWS, scores, 0.5, seed=1)
    assert (whole.column, whole.rows) == ("all rows", 600)
    assert sum(part.rows for part in parts if part.column == "weight") == 600
    assert all(set(part.measures) == {"auc", "log_loss", "accuracy", "score_excess"} for part in parts)


def test_a_segment_of_one_class_has_no_auc() -> None:
    rows = LabelledRows(ROWS.records, ["yes"] * len(ROWS))
    segments = measure_segments(CASE, rows, np.full(len(ROWS), 0.5), 0.5, seed=1)
    assert {"auc" in one.measures for one in segments} == {False}


def test_the_interval_of_a_share_is_that_of_the_normal_approximation() -> None:
    """Accuracy 0.8 of 2,000 rows: 1.96 standard errors are 0.01753."""
    targets = np.ones(2000)
    scores = np.where(np.arange(2000) < 1600, 0.9, 0.1)
    interval = bootstrap_interval(measures_of_classes(0.5)["accuracy"], targets, scores, seed=3)
    assert interval.value == 0.8
    assert interval.low == pytest.approx(0.8 - 0.01753, abs=0.003)
    assert interval.high == pytest.approx(0.8 + 0.01753, abs=0.003)


def test_measures_are_those_of_the_library() -> None:
    from sklearn import metrics

    random = np.random.default_rng(5)
    scores = np.round(random.uniform(0.01, 0.99, 500), 2)
    targets = (random.uniform(size=500) < scores).astype(float)
    measures = {name: float(measure(targets, scores)) for name, measure in measures_of_classes(0.4).items()}
    assert measures["auc"] == pytest.approx(metrics.roc_auc_score(targets, scores))
    assert measures["log_loss"] == pytest.approx(metrics.log_loss(targets, scores))
    assert measures["accuracy"] == pytest.approx(metrics.accuracy_score(targets, scores >= 0.4))
    assert measures["score_excess"] == pytest.approx(scores.mean() - targets.mean())


@pytest.mark.parametrize(
    ("bands", "reason"),
    [
        ({"colour": [1]}, "no number column"),
        ({"sugar": [5]}, "may lack values"),
        ({"weight": []}, "there has to be one"),
        ({"weight": [200, 100]}, "have to rise"),
    ],
)
def test_bands_that_cannot_be_drawn_are_faults_of_the_case_file(bands: dict[str, list[float]], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        RawFiles().case(training={"bands": bands})
