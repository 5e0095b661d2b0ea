"""When a condition begins and ends, and what is shown with it."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from monitoring_world import case_content, made_case
from msgspec.structs import replace

from event_backbone.case.files import case_from_dict
from event_backbone.events.schema import ModelRef
from monitoring_service.drift.verdict import CheckTime, ColumnVerdict, VerdictState
from monitoring_service.messages import ColumnMeasure, MetricValue, Performance, PredictionMix
from monitoring_service.performance.degradation import degradation
from monitoring_service.performance.realised import wilson
from monitoring_service.state.condition_rules import (
    conditions_after_check,
    conditions_after_delays,
    conditions_after_performance,
    conditions_after_rejections,
    conditions_unjudged,
)
from monitoring_service.state.conditions import Condition, all_conditions, kinds_of
from monitoring_service.state.monitor_state import CheckResult, MonitorState, decode_state, encode_state
from monitoring_service.windows.label_delay import BUCKETS_S, LabelDelays, RecentDelays
from monitoring_service.windows.sliding_window import WindowRejections

CASE = made_case()
REFERENCE = {"accuracy": 0.9}


def check_result(row: int = 20, version: str = "1", **of_price: float | None) -> CheckResult:
    """Nothing wrong with any column but ``price``."""
    calm = {"missing_share": 0.0, "reference_missing_share": 0.0}

    def column_verdict(name: str) -> ColumnVerdict:
        shares = {**calm, **(of_price if name == "price" else {})}
        return ColumnVerdict(ColumnMeasure(name, "ok", effect=0.01, **shares), 0.05, 0.5, False, VerdictState())

    return CheckResult(
        row=row,
        at=f"at {row}",
        duration_s=0.1,
        rows=200,
        oldest_at="",
        newest_at="",
        model=ModelRef("m", version),
        bundle_sha256="b" * 64,
        reference="ok",
        reference_fault=None,
        columns=[column_verdict(name) for name in CASE.column_names],
        prediction=column_verdict("score"),
        mix=PredictionMix({}, {}),
    )


def after_checks(
    *checks: CheckResult, rejections: WindowRejections | None = None, before: MonitorState | None = None
) -> MonitorState:
    state = before or MonitorState()
    for number, check in enumerate(checks, start=1):
        check_time = CheckTime(20 * number, f"check {number}")
        kept = conditions_after_check(CASE, state, check, check_time)
        if rejections is not None:
            kept = conditions_after_rejections(CASE, kept, rejections, check_time)
        state = MonitorState(check_time.row, check, conditions=kept)
    return state


def after_qualities(*performances: Performance, before: MonitorState | None = None) -> MonitorState:
    """Each was measured with more labels than the one before, and states the two before it as well."""
    state = before or MonitorState(20, check_result())
    for number in range(len(performances)):
        stated = replace(performances[number], earlier=[*reversed(performances[max(0, number - 2) : number])])
        kept = conditions_after_performance(CASE, state.conditions, stated, CheckTime(20, f"look {number + 1}"))
        state = replace(state, conditions=kept)
    return state


def found(state: MonitorState, name: str, column: str | None = None) -> Condition:
    return next(one for one in all_conditions(CASE, state.conditions) if one.key == (name, column))


def active(state: MonitorState) -> set[tuple[str, str | None]]:
    return {one.key for one in state.conditions if one.active}


@pytest.mark.parametrize(
    ("name", "shares", "threshold"),
    [
        ("missing", {"missing_share": 0.16, "reference_missing_share": 0.1}, 0.15),
        ("out_of_range", {"out_of_range_share": 0.03}, 0.02),
    ],
)
def test_broken_data_holds_from_the_third_check_in_a_row(
    name: str, shares: dict[str, float | None], threshold: float
) -> None:
    bad = check_result(**shares)
    assert active(after_checks(bad, bad)) == set()
    state = after_checks(bad, bad, bad)
    assert active(state) == {(name, "price")}
    condition = found(state, name, "price")
    assert condition.since == "check 3"
    assert condition.threshold == pytest.approx(threshold)
    assert condition.value == next(iter(shares.values()))


def test_one_good_check_breaks_the_run_and_three_end_the_condition() -> None:
    bad, good = check_result(out_of_range_share=0.5), check_result(out_of_range_share=0.0)
    assert active(after_checks(bad, bad, good, bad, bad)) == set()
    assert active(after_checks(bad, bad, bad, good, good, bad, good, good))
    assert active(after_checks(bad, bad, bad, good, good, good)) == set()


def test_a_share_that_is_not_known_judges_nothing_and_ends_nothing() -> None:
    bad, unknown = check_result(missing_share=0.9), check_result(missing_share=None)
    state = after_checks(bad, bad, bad, unknown, unknown, unknown)
    assert active(state) == {("missing", "price")}
    assert found(state, "missing", "price").value is None
    assert active(after_checks(bad, bad, unknown, bad)) == set()


@pytest.mark.parametrize("reason", ["not_in_window", "not_text", "not_a_number"])
def test_a_column_without_usable_values_is_broken(reason: str) -> None:
    check = check_result()
    measure = ColumnMeasure("price", "invalid", reason, reference_missing_share=0.0)
    bad = replace(check, columns=[replace(check.columns[0], measure=measure), *check.columns[1:]])
    assert active(after_checks(bad, bad, bad)) == {("missing", "price")}


def test_a_column_that_the_reference_lacks_is_not_called_missing() -> None:
    check = check_result()
    measure = ColumnMeasure("price", "invalid", "not_in_reference", missing_share=0.5)
    bad = replace(check, columns=[replace(check.columns[0], measure=measure), *check.columns[1:]])
    assert active(after_checks(bad, bad, bad)) == set()


def test_missing_values_that_the_reference_has_as_well_are_no_fault() -> None:
    usual = check_result(missing_share=0.3, reference_missing_share=0.28)
    assert active(after_checks(usual, usual, usual)) == set()


def test_refused_records_are_told_by_their_column() -> None:
    refused = WindowRejections(accepted=180, records=20, by_column=Counter({"items": 20}))
    state = after_checks(*[check_result()] * 3, rejections=refused)
    assert active(state) == {("rejected", "items")}
    assert found(state, "rejected", "items").value == pytest.approx(0.1)


def test_drift_is_the_verdict_with_its_own_time_and_limit() -> None:
    drifted = check_result()
    price = replace(drifted.columns[0], verdict_state=VerdictState(True, 0, 20, 60, "then"))
    state = after_checks(replace(drifted, columns=[price, *drifted.columns[1:]]))
    assert active(state) == {("drift", "price")}
    assert (price.measure.effect, "then") == (
        found(state, "drift", "price").value,
        found(state, "drift", "price").since,
    )


def test_a_check_without_an_answer_breaks_runs_and_changes_no_condition() -> None:
    bad = check_result(out_of_range_share=0.5)
    two = after_checks(bad, bad)
    broken = replace(two, conditions=conditions_unjudged(two.conditions))
    assert active(after_checks(bad, before=broken)) == set()
    three = after_checks(bad, bad, bad)
    assert active(replace(three, conditions=conditions_unjudged(three.conditions))) == active(three)


def test_a_restart_between_any_two_checks_changes_nothing() -> None:
    checks = [check_result(out_of_range_share=0.5)] * 4 + [check_result(out_of_range_share=0.0)] * 3
    for restarted_after in range(1, len(checks)):
        state = decode_state(encode_state(after_checks(*checks[:restarted_after])))
        for number, check in enumerate(checks[restarted_after:], start=restarted_after + 1):
            check_time = CheckTime(20 * number, f"check {number}")
            kept = conditions_after_check(CASE, state, check, check_time)
            state = MonitorState(check_time.row, check, conditions=kept)
        assert state.conditions == after_checks(*checks).conditions


def test_every_condition_of_the_case_is_there_before_the_first_check() -> None:
    blank = all_conditions(CASE, [])
    assert not any(one.active for one in blank)
    keys = {one.key for one in blank}
    assert {("unseen", "payment"), ("out_of_range", "price"), ("stale", None), ("label_delay", None)} <= keys
    assert ("unseen", "price") not in keys
    assert len(blank) == sum(len(kinds_of(column)) for column in CASE.columns) + 11


def performance(accuracy: float, low: float, high: float, rows: int = 500, **changes: object) -> Performance:
    metric_values = {"accuracy": MetricValue(accuracy, low, high)}
    return replace(Performance(rows, rows, metric_values=metric_values, reference=REFERENCE), **changes)


def test_a_realised_degradation_needs_the_limit_the_interval_and_rows_enough() -> None:
    assert active(after_qualities(*[performance(0.80, 0.76, 0.84)] * 3)) == {("realised_loss", None)}
    assert active(after_qualities(*[performance(0.88, 0.87, 0.89)] * 3)) == set(), "less than the limit"
    assert active(after_qualities(*[performance(0.80, 0.65, 0.95)] * 3)) == set(), "may be chance"
    assert active(after_qualities(*[performance(0.80, 0.76, 0.84, rows=199)] * 3)) == set(), "too few labels"


def test_an_estimated_degradation_needs_no_label() -> None:
    estimated = Performance(500, 0, estimated={"accuracy": MetricValue(0.8, 0.79, 0.81)}, reference=REFERENCE)
    state = after_qualities(*[estimated] * 3)
    assert active(state) == {("estimated_loss", None)}
    assert found(state, "estimated_loss").value == pytest.approx(0.1)


def test_concept_drift_is_a_gap_that_chance_does_not_explain() -> None:
    def gap(value: float, low: float) -> Performance:
        return Performance(500, 500, gap={"accuracy": MetricValue(value, low, 2 * value - low)})

    assert active(after_qualities(*[gap(0.06, 0.01)] * 3)) == {("concept_drift", None)}
    assert active(after_qualities(*[gap(0.06, -0.01)] * 3)) == set()
    assert active(after_qualities(*[gap(0.04, 0.03)] * 3)) == set()


def test_target_drift_needs_both_significance_and_effect() -> None:
    def target(p_value: float, effect: float) -> Performance:
        return Performance(500, 500, target=ColumnMeasure("returned", "ok", effect=effect, p_value=p_value))

    assert active(after_qualities(*[target(1e-6, 0.1)] * 3)) == {("target_drift", None)}
    assert active(after_qualities(*[target(1e-6, 0.004)] * 3)) == set()
    assert active(after_qualities(*[target(0.01, 0.1)] * 3)) == set()


def test_what_was_known_of_another_version_ends_with_it() -> None:
    lossy = after_qualities(*[performance(0.80, 0.76, 0.84)] * 3)
    assert active(after_checks(check_result(version="1"), before=lossy)) == {("realised_loss", None)}
    assert active(after_checks(check_result(version="2"), before=lossy)) == set()


def test_it_is_labels_that_count_and_not_how_often_they_are_looked_at() -> None:
    lossy, good = performance(0.80, 0.76, 0.84), performance(0.9, 0.88, 0.92)

    def after_looks(*looks: Performance) -> set[tuple[str, str | None]]:
        state = MonitorState(20, check_result())
        for look in looks:
            kept = conditions_after_performance(CASE, state.conditions, look, CheckTime(20, "now"))
            state = replace(state, conditions=kept)
        return active(state)

    last = replace(lossy, earlier=[lossy, lossy])
    turning = replace(lossy, earlier=[lossy, good])
    assert after_looks(last) == {("realised_loss", None)}, "a burst of labels, looked at once"
    assert after_looks(*[turning] * 9) == set(), "too few amounts of labels say so, however often one looks"
    assert after_looks(last, turning) == {("realised_loss", None)}, "and as many are needed to end it"
    assert after_looks(last, replace(good, earlier=[good, good])) == set()
    assert after_looks(*[lossy] * 9) == set(), "nothing is said about fewer labels"


def test_performance_alone_leaves_what_follows_from_checks_as_it_is() -> None:
    bad = check_result(out_of_range_share=0.5)
    state = after_qualities(*[performance(0.9, 0.88, 0.92)] * 5, before=after_checks(bad, bad))
    assert found(state, "out_of_range", "price").against == 2


def test_a_degradation_of_regression_is_the_growth_of_the_mean_error() -> None:
    content = case_content()
    content["task"], content["target"] = "regression", {"name": "paid", "title": "Paid"}
    case = case_from_dict(content, subject="made case")
    measured = Performance(500, 500, metric_values={"mae": MetricValue(12.0, 11.0, 13.0)}, reference={"mae": 10.0})
    found = degradation(case, measured, measured.metric_values)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.1, 0.3))
    reference = {"mae": 10.0, "rmse": math.sqrt(10.0**2 + 400)}  # errors spread by 20, their mean of 400 rows by 1
    sampled = degradation(case, replace(measured, reference=reference, reference_rows=400), measured.metric_values)
    assert sampled is not None
    assert sampled.value == pytest.approx(0.2)
    half = math.hypot(math.log(12 / 11), math.log((10 + 1.959964) / 10))
    assert sampled.low == pytest.approx(1.2 * math.exp(-half) - 1)


def test_a_degradation_knows_that_the_references_metric_is_a_samples() -> None:
    """Example (a) of Newcombe 1998, table II, method 10: 56/70 - 48/80 is 0.2 with 0.0524 to 0.3339."""
    realised = wilson(48, 80)
    known = replace(Performance(80, 80, metric_values={"accuracy": realised}), reference_rows=70)
    found = degradation(CASE, replace(known, reference={"accuracy": 56 / 70}), known.metric_values)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_a_degradation_that_the_references_own_error_explains_is_none() -> None:
    sampled = performance(0.84, 0.82, 0.86, reference_rows=60)
    assert active(after_qualities(*[sampled] * 3)) == set()
    assert active(after_qualities(*[replace(sampled, reference_rows=5000)] * 3)) == {("realised_loss", None)}


def delays(**counts: int) -> LabelDelays:
    """``late`` labels came within the last bucket, ``early`` ones within the first."""
    row = [0] * (len(BUCKETS_S) + 1)
    row[0], row[-2] = counts.get("early", 0), counts.get("late", 0)
    return LabelDelays(tuple(row))


def test_labels_are_late_by_the_median_of_enough_of_them() -> None:
    def after(found: LabelDelays) -> set[tuple[str, str | None]]:
        state = MonitorState(20, check_result())
        for number in range(3):
            kept = conditions_after_delays(CASE, state.conditions, found, CheckTime(20, f"look {number}"))
            state = replace(state, conditions=kept)
        return active(state)

    assert after(delays(early=100, late=200)) == {("label_delay", None)}
    assert after(delays(early=200, late=100)) == set()
    assert after(delays(late=199)) == set()


def test_years_of_prompt_labels_do_not_hide_late_ones() -> None:
    marks, now = RecentDelays(), delays(early=1_000_000)
    marks = marks.moved(now, 1000).moved(now, 1000)
    now = delays(early=1_000_000, late=1000)
    marks = marks.moved(now, 1000)
    assert marks.since(now) == delays(late=1000)
