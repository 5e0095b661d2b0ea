"""The verdict: family-wise adjustment, runs of checks, and the episodes they make."""

from __future__ import annotations

from itertools import pairwise

import pytest

from monitoring_service.drift.verdict import CheckTime, Episode, Rule, VerdictState, advance, episode_between, judge
from monitoring_service.messages import ColumnMeasure

RULE = Rule(significance=0.01, consecutive_checks=3, window_rows=200)


def run(checks: str) -> list[VerdictState]:
    """Verdict states after each check, 50 rows apart: ``x`` suspicious, ``.`` clean, ``?`` could not judge.

    ``A`` is a clean check in which the stream detector speaks.
    """
    verdict_states, meaning = [VerdictState()], {"x": True, ".": False, "?": None, "A": False}
    for number, check in enumerate(checks, start=1):
        check_time = CheckTime(50 * number, f"t{number}")
        verdict_states.append(advance(verdict_states[-1], meaning[check], check == "A", check_time, RULE))
    return verdict_states


def episodes(checks: str) -> list[Episode]:
    steps = enumerate(pairwise(run(checks)), start=1)
    found = [episode_between("column", "a", *step, CheckTime(50 * number, f"t{number}")) for number, step in steps]
    return [episode for episode in found if episode is not None]


def test_two_suspicious_checks_are_no_verdict() -> None:
    assert not run("xx")[-1].drifted


def test_three_suspicious_checks_in_a_row_are_a_verdict_that_knows_where_it_began() -> None:
    verdict_state = run(".xxx")[-1]
    assert (
        verdict_state.drifted,
        verdict_state.suspected_at_row,
        verdict_state.confirmed_at_row,
        verdict_state.confirmed_at,
    ) == (
        True,
        100,
        200,
        "t4",
    )


@pytest.mark.parametrize("checks", ["xx.xx", "xx?xx", "x.x.x", "xx.x?x"])
def test_a_broken_run_begins_again(checks: str) -> None:
    assert not any(verdict_state.drifted for verdict_state in run(checks))


def test_a_verdict_ends_after_as_many_clean_checks_in_a_row() -> None:
    assert run("xxx..")[-1].drifted
    assert run("xxx..x..")[-1].drifted
    assert not run("xxx...")[-1].drifted


def test_checks_that_could_not_judge_neither_end_a_verdict_nor_count_as_clean() -> None:
    assert run("xxx????")[-1].drifted
    assert run("xxx..?.")[-1].drifted


def test_the_stream_detector_alone_makes_a_verdict_at_once() -> None:
    verdict_state = run(".A")[-1]
    assert (verdict_state.drifted, verdict_state.cause, verdict_state.confirmed_at_row) == (True, "stream", 100)


def test_a_verdict_knows_whether_window_or_stream_made_it() -> None:
    assert run("xxx")[-1].cause == "window"
    assert run("xxA")[-1].cause == "stream"
    assert run("xxxA")[-1].cause == "window"


def test_a_verdict_by_stream_knows_the_suspicious_checks_before_it() -> None:
    assert run(".xA")[-1].suspected_at_row == 100


def test_no_clean_check_counts_before_the_window_holds_only_rows_after_the_detector_spoke() -> None:
    # The window of 200 rows is filled four checks after the detector spoke; three clean checks from then on end it.
    assert run("A.....")[-1].drifted
    assert not run("A......")[-1].drifted
    assert run("A....A.....")[-1].drifted


def test_an_episode_is_told_at_its_begin_and_at_its_end() -> None:
    begin, end = episodes(".xxxx...")
    assert begin == Episode("column", "a", 100, 200, "t4")
    assert end == Episode("column", "a", 100, 200, "t4", ended_at_row=400, ended_at="t8")


def test_a_second_episode_is_one_of_its_own() -> None:
    rows = [(episode.confirmed_at_row, episode.ended_at_row) for episode in episodes("xxx...xxx")]
    assert rows == [(150, None), (150, 300), (450, None)]


def measure(name: str, p_value: float | None, effect: float | None) -> ColumnMeasure:
    return ColumnMeasure(name, "ok", p_value=p_value, effect=effect)


def judged_suspicious(measures: list[ColumnMeasure]) -> list[str]:
    effects = dict.fromkeys((one.name for one in measures), 0.05)
    column_verdict = judge(measures, effects, {}, CheckTime(50, "t"), RULE)
    return [one.measure.name for one in column_verdict if one.verdict_state.against]


def test_significance_without_effect_is_no_suspicion_and_neither_is_effect_without_significance() -> None:
    measures = [measure("tiny", 1e-9, 0.049), measure("chance", 0.2, 0.4), measure("both", 1e-9, 0.05)]
    assert judged_suspicious(measures) == ["both"]


def test_a_column_must_show_more_the_more_columns_are_looked_at() -> None:
    assert judged_suspicious([measure("a", 0.004, 0.5)]) == ["a"]
    assert judged_suspicious([measure("a", 0.004, 0.5), *(measure(f"b{i}", 0.9, 0.5) for i in range(9))]) == []


def test_a_column_without_a_p_value_does_not_count_in_the_family() -> None:
    measures = [measure("a", 0.006, 0.5), measure("b", None, None)]
    column_verdict = judge(measures, {"a": 0.05, "b": 0.05}, {}, CheckTime(50, "t"), RULE)
    assert [one.adjusted_p for one in column_verdict] == [0.006, None]


def test_what_is_judged_elsewhere_but_belongs_to_the_family_counts_in_it() -> None:
    beside = [measure("b", 0.5, 0.5), measure("c", None, None)]
    (column_verdict,) = judge([measure("a", 0.006, 0.5)], {"a": 0.05}, {}, CheckTime(50, "t"), RULE, beside=beside)
    assert column_verdict.adjusted_p == 0.012


def test_a_column_that_could_not_be_judged_keeps_its_verdict() -> None:
    verdict_states = {"a": VerdictState(True, 2, 50, 150, "t3")}
    (column_verdict,) = judge([measure("a", None, None)], {"a": 0.05}, verdict_states, CheckTime(300, "t"), RULE)
    assert column_verdict.verdict_state == VerdictState(True, 0, 50, 150, "t3")
