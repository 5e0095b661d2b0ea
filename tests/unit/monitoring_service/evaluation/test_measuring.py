"""What checks are measured by: windows against the reference of their bundle, wherever that is or is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monitoring_world import install_bundle, made_case, predictions

from event_backbone.case.files import case_from_dict
from event_backbone.model.reference_profile import PROFILE_FILE
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.evaluation.measuring import Measurer, NotMeasuredError, prediction_mix
from monitoring_service.messages import Labelled, MeasurePerformance
from monitoring_service.references.store import RETRY_S, References
from monitoring_service.windows.row_buffer import PredictionSource, WindowRow
from monitoring_service.windows.sliding_window import Windows

CASE = made_case()


def made_window(bundle_sha256: str, rows: int = 200) -> JudgedWindow:
    windows = Windows(CASE, rows_counted=0, checked_row=0)
    made = [
        WindowRow(number, one.record, one.score, one.prediction, one.model, bundle_sha256, one.predicted_at, 0.0)
        for number, one in enumerate(predictions(rows), 1)
    ]
    windows.add(made, [], len(made))
    view = windows.newest()
    return JudgedWindow(view, PredictionSource(made[-1].model, bundle_sha256))


@pytest.fixture
def measurer(tmp_path: Path) -> Measurer:
    return Measurer(CASE, References(CASE, tmp_path / "bundles", tmp_path / "accepted"))


def test_a_window_is_measured_against_the_reference_of_its_bundle(measurer: Measurer, tmp_path: Path) -> None:
    sha256 = install_bundle(tmp_path / "bundles", CASE)
    window = made_window(sha256)
    answer = measurer.measure(window)
    assert (answer.reference, answer.row) == ("ok", 200)
    assert [measure.state for measure in (*answer.columns, answer.prediction)] == ["ok"] * 4
    assert answer.mix.window["yes"] + answer.mix.window["no"] == pytest.approx(1)
    assert answer.mix.reference.keys() == {"yes", "no"}


def test_a_bundle_that_is_not_here_is_said_and_shares_are_still_measured(measurer: Measurer) -> None:
    answer = measurer.measure(made_window("e" * 64))
    assert answer.reference == "missing"
    assert "eeeeeeeeeeee" in (answer.reference_fault or "")
    assert answer.columns[1].missing_share is not None
    assert answer.prediction.reason == "no_reference"


@pytest.mark.parametrize("damage", ["other bytes", "no digest", "no profile", "no reference in it"])
def test_a_broken_bundle_is_said_and_nothing_is_raised(measurer: Measurer, tmp_path: Path, damage: str) -> None:
    from event_backbone.model.bundle import write_bundle

    bundles = tmp_path / "bundles"
    if damage in ("no profile", "no reference in it"):
        name = PROFILE_FILE if damage == "no profile" else "other.json"
        sha256 = write_bundle(bundles / "new", CASE, {name: b"none"})
        (bundles / "new").rename(bundles / sha256)
    else:
        sha256 = install_bundle(bundles, CASE)
        (bundles / sha256 / PROFILE_FILE).write_bytes(b"others")
    answer = measurer.measure(made_window("../../etc" if damage == "no digest" else sha256))
    assert answer.reference == "broken"
    assert answer.reference_fault


def test_a_bundle_that_arrives_later_is_found_after_a_while(tmp_path: Path) -> None:
    now = [0.0]
    references = References(CASE, tmp_path / "elsewhere", tmp_path, clock=lambda: now[0])
    sha256 = install_bundle(tmp_path / "bundles", CASE)
    assert references.find(sha256).state == "missing"
    (tmp_path / "bundles").rename(tmp_path / "elsewhere")
    assert references.find(sha256).state == "missing", "not looked for at every check"
    now[0] += RETRY_S
    assert references.find(sha256).state == "ok"


def test_a_reference_is_read_once(tmp_path: Path) -> None:
    sha256 = install_bundle(tmp_path / "bundles", CASE)
    references = References(CASE, tmp_path / "bundles", tmp_path)
    assert references.find(sha256) is references.find(sha256)


def test_the_mix_of_a_regression_is_mean_and_quartiles() -> None:
    from monitoring_world import case_content

    content = {**case_content(), "task": "regression", "target": {"name": "returned", "title": "Value"}}
    case = case_from_dict(content, subject="regression")
    assert prediction_mix(case, np.array([1.0, 2.0, 3.0, 4.0, 10.0])) == {
        "mean": 4.0,
        "p25": 2.0,
        "p50": 3.0,
        "p75": 4.0,
    }
    assert prediction_mix(case, np.array([])) == {}


def test_what_can_not_be_measured_is_said_and_the_next_question_is_answered(measurer: Measurer) -> None:
    too_large = Labelled([10**400], ["yes"], ["yes"])
    with pytest.raises(NotMeasuredError, match="performance could not be measured"):
        measurer.performance(MeasurePerformance("b" * 64, too_large))
    assert measurer.metric_values([Labelled()]) == [{}]
