"""The promotion gate: compares challenger and champion on rows that neither was fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from event_backbone.case.schema import Case, PromotionLimits
from training.data.rows import Floats, LabelledRows
from training.fitting.evaluation import evaluate
from training.promotion.paired import (
    PairedDifference,
    auc,
    bootstrap_difference,
    mean_growth,
    miscalibration,
    r2,
)
from training.promotion.segments import segments_of


@dataclass(frozen=True)
class Contender:
    """A model's scores of the gate rows, shape (rows,), and the threshold it decides by."""

    scores: Floats
    threshold: float | None


@dataclass(frozen=True)
class SegmentGrowth:
    """How the mean error of one segment grows with the challenger, and the p of it not growing at all."""

    column: str
    value: str
    rows: int
    growth: float
    p: float


@dataclass(frozen=True)
class GateDecision:
    """The gate's decision: reasons as sentences, and every number that it went by."""

    promoted: bool
    reasons: Sequence[str]
    numbers: Mapping[str, float]
    segments: Sequence[SegmentGrowth] = ()

    @property
    def state(self) -> Literal["promoted", "refused"]:
        return "promoted" if self.promoted else "refused"

    def report(self) -> dict[str, Any]:
        """The decision as JSON has it."""
        return {"decision": self.state, "reasons": list(self.reasons), "numbers": dict(self.numbers)}


def gate_metric(case: Case) -> str:
    """The metric that a challenger has to be better by; more is better."""
    return "auc" if case.is_binary else "r2"


def decide(
    case: Case, challenger: Contender, champion: Contender | None, gate_rows: LabelledRows, *, seed: int
) -> GateDecision:
    """Compare both on the gate rows by the case file's limits; without a champion the challenger is promoted.

    It is refused unless its AUC or R2 is better by the margin for certain, and when its calibration error or the mean
    error of a segment grew by more than the limit and beyond chance.
    """
    targets, limits = gate_rows.targets(case), case.training.promotion
    numbers = {"gate_rows": float(len(gate_rows)), **_measured(case, targets, challenger, "challenger")}
    if champion is None:
        return GateDecision(True, ["there is no champion that could be compared with it"], numbers)
    measure, name = (auc if case.is_binary else r2), gate_metric(case)
    pair = (targets, challenger.scores, champion.scores)
    better = bootstrap_difference(measure, *pair, confidence=limits.confidence, seed=seed)
    # A regression's calibration error is a share of the targets' spread; a probability is one as it stands.
    unit = 1.0 if case.is_binary else max(float(targets.std()), np.finfo(np.float64).tiny)
    shares = tuple(values / unit for values in pair)
    miscalibrated = bootstrap_difference(miscalibration, *shares, confidence=limits.confidence, seed=seed)
    segments = _segments(case, gate_rows, *pair)
    numbers |= _measured(case, targets, champion, "champion")
    numbers |= {f"{name}_difference": better.value, f"{name}_difference_lower": better.lower, "margin": limits.margin}
    numbers |= {"calibration_growth": miscalibrated.value, "calibration_growth_lower": miscalibrated.lower}
    numbers |= {"worst_segment_growth": max((one.growth for one in segments), default=0.0)}
    refusals = [*_refusals(name, better, miscalibrated, limits), *_segment_refusals(segments, limits)]
    return GateDecision(not refusals, refusals or [_sentence(name, better, limits)], numbers, segments)


def _measured(case: Case, targets: Floats, contender: Contender, whose: str) -> dict[str, float]:
    measured = evaluate(case, targets, contender.scores, contender.threshold)
    return {f"{whose}_{name}": value for name, value in measured.items()}


def _sentence(name: str, better: PairedDifference, limits: PromotionLimits) -> str:
    return (
        f"{name} changes by {better.value:+.4f}, with {limits.confidence:.0%} confidence by more than "
        f"{better.lower:+.4f}; the margin is {limits.margin:g}"
    )


def _refusals(
    name: str, better: PairedDifference, miscalibrated: PairedDifference, limits: PromotionLimits
) -> Iterator[str]:
    # Written so that a difference that is no number refuses, too.
    if not better.lower > limits.margin:
        yield _sentence(name, better, limits)
    if not (miscalibrated.value <= limits.calibration or miscalibrated.lower <= 0):
        yield f"the calibration error grows by {miscalibrated.value:.4f}; allowed is {limits.calibration:g}"


def _segments(
    case: Case, rows: LabelledRows, targets: Floats, challenger: Floats, champion: Floats
) -> list[SegmentGrowth]:
    """The growth of every segment that has rows enough, the worst first."""
    ours, theirs = _errors(case, targets, challenger), _errors(case, targets, champion)
    found = []
    for column, value, places in segments_of(case, rows):
        unit = 1.0 if case.is_binary else max(float(theirs[places].mean()), np.finfo(np.float64).tiny)
        growth, p = mean_growth(ours[places] / unit, theirs[places] / unit)
        found.append(SegmentGrowth(column, value, len(places), growth, p))
    return sorted(found, key=lambda one: -one.growth)


def _errors(case: Case, targets: Floats, scores: Floats) -> Floats:
    """Each row's error, shape (rows,): its part of the Brier score, or the absolute error."""
    return (scores - targets) ** 2 if case.is_binary else np.abs(scores - targets)


def _segment_refusals(segments: Sequence[SegmentGrowth], limits: PromotionLimits) -> Iterator[str]:
    """Bonferroni over the segments: with many of them one would be refused by chance sooner or later."""
    for one in segments:
        if one.growth > limits.segment and one.p < (1 - limits.confidence) / len(segments):
            yield (
                f"the mean error where {one.column} is {one.value} ({one.rows:,} rows) grows by {one.growth:.4f}; "
                f"allowed is {limits.segment:g}"
            )
