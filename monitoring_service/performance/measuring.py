"""The performance of one model version: realised, estimated, by segment, and drift of the labels themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile, Profile
from event_backbone.statistics.two_sample import TwoSampleResult, compare_numbers, compare_shares
from monitoring_service.messages import (
    ColumnMeasure,
    Labelled,
    MeasurePerformance,
    MetricValue,
    Performance,
    SegmentPerformance,
)
from monitoring_service.performance.degradation import primary_metric
from monitoring_service.performance.estimated import estimated_performance, performance_gap
from monitoring_service.performance.realised import Answers, Floats, answers_of, realised_performance


def measure_performance(case: Case, profile: Profile | None, request: MeasurePerformance) -> Performance:
    """Without a profile nothing is estimated or compared."""
    answers = _answers_in(case, request.labelled)
    scores, predicted = np.frombuffer(request.scores), np.frombuffer(request.predictions)
    stated = _stated(case, profile, answers, scores, predicted)
    return replace(
        stated,
        labelled_share=request.labelled_in_window / scores.size if scores.size else None,
        segments=_segments(case, answers, request.labelled),
        earlier=[_of_conditions(case, one) for one in _earlier(case, profile, request, scores, predicted)],
    )


def _stated(case: Case, profile: Profile | None, answers: Answers, scores: Floats, predicted: Floats) -> Performance:
    return Performance(
        rows=scores.size,
        labelled_rows=answers.actual.size,
        metric_values=realised_performance(case, answers),
        estimated=estimated_performance(case, profile, scores, predicted) if profile else {},
        gap=performance_gap(case, profile, answers) if profile else {},
        reference=profile.performance if profile else {},
        target=target_drift(case, profile, answers.actual),
        reference_rows=_known(profile.labels) if profile and profile.labels else 0,
    )


def _known(labels: NumberProfile | CategoryProfile) -> int:
    return labels.rows - labels.missing


def _earlier(
    case: Case, profile: Profile | None, request: MeasurePerformance, scores: Floats, predicted: Floats
) -> Iterator[Performance]:
    """The performance before the newest labels came, and before the newest rows.

    No rows from before the window are at hand for the estimates, so at most a quarter of it is left out each time.
    """
    schedule, all_known = case.monitoring, _answers_in(case, request.labelled, request.older)
    for checks in range(1, schedule.consecutive_checks):
        first = checks * schedule.check_every_rows
        known = all_known.where(slice(first, first + len(request.labelled.labels)))
        end = scores.size - checks * min(schedule.check_every_rows, scores.size // (schedule.consecutive_checks + 1))
        yield _stated(case, profile, known, scores[:end], predicted[:end])


def _of_conditions(case: Case, stated: Performance) -> Performance:
    """Only the metrics that conditions use."""

    def kept(metric_values: dict[str, MetricValue]) -> dict[str, MetricValue]:
        return {name: metric_value for name, metric_value in metric_values.items() if name == primary_metric(case)}

    return replace(stated, metric_values=kept(stated.metric_values), estimated=kept(stated.estimated))


def realised(case: Case, labelled: Labelled) -> dict[str, MetricValue]:
    return realised_performance(case, _answers_in(case, labelled))


def _answers_in(case: Case, newer: Labelled, older: Labelled = Labelled()) -> Answers:
    return answers_of(
        case, newer.scores + older.scores, newer.predictions + older.predictions, newer.labels + older.labels
    )


def _segments(case: Case, answers: Answers, labelled: Labelled) -> list[SegmentPerformance]:
    """One for each value that any labelled row has; one with too few rows has no metrics."""
    found = []
    for column, values in labelled.segments.items():
        known = np.array(values, dtype=object)
        for value, rows in sorted(Counter(value for value in values if value is not None).items()):
            metric_values = realised_performance(case, answers.where(known == value))
            found.append(SegmentPerformance(column, value, rows, metric_values))
    return found


def target_drift(case: Case, profile: Profile | None, labels: Floats) -> ColumnMeasure | None:
    """How the newest labels differ from those of the reference; ``None`` where those are not known."""
    if profile is None or profile.labels is None:
        return None
    if labels.size < case.monitoring.quality.minimum_labelled_rows:
        return ColumnMeasure(case.target.name, "insufficient", "too_few_rows")
    compared = _compare_labels(case, profile.labels, labels)
    return ColumnMeasure(case.target.name, "ok", effect=compared.effect, p_value=compared.p_value)


def _compare_labels(case: Case, known: NumberProfile | CategoryProfile, labels: Floats) -> TwoSampleResult:
    if isinstance(known, NumberProfile):
        return compare_numbers(np.array(known.sorted_values), np.sort(labels))
    positive = known.counts.get(str(case.target.positive), 0)
    return compare_shares(positive, sum(known.counts.values()), int(labels.sum()), labels.size)
