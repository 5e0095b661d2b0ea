"""Where a case stands after a check, and what a restart must not change."""

from __future__ import annotations

import random

from monitoring_world import made_case
from msgspec.structs import replace

from event_backbone.events.schema import ModelRef
from monitoring_service.drift.verdict import CheckTime, Episode
from monitoring_service.messages import (
    ColumnMeasure,
    MetricValue,
    Performance,
    PredictionMix,
    ReferenceState,
    WindowMeasures,
)
from monitoring_service.state.history import point_of
from monitoring_service.state.monitor_state import (
    MonitorState,
    StateChange,
    WindowInfo,
    after_evaluation,
    after_failure,
    decode_state,
    encode_state,
    with_performance,
)

CASE = made_case()


def window_measures(row: int, *, drifting: tuple[str, ...] = (), reference: ReferenceState = "ok") -> WindowMeasures:
    def measure(name: str) -> ColumnMeasure:
        moved = name in drifting
        return ColumnMeasure(
            name, "ok", effect=0.4 if moved else 0.01, p_value=1e-9 if moved else 0.7, missing_share=0.0
        )

    return WindowMeasures(
        row=row,
        reference=reference,
        reference_fault=None if reference == "ok" else "not here",
        columns=[measure(name) for name in CASE.column_names],
        prediction=measure("score"),
        mix=PredictionMix({"yes": 0.25, "no": 0.75}, {}),
    )


def window_info(version: str = "1") -> WindowInfo:
    return WindowInfo(200, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", ModelRef("m", version), "b" * 64, 0.02)


def check(
    before: MonitorState, row: int, *drifting: str, version: str = "1", reference: ReferenceState = "ok"
) -> StateChange:
    answer = window_measures(row, drifting=drifting, reference=reference)
    return after_evaluation(CASE, before, window_info(version), answer, CheckTime(row, f"at {row}"))


def run(*checks: tuple[str, ...]) -> tuple[MonitorState, list[Episode]]:
    state = MonitorState()
    episodes: list[Episode] = []
    for number, drifting in enumerate(checks, start=1):
        checked = check(state, 20 * number, *drifting)
        state = checked.state
        episodes += checked.episodes
    return state, episodes


def test_a_column_that_drifts_in_three_checks_begins_one_episode_and_leaves_the_others_alone() -> None:
    state, episodes = run((), ("price",), ("price",), ("price",), ("price",))
    assert episodes == [Episode("column", "price", 40, 80, "at 80")]
    assert state.check_result is not None
    assert [
        column_verdict.measure.name
        for column_verdict in state.check_result.columns
        if column_verdict.verdict_state.drifted
    ] == ["price"]
    assert state.checked_row == 100


def test_an_episode_ends_with_the_third_clean_check() -> None:
    _, episodes = run(*[("price",)] * 3, (), (), ())
    assert episodes[-1] == Episode("column", "price", 20, 60, "at 60", 120, "at 120")


def test_predictions_are_a_family_of_their_own() -> None:
    _, episodes = run(*[("score",)] * 3)
    assert episodes == [Episode("prediction", "score", 20, 60, "at 60")]


def test_a_verdict_on_the_predictions_ends_with_its_model_version_and_that_on_the_inputs_does_not() -> None:
    state, _ = run(*[("price", "score")] * 3)
    changed = check(state, 80, "price", "score", version="2")
    assert changed.episodes == [Episode("prediction", "score", 20, 60, "at 60", 80, "at 80")]
    assert changed.state.check_result is not None
    assert changed.state.check_result.columns[0].verdict_state.drifted


def test_a_restart_between_any_two_checks_changes_nothing() -> None:
    rng = random.Random(4)
    checks = [("price",) if rng.random() < 0.6 else () for _ in range(60)]
    through, _ = run(*checks)
    state = MonitorState()
    episodes: list[Episode] = []
    for number, drifting in enumerate(checks, start=1):
        checked = check(decode_state(encode_state(state)), 20 * number, *drifting)
        state = checked.state
        episodes += checked.episodes
    assert state == through
    assert len(episodes) > 2


def test_a_check_without_answer_keeps_verdicts_and_metrics_and_breaks_runs() -> None:
    state, _ = run(*[("price",)] * 3, ("price", "items"), ("price", "items"))
    failed = after_failure(CASE, state, "gone", CheckTime(120, "at 120"))
    assert failed.state.failure is not None
    assert failed.state.failure.since == "at 120"
    assert failed.state.check_result is not None
    assert failed.state.check_result.columns[0].verdict_state.drifted
    again = check(failed.state, 140, "price", "items")
    assert again.episodes == []
    assert again.state.failure is None


def test_failures_in_a_row_remember_the_first() -> None:
    first = after_failure(CASE, MonitorState(), "gone", CheckTime(100, "at 100")).state
    second = after_failure(CASE, first, "gone", CheckTime(120, "at 120")).state
    assert second.failure is not None
    assert (second.failure.since, second.failure.row, second.checked_row) == ("at 100", 120, 120)


def test_a_check_without_scores_shows_the_last_ones() -> None:
    scored = window_measures(20)
    scored = replace(scored, columns=[replace(scored.columns[0], score=0.3, method="some"), *scored.columns[1:]])
    first = after_evaluation(CASE, MonitorState(), window_info(), scored, CheckTime(20, "at 20")).state
    second = check(first, 40).state
    assert second.check_result is not None
    assert (second.check_result.columns[0].measure.score, second.check_result.columns[0].measure.method) == (
        0.3,
        "some",
    )
    assert second.check_result.prediction.measure.score is None


def test_a_missing_reference_is_remembered_since_it_went_missing() -> None:
    missing = check(check(MonitorState(), 20, reference="missing").state, 40, reference="missing").state
    assert missing.reference_missing_since == "at 20"
    assert check(missing, 60).state.reference_missing_since is None


def test_a_point_holds_the_columns_in_the_order_of_the_case() -> None:
    state, _ = run(*[("items",)] * 3)
    assert state.check_result is not None
    point = point_of(state.check_result, 5.0)
    assert point.effects == [0.01, 0.4, 0.01]
    assert point.suspicious == point.drifted == [False, True, False]
    assert (point.row, point.received_at, point.mix) == (60, 5.0, {"yes": 0.25, "no": 0.75})


def test_the_performance_of_a_version_stays_through_its_checks_and_goes_with_it() -> None:
    performance = Performance(labelled_rows=10, metric_values={"accuracy": MetricValue(0.9)})
    measured = with_performance(check(MonitorState(), 20).state, performance)
    same, other = (check(measured, 40, version=version).state.check_result for version in ("1", "2"))
    assert same is not None
    assert other is not None
    assert (same.performance, other.performance) == (performance, Performance())
