"""Rules of the conditions: which begin, go on or end with a check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from event_backbone.case.schema import Case, Column
from monitoring_service.messages import MetricValue, Performance
from monitoring_service.performance.degradation import degradation, primary_metric
from monitoring_service.state.conditions import (
    PERFORMANCE_CONDITIONS,
    UNUSABLE,
    CaseCondition,
    ColumnCondition,
    Condition,
    PerformanceCondition,
)
from monitoring_service.windows.label_delay import LabelDelays

if TYPE_CHECKING:
    from monitoring_service.drift.verdict import CheckTime, ColumnVerdict
    from monitoring_service.state.monitor_state import CheckResult, MonitorState
    from monitoring_service.windows.sliding_window import WindowRejections


@dataclass(frozen=True, slots=True)
class ConditionReading:
    """One check's reading of a condition: ``holds`` is ``None`` when it could not judge."""

    name: ColumnCondition | CaseCondition
    column: str | None
    value: float | None
    threshold: float | None
    holds: bool | None


def conditions_after_check(
    case: Case, before: MonitorState, check_result: CheckResult, check_time: CheckTime
) -> list[Condition]:
    """Conditions after a check that was answered, from the rows of its window; ``before`` is the state before it.

    Performance belongs to one model version: what was known of another does not count.
    """
    known = before.conditions
    if before.check_result is not None and before.check_result.model != check_result.model:
        known = [condition for condition in known if condition.name not in PERFORMANCE_CONDITIONS]
    columns = {None, *(column.name for column in case.columns)}
    known = [*(condition for condition in known if condition.column in columns), *_verdicts(check_result)]
    return _advanced_all(known, _of_window(case, check_result), check_time, checks=case.monitoring.consecutive_checks)


def conditions_after_rejections(
    case: Case, known: Iterable[Condition], rejections: WindowRejections, check_time: CheckTime
) -> list[Condition]:
    """Conditions after one check's worth of rows, from the records that were rejected beside them."""
    return _advanced_all(known, _of_rejections(case, rejections), check_time, checks=case.monitoring.consecutive_checks)


def conditions_after_performance(
    case: Case, known: Iterable[Condition], performance: Performance, check_time: CheckTime
) -> list[Condition]:
    """Conditions after a measurement of performance. It knows by itself what lasts, so it doesn't matter how often,
    or how soon after each other, one measures."""
    return _advanced_all(known, _lasting(case, performance), check_time, checks=1)


def conditions_after_delays(
    case: Case, known: Iterable[Condition], delays: LabelDelays, check_time: CheckTime
) -> list[Condition]:
    """Conditions by the delays of the newest labels; many of them last by themselves."""
    return _advanced_all(known, [_label_delay(case, delays)], check_time, checks=1)


def conditions_unjudged(before: Iterable[Condition]) -> list[Condition]:
    """After a check that got no answer: runs of checks in a row are broken, nothing else changes."""
    return [replace(condition, against=0) for condition in before]


def _verdicts(check_result: CheckResult) -> Iterator[Condition]:
    """Drift has been through its checks in a row already."""
    for column_verdict in check_result.columns:
        yield _verdict("drift", column_verdict.measure.name, column_verdict)
    yield _verdict("prediction_drift", None, check_result.prediction)


def _verdict(
    name: Literal["drift", "prediction_drift"], column: str | None, column_verdict: ColumnVerdict
) -> Condition:
    return Condition(
        name,
        column,
        column_verdict.verdict_state.confirmed_at,
        column_verdict.measure.effect,
        column_verdict.minimum_effect,
    )


def _advanced_all(
    known: Iterable[Condition], readings: Iterable[ConditionReading], check_time: CheckTime, *, checks: int
) -> list[Condition]:
    """Conditions without a reading stay as they are; of two with one key, the later stands in the earlier's place."""
    by_key = {condition.key: condition for condition in known}
    for reading in readings:
        key = reading.name, reading.column
        by_key[key] = _advanced(by_key.get(key) or Condition(*key), reading, check_time, checks)
    return list(by_key.values())


def _advanced(condition: Condition, reading: ConditionReading, check_time: CheckTime, checks: int) -> Condition:
    """Add one check to what is known of a condition."""
    shown = replace(condition, value=reading.value, threshold=reading.threshold, against=0)
    if reading.holds is None or reading.holds == condition.active:
        return shown
    if condition.against + 1 < checks:
        return replace(shown, against=condition.against + 1)
    return replace(shown, since=check_time.at if reading.holds else None)


def _of_window(case: Case, check_result: CheckResult) -> Iterator[ConditionReading]:
    by_name = {column.name: column for column in case.columns}
    for column_verdict in check_result.columns:
        yield from _of_values(case, by_name[column_verdict.measure.name], column_verdict)


def _of_rejections(case: Case, rejections: WindowRejections) -> Iterator[ConditionReading]:
    for column in case.columns:
        yield _reaching("rejected", column.name, rejections.share_of(column.name), case.monitoring.data.rejected)


def _of_values(case: Case, column: Column, column_verdict: ColumnVerdict) -> Iterator[ConditionReading]:
    limits, measure = case.monitoring.data, column_verdict.measure
    usual, missing = measure.reference_missing_share, measure.missing_share
    missing_limit = (usual or 0.0) + limits.missing_increase
    if measure.state == "invalid" and measure.reason in UNUSABLE:
        yield ConditionReading("missing", column.name, None, missing_limit, True)
    else:
        holds = None if missing is None or usual is None else missing >= missing_limit
        yield ConditionReading("missing", column.name, missing, missing_limit, holds)
    if column.is_category:
        yield _reaching("unseen", column.name, measure.unseen_share, limits.unseen)
    else:
        yield _reaching("out_of_range", column.name, measure.out_of_range_share, limits.out_of_range)


def _reaching(name: ColumnCondition, column: str, value: float | None, threshold: float) -> ConditionReading:
    holds = None if value is None else value >= threshold
    return ConditionReading(name, column, value, threshold, holds)


def _lasting(case: Case, performance: Performance) -> Iterator[ConditionReading]:
    """Readings that hold now and held with fewer labels, as many times as checks in a row are asked for."""
    amounts = [performance, *performance.earlier]
    enough = len(amounts) >= case.monitoring.consecutive_checks
    for now, *before in zip(*(_of_performance(case, one) for one in amounts), strict=True):
        holds = now.holds if enough and all(one.holds == now.holds for one in before) else None
        yield ConditionReading(now.name, now.column, now.value, now.threshold, holds)


def _of_performance(case: Case, performance: Performance) -> Sequence[ConditionReading]:
    limits = case.monitoring.quality
    realised = performance.metric_values if performance.labelled_rows >= limits.minimum_labelled_rows else {}
    return (
        _target_drift(case, performance),
        _worse("concept_drift", performance.gap.get(primary_metric(case)), limits.gap),
        _worse("estimated_loss", degradation(case, performance, performance.estimated), limits.loss),
        _worse("realised_loss", degradation(case, performance, realised), limits.loss),
    )


def _label_delay(case: Case, delays: LabelDelays) -> ConditionReading:
    """A median of few labels says nothing, and one of many lasts by itself."""
    limits = case.monitoring.quality
    median_s = delays.quantile_s(0.5) if delays.count >= limits.minimum_labelled_rows else None
    holds = None if median_s is None else median_s > limits.label_delay_s
    return ConditionReading("label_delay", None, median_s, limits.label_delay_s, holds)


def _target_drift(case: Case, performance: Performance) -> ConditionReading:
    measure, least = performance.target, case.monitoring.minimum_effect
    if measure is None or measure.p_value is None or measure.effect is None:
        return ConditionReading("target_drift", None, None, least, None)
    holds = measure.p_value < case.monitoring.significance and measure.effect >= least
    return ConditionReading("target_drift", None, measure.effect, least, holds)


def _worse(name: PerformanceCondition, metric_value: MetricValue | None, limit: float) -> ConditionReading:
    """At least ``limit`` worse, and worse at all beyond what the 95 % interval leaves to chance."""
    if metric_value is None or metric_value.low is None:
        return ConditionReading(name, None, metric_value.value if metric_value else None, limit, None)
    return ConditionReading(name, None, metric_value.value, limit, metric_value.value >= limit and metric_value.low > 0)
