"""The service's side of the evaluator, with a stand-in for the process behind it."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring_service.evaluation import client as evaluator_client
from monitoring_service.evaluation.client import EvaluatorFailedError, EvaluatorProcess, EvaluatorRefusedError
from monitoring_service.evaluation.frames import frame
from monitoring_service.messages import Failed, Labelled, MakeReport, ReportState, ScoreWindow, Start, Window

START = Start(1, b"{}", "", "", "", 1, 1.0, 1.0)


WINDOW = Window(50, 1, "b" * 64, {}, b"", b"")


class StandIn:
    """Answers with what it is given, in turn; an exception is raised instead. Its start takes ``looks`` looks."""

    answers: list[Any]
    looks = 0
    killed = 0
    started = 0
    pid = 1

    def __init__(self) -> None:
        type(self).started += 1
        self._looks_left = type(self).looks

    def begin(self, _start: bytes) -> None: ...

    def has_begun(self) -> bool:
        if self._looks_left:
            self._looks_left -= 1
            return False
        answer = type(self).answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return True

    def ask(self, _request: bytes, _within_s: float) -> bytes:
        answer = type(self).answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else frame(answer)[4:]

    def kill(self) -> None:
        type(self).killed += 1


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    fresh = type("Fresh", (StandIn,), {"answers": []})
    monkeypatch.setattr(evaluator_client, "_Child", fresh)
    return fresh


def test_the_process_is_started_once_and_answers_many(stand_in: type[StandIn]) -> None:
    stand_in.answers = [b"ready", ReportState(made=1), ReportState(made=2)]
    process = EvaluatorProcess(START, within_s=1)
    assert process.ready()
    assert [process.reports().made, process.reports().made] == [1, 2]
    assert process.ready()
    assert stand_in.started == 1


def test_nobody_waits_for_its_start(stand_in: type[StandIn]) -> None:
    stand_in.looks = 2
    stand_in.answers = [b"ready", ReportState(made=1)]
    process = EvaluatorProcess(START, within_s=1)
    assert not process.ready()
    with pytest.raises(EvaluatorFailedError, match="not there yet"):
        process.reports()
    assert not process.ready()
    assert process.ready()
    assert process.reports().made == 1
    assert (stand_in.started, stand_in.killed) == (1, 0)


@pytest.mark.parametrize("failure", [EOFError("gone"), TimeoutError("slow"), BrokenPipeError(), b"\xc1garbage"])
def test_one_that_dies_hangs_or_babbles_is_replaced(stand_in: type[StandIn], failure: Any) -> None:
    stand_in.answers = [b"ready", failure, b"ready", ReportState(made=7)]
    process = EvaluatorProcess(START, within_s=1)
    assert process.ready()
    with pytest.raises(EvaluatorFailedError):
        process.reports()
    assert process.ready()
    assert process.reports().made == 7
    assert (stand_in.started, stand_in.killed) == (2, 1)


def test_one_that_says_no_is_kept(stand_in: type[StandIn]) -> None:
    stand_in.answers = [b"ready", Failed("no reference"), ReportState()]
    process = EvaluatorProcess(START, within_s=1)
    assert process.ready()
    with pytest.raises(EvaluatorRefusedError, match="no reference"):
        process.make_report(MakeReport(WINDOW, Labelled()))
    process.reports()
    assert stand_in.started == 1


def test_an_answer_to_another_question_is_a_failure(stand_in: type[StandIn]) -> None:
    stand_in.answers = [b"ready", ReportState()]
    process = EvaluatorProcess(START, within_s=1)
    assert process.ready()
    with pytest.raises(EvaluatorFailedError, match="another question: ReportState"):
        process.score(ScoreWindow(WINDOW, [], predictions=False))


def test_one_that_does_not_start_is_a_failure_and_is_gone(stand_in: type[StandIn]) -> None:
    stand_in.answers = [EOFError("died while importing")]
    process = EvaluatorProcess(START, within_s=1)
    with pytest.raises(EvaluatorFailedError):
        process.ready()
    assert process.pid is None
    assert stand_in.killed == 1
