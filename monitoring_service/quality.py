"""The quality of one model version: realised, expected, by segment, and whether the labels themselves moved."""

from __future__ import annotations

from collections import Counter

import numpy as np

from event_backbone.case import Case
from event_backbone.profile import CategoryProfile, NumberProfile, Profile
from monitoring_service.estimation import estimated_performance, performance_gap
from monitoring_service.messages import ColumnMeasure, Figure, Labelled, MeasureQuality, Quality, SegmentQuality
from monitoring_service.performance import Answers, Floats, answers_of, performance
from monitoring_service.two_sample import Comparison, compare_numbers, compare_shares


def measure_quality(case: Case, profile: Profile | None, request: MeasureQuality) -> Quality:
    """Without a profile nothing is estimated or compared."""
    answers = _answers_in(case, request.labelled)
    scores, predicted = np.frombuffer(request.scores), np.frombuffer(request.predictions)
    return Quality(
        rows=scores.size,
        labelled_rows=answers.actual.size,
        labelled_share=request.labelled_in_window / scores.size if scores.size else None,
        figures=performance(case, answers),
        estimated=estimated_performance(case, profile, scores, predicted) if profile else {},
        gap=performance_gap(case, profile, answers) if profile else {},
        reference=profile.performance if profile else {},
        segments=_segments(case, answers, request.labelled),
        target=target_drift(case, profile, answers.actual),
    )


def realised(case: Case, labelled: Labelled) -> dict[str, Figure]:
    return performance(case, _answers_in(case, labelled))


def _answers_in(case: Case, labelled: Labelled) -> Answers:
    return answers_of(case, labelled.scores, labelled.predictions, labelled.labels)


def _segments(case: Case, answers: Answers, labelled: Labelled) -> list[SegmentQuality]:
    """One for each value that any labelled row has; one with too few rows has no figures."""
    found = []
    for column, values in labelled.segments.items():
        known = np.array(values, dtype=object)
        for value, rows in sorted(Counter(value for value in values if value is not None).items()):
            figures = performance(case, answers.where(known == value))
            found.append(SegmentQuality(column, value, rows, figures))
    return found


def target_drift(case: Case, profile: Profile | None, labels: Floats) -> ColumnMeasure | None:
    """How the newest labels differ from those of the reference; ``None`` where those are not known."""
    if profile is None or profile.labels is None:
        return None
    if labels.size < case.monitoring.quality.minimum_labelled_rows:
        return ColumnMeasure(case.target.name, "insufficient", "too_few_rows")
    compared = _compare_labels(case, profile.labels, labels)
    return ColumnMeasure(case.target.name, "ok", effect=compared.effect, p_value=compared.p_value)


def _compare_labels(case: Case, known: NumberProfile | CategoryProfile, labels: Floats) -> Comparison:
    if isinstance(known, NumberProfile):
        return compare_numbers(np.array(known.rising), np.sort(labels))
    positive = known.counts.get(str(case.target.positive), 0)
    return compare_shares(positive, sum(known.counts.values()), int(labels.sum()), labels.size)
