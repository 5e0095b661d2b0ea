"""The catalogue of alerts: condition, severity, delay and texts of each.

The Prometheus rules of the same names say the same: a test compares names, severities, times and runbook entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monitoring_service.state.conditions import BROKEN_DATA, Condition

Severity = Literal["page", "ticket"]

FOR_S = 60.0


@dataclass(frozen=True, slots=True)
class AlertKind:
    """One alert: ``conditions`` make it, each for itself, after they held for ``for_s``.

    ``summary`` and ``description`` are formats with the fields of :func:`texts`. ``is_share`` says that the value is a
    share, shown in percent. ``follows_checks``: without checks it says what was true when the last one was made.
    """

    name: str
    conditions: tuple[str, ...]
    severity: Severity
    summary: str
    description: str
    for_s: float = FOR_S
    is_share: bool = True
    follows_checks: bool = True

    @property
    def anchor(self) -> str:
        return self.name.lower()

    def runbook(self, base: str) -> str:
        return f"{base}#{self.anchor}"


CATALOGUE = (
    AlertKind(
        "FeatureDrift",
        ("drift",),
        "ticket",
        "{case}: {column} has drifted.",
        "{value} of its values moved away from the reference; drift is {threshold}, or a change that the stream shows. "
        "Drifted columns, worst first: {worst}.",
    ),
    AlertKind(
        "PredictionDrift",
        ("prediction_drift",),
        "ticket",
        "{case}: predictions have drifted.",
        "{value} of the predictions moved away from those on the reference; drift is {threshold}, or a change "
        "that the stream shows.",
    ),
    AlertKind(
        "TargetDrift",
        ("target_drift",),
        "ticket",
        "{case}: what is predicted has drifted.",
        "{value} of the labels moved away from those of the reference; {threshold} count as drift.",
    ),
    AlertKind(
        "ConceptDrift",
        ("concept_drift",),
        "page",
        "{case}: the model is worse than its own scores predict.",
        "Labels show predictions {value} worse than their scores promise; {threshold} is the limit.",
        is_share=False,
    ),
    AlertKind(
        "EstimatedLoss",
        ("estimated_loss",),
        "page",
        "{case}: predictions are probably worse than they were.",
        "Without labels they are estimated {value} worse than on the reference; {threshold} is the limit.",
        is_share=False,
    ),
    AlertKind(
        "RealisedLoss",
        ("realised_loss",),
        "page",
        "{case}: predictions are worse than they were.",
        "By their labels they are {value} worse than on the reference; {threshold} is the limit.",
        is_share=False,
    ),
    AlertKind(
        "BrokenData",
        BROKEN_DATA,
        "page",
        "{case}: {column} is broken: {condition}.",
        "In {value} of the records {column} is {condition}; {threshold} is the limit. "
        "Broken columns, worst first: {worst}.",
    ),
    AlertKind(
        "LabelDelay",
        ("label_delay",),
        "ticket",
        "{case}: labels come late.",
        "The median label came {value} s after its prediction; the case allows {threshold} s.",
        is_share=False,
    ),
    AlertKind(
        "ReferenceMissing",
        ("reference_missing",),
        "ticket",
        "{case}: there is nothing to compare with.",
        "The reference of the model in use is missing or broken, so drift is not judged.",
        follows_checks=False,
    ),
    AlertKind(
        "EvaluatorFailed",
        ("evaluator_failed",),
        "ticket",
        "{case}: the evaluator fails, or a window could not be measured.",
        "Evidently's scores and reports need the evaluator, verdicts don't. An unanswered check changes no verdict.",
        follows_checks=False,
    ),
    AlertKind(
        "DetectorsFailed",
        ("detectors_failed",),
        "ticket",
        "{case}: stream detectors don't work.",
        "Windows are judged without them, so a shift of few rows is found late or not at all.",
        follows_checks=False,
    ),
    AlertKind(
        "MonitorStale",
        ("stale",),
        "page",
        "{case}: monitoring has fallen behind.",
        "The check that is due next has waited for {value} s; {threshold} s is the limit. What is shown is old.",
        is_share=False,
        follows_checks=False,
    ),
    AlertKind(
        "StreamAway",
        ("stream_away",),
        "ticket",
        "{case}: monitoring can't read from Kafka.",
        "Reading fails. Nothing is lost while Kafka keeps its messages.",
        follows_checks=False,
    ),
)
BY_NAME = {kind.name: kind for kind in CATALOGUE}
BY_CONDITION = {condition: kind for kind in CATALOGUE for condition in kind.conditions}


@dataclass(frozen=True, slots=True)
class Texts:
    """Summary and description of an alert."""

    summary: str
    description: str


def texts(case: str, condition: Condition, beside: Sequence[Condition]) -> Texts:
    """Of one alert; ``beside`` are all conditions that make alerts of this name now, its own as well."""
    kind = BY_CONDITION[condition.name]
    fields = {
        "case": case,
        "column": condition.column or "",
        "condition": condition.name.replace("_", " "),
        "value": _formatted(condition.value, kind),
        "threshold": _formatted(condition.threshold, kind),
        "worst": ", ".join(f"{one.column} ({_formatted(one.value, kind)})" for one in worst_first(beside)),
    }
    return Texts(kind.summary.format_map(fields), kind.description.format_map(fields))


def badness(condition: Condition) -> float:
    """A value as a multiple of its limit, so that different limits can be compared."""
    if condition.value is None or not condition.threshold:
        return 0.0
    return condition.value / condition.threshold


def worst_first(conditions: Sequence[Condition]) -> list[Condition]:
    return sorted(conditions, key=lambda one: (-badness(one), one.column or "", one.name))


def _formatted(value: float | None, kind: AlertKind) -> str:
    if value is None:
        return "an unknown part" if kind.is_share else "an unknown amount"
    return f"{value:.1%}" if kind.is_share else f"{value:.3g}"
