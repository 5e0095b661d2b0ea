"""What the evaluator answers, where it finds references, and the frames it speaks in. No process is started here."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from monitoring_world import install_bundle, made_case, made_class, made_record, made_score

from event_backbone.case.files import case_from_dict
from event_backbone.model.reference_profile import PROFILE_FILE
from monitoring_service.evaluation.frames import decode_answer, frame, read_frame
from monitoring_service.evaluation.process import Evaluator, ReportMaker, prediction_mix
from monitoring_service.messages import (
    AskReports,
    Evaluate,
    Failed,
    Labelled,
    MakeReport,
    ReportState,
    Window,
    WindowMeasures,
)
from monitoring_service.references.store import RETRY_S, References
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.windows.columns import column_values, packed

CASE = made_case()


def made_window(bundle_sha256: str, rows: int = 200) -> Window:
    rng = random.Random(3)
    records = [made_record(rng) for _ in range(rows)]
    scores = [made_score(record) for record in records]
    columns = {
        column.name: packed(column_values(column, [record[column.name] for record in records]))
        for column in CASE.columns
    }
    positive = [float(made_class(score) == "yes") for score in scores]
    return Window(rows, rows, bundle_sha256, columns, np.array(scores).tobytes(), np.array(positive).tobytes())


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    references = References(CASE, tmp_path / "bundles", tmp_path / "accepted")
    return Evaluator(CASE, references, ReportMaker(CASE, ReportFolder(tmp_path / "reports", kept=2, kept_s=60), 60))


def test_a_window_is_measured_against_the_reference_of_its_bundle(evaluator: Evaluator, tmp_path: Path) -> None:
    sha256 = install_bundle(tmp_path / "bundles", CASE)
    window = made_window(sha256)
    answer = evaluator.answer(Evaluate(window))
    assert isinstance(answer, WindowMeasures)
    assert (answer.reference, answer.row) == ("ok", 200)
    assert [measure.state for measure in (*answer.columns, answer.prediction)] == ["ok"] * 4
    assert answer.mix.window["yes"] + answer.mix.window["no"] == pytest.approx(1)
    assert answer.mix.reference.keys() == {"yes", "no"}


def test_a_bundle_that_is_not_here_is_said_and_shares_are_still_measured(evaluator: Evaluator) -> None:
    answer = evaluator.answer(Evaluate(made_window("e" * 64)))
    assert isinstance(answer, WindowMeasures)
    assert answer.reference == "missing"
    assert "eeeeeeeeeeee" in (answer.reference_fault or "")
    assert answer.columns[1].missing_share is not None
    assert answer.prediction.reason == "no_reference"


@pytest.mark.parametrize("damage", ["other bytes", "no digest", "no profile", "no reference in it"])
def test_a_broken_bundle_is_said_and_nothing_is_raised(evaluator: Evaluator, tmp_path: Path, damage: str) -> None:
    from event_backbone.model.bundle import write_bundle

    bundles = tmp_path / "bundles"
    if damage in ("no profile", "no reference in it"):
        name = PROFILE_FILE if damage == "no profile" else "other.json"
        sha256 = write_bundle(bundles / "new", CASE, {name: b"none"})
        (bundles / "new").rename(bundles / sha256)
    else:
        sha256 = install_bundle(bundles, CASE)
        (bundles / sha256 / PROFILE_FILE).write_bytes(b"others")
    answer = evaluator.answer(Evaluate(made_window("../../etc" if damage == "no digest" else sha256)))
    assert isinstance(answer, WindowMeasures)
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


def test_a_report_without_a_reference_is_refused(evaluator: Evaluator) -> None:
    assert isinstance(evaluator.answer(MakeReport(made_window("e" * 64), Labelled())), Failed)
    assert evaluator.answer(AskReports()) == ReportState()


def reader_of(body: bytes) -> Callable[[int], bytes]:
    position = [0]

    def read_exactly(size: int) -> bytes:
        part = body[position[0] : position[0] + size]
        position[0] += size
        if len(part) < size:
            raise EOFError
        return part

    return read_exactly


def test_frames_come_out_as_they_went_in() -> None:
    read = reader_of(frame(ReportState(True, 1, 2)) + frame(Failed("so")))
    assert decode_answer(read_frame(read)) == ReportState(True, 1, 2)
    assert decode_answer(read_frame(read)) == Failed("so")


def test_a_frame_too_large_to_be_one_is_the_end() -> None:
    with pytest.raises(EOFError, match="none of ours"):
        read_frame(reader_of(b"\xff\xff\xff\xff"))
