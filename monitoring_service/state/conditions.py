"""Conditions: what people should know while it lasts; every kind of them is declared here.

Conditions that follow from checks begin when several checks in a row say so and end when as many say the opposite,
like the drift verdict; those that follow from labels when as many amounts of them do, whenever those came. They are
kept in the monitor state, so a restart changes none. The others are as they are now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from msgspec import Struct

from event_backbone.case.schema import Case, Column

ColumnCondition = Literal["drift", "missing", "unseen", "out_of_range", "rejected"]
PerformanceCondition = Literal["target_drift", "concept_drift", "estimated_loss", "realised_loss"]
PresentCondition = Literal["reference_missing", "evaluator_failed", "detectors_failed", "stale", "stream_away"]
CaseCondition = Literal["prediction_drift", PerformanceCondition, "label_delay", PresentCondition]

#: Those that say a column's data is broken.
BROKEN_DATA = ("missing", "unseen", "out_of_range", "rejected")
#: What a column of a window is called that has no values, or none of its kind: of these nothing else can be measured.
UNUSABLE = ("not_in_window", "not_text", "not_a_number")
#: Those that say something about predictions and labels.
PERFORMANCE_CONDITIONS: tuple[PerformanceCondition, ...] = get_args(PerformanceCondition)
#: Those that are looked up and follow from no check, so they are known before the first.
PRESENT_CONDITIONS: tuple[PresentCondition, ...] = get_args(PresentCondition)
CASE_CONDITIONS: tuple[CaseCondition, ...] = get_args(CaseCondition)


class Condition(Struct, frozen=True, omit_defaults=True):
    """``since`` is a time while the condition holds; ``column`` is ``None`` for what is about the whole case.

    ``value`` is what was measured last and ``threshold`` from where on it counts, ``None`` where there is no such
    value. ``against`` is how many checks in a row said the opposite of what the condition is. The ``name`` is no
    closed set here, because a state that another version kept may have names that this one does not know.
    """

    name: str
    column: str | None = None
    since: str | None = None
    value: float | None = None
    threshold: float | None = None
    against: int = 0

    @property
    def active(self) -> bool:
        return self.since is not None

    @property
    def key(self) -> tuple[str, str | None]:
        return self.name, self.column


def present_condition(
    name: PresentCondition, since: str | None, value: float | None = None, threshold: float | None = None
) -> Condition:
    """A condition that follows from no check, as it is now."""
    return Condition(name, None, since, value, threshold)


def kinds_of(column: Column) -> tuple[ColumnCondition, ...]:
    """The conditions that a column can have."""
    return ("drift", "missing", "unseen" if column.is_category else "out_of_range", "rejected")


def all_conditions(case: Case, kept: Iterable[Condition]) -> tuple[Condition, ...]:
    """Every condition of the case, column by column; those not in ``kept`` do not hold."""
    known = {condition.key: condition for condition in kept}
    keys = [(name, column.name) for column in case.columns for name in kinds_of(column)]
    return tuple(known.get(key) or Condition(*key) for key in [*keys, *((name, None) for name in CASE_CONDITIONS)])
