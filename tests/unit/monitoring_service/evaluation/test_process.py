"""What the evaluator answers, and the frames it speaks in. No process is started here."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monitoring_world import install_bundle, made_case, made_class, made_record, made_score

from monitoring_service.drift.evidently_score import evidently_score
from monitoring_service.evaluation.frames import decode_answer, frame, read_frame
from monitoring_service.evaluation.process import Evaluator, ReportMaker
from monitoring_service.messages import (
    AskReports,
    ColumnScore,
    Failed,
    Labelled,
    MakeReport,
    ReportState,
    ScoreWindow,
    Window,
    WindowScores,
)
from monitoring_service.references.store import References
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


def test_the_columns_that_are_asked_for_are_scored_and_the_predictions(evaluator: Evaluator, tmp_path: Path) -> None:
    window = made_window(install_bundle(tmp_path / "bundles", CASE))
    answer = evaluator.answer(ScoreWindow(window, ["payment", "price"], predictions=True))
    assert isinstance(answer, WindowScores)
    assert (answer.row, [score.name for score in answer.columns]) == (200, ["payment", "price"])
    assert answer.prediction is not None
    assert all(score.score is not None and score.method for score in (*answer.columns, answer.prediction))
    answer = evaluator.answer(ScoreWindow(window, [], predictions=False))
    assert isinstance(answer, WindowScores)
    assert (answer.columns, answer.prediction) == ([], None)


def test_a_column_that_evidently_fails_on_costs_no_other_its_score(
    evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(reference: Any, window: Any, kind: str) -> tuple[float, str]:
        if kind == "cat":
            raise ZeroDivisionError
        return evidently_score(reference, window, kind)

    monkeypatch.setattr("monitoring_service.drift.evidently_score.evidently_score", broken)
    window = made_window(install_bundle(tmp_path / "bundles", CASE))
    answer = evaluator.answer(ScoreWindow(window, ["payment", "price"], predictions=True))
    assert isinstance(answer, WindowScores)
    assert answer.columns[0] == ColumnScore("payment")
    assert answer.columns[1].score is not None


def test_scores_without_a_reference_are_refused(evaluator: Evaluator) -> None:
    answer = evaluator.answer(ScoreWindow(made_window("e" * 64), ["price"], predictions=True))
    assert isinstance(answer, Failed)
    assert "eeeeeeeeeeee" in answer.reason


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
