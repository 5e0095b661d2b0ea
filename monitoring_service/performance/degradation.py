"""Degradation: how much worse the primary metric is than on the reference, with its 95 % interval."""

from __future__ import annotations

import math

from event_backbone.case.schema import Case
from monitoring_service.messages import MetricValue, Performance
from monitoring_service.performance.realised import Z_95, wilson


def primary_metric(case: Case) -> str:
    """The metric that conditions go by."""
    return "accuracy" if case.is_binary else "mae"


def degradation(case: Case, performance: Performance, metric_values: dict[str, MetricValue]) -> MetricValue | None:
    """How much worse than on the reference: the drop of accuracy, or by what share the mean absolute error grew.

    The reference's metric is a sample's as well. Each of the two has an interval, and that of their difference (of
    logarithms, where it is a ratio) is put together from those by the method of variance estimates recovery: Zou and
    Donner 2008, Statist. Med. 27, 1693-1702; for shares it is Newcombe's method 10 (1998, Statist. Med. 17, 873-890).
    """
    metric_value, reference = metric_values.get(primary_metric(case)), _of_reference(case, performance)
    if metric_value is None or reference is None:
        return None
    if case.is_binary:
        return _less(reference, metric_value)
    if min(metric_value.value, reference.value) <= 0:
        return MetricValue(metric_value.value / reference.value - 1) if reference.value else None
    growth = _less(_logarithm(metric_value), _logarithm(reference))
    low, high = (None if end is None else math.exp(end) - 1 for end in (growth.low, growth.high))
    return MetricValue(math.exp(growth.value) - 1, low, high)


def _of_reference(case: Case, performance: Performance) -> MetricValue | None:
    """With its 95 % interval; exact where it is not known how many rows it is from."""
    known, rows = performance.reference, performance.reference_rows
    value = known.get(primary_metric(case))
    if value is None:
        return None
    if case.is_binary and rows:
        around = wilson(round(value * rows), rows)
        return MetricValue(value, around.low, around.high)
    variance = max(0.0, known.get("rmse", value) ** 2 - value**2)
    half = Z_95 * math.sqrt(variance / rows) if rows and not case.is_binary else 0.0
    return MetricValue(value, max(0.0, value - half), value + half)


def _less(left: MetricValue, right: MetricValue) -> MetricValue:
    """The difference of two independent metric values; without an interval where one of them has none."""
    value = left.value - right.value
    if left.low is None or left.high is None or right.low is None or right.high is None:
        return MetricValue(value)
    below = math.hypot(left.value - left.low, right.high - right.value)
    above = math.hypot(left.high - left.value, right.value - right.low)
    return MetricValue(value, value - below, value + above)


def _logarithm(metric_value: MetricValue) -> MetricValue:
    """Of a value above 0."""
    low, high = (
        None if end is None else math.log(end) if end > 0 else -math.inf
        for end in (metric_value.low, metric_value.high)
    )
    return MetricValue(math.log(metric_value.value), low, high)
