"""Conditions: what people should know while it lasts; every kind of them is declared here.

Conditions that follow from checks begin when several checks in a row say so and end when as many say the opposite,
like the drift verdict; those that follow from labels when as many amounts of them do, whenever those came. They are
kept in the monitor state, so a restart changes none. The others are as they are now.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from event_backbone.case.schema import Case, Column

if TYPE_CHECKING:
    pass

#: Those that say a column's data is broken.
BROKEN_DATA = ("missing", "unseen", "out_of_range", "rejected")
#: What a column of a window is called that has no values, or none of its kind: of these nothing else can be measured.
UNUSABLE = ("not_in_window", "not_text", "not_a_number")
#: Those that say something about predictions and labels.
PERFORMANCE_CONDITIONS = ("target_drift", "concept_drift", "estimated_loss", "realised_loss")
#: Those that are looked up and follow from no check.
PRESENT_CONDITIONS = ("reference_missing", "evaluator_failed", "detectors_failed", "stale", "stream_away")
CASE_CONDITIONS = ("prediction_drift", *PERFORMANCE_CONDITIONS, "label_delay", *PRESENT_CONDITIONS)


class Condition(Struct, frozen=True, omit_defaults=True):
    """``since`` is a time while the condition holds; ``column`` is ``None`` for what is about the whole case.

    ``value`` is what was measured last and ``threshold`` from where on it counts, ``None`` where there is no such
    value. ``against`` is how many checks in a row spoke against where the condition stands.
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


def kinds_of(column: Column) -> tuple[str, ...]:
    """The conditions that a column can have."""
    return ("drift", "missing", "unseen" if column.is_category else "out_of_range", "rejected")


def all_conditions(case: Case, kept: Iterable[Condition]) -> tuple[Condition, ...]:
    """Every condition of the case, column by column; those not in ``kept`` do not hold."""
    known = {condition.key: condition for condition in kept}
    keys = [(name, column.name) for column in case.columns for name in kinds_of(column)]
    return tuple(known.get(key) or Condition(*key) for key in [*keys, *((name, None) for name in CASE_CONDITIONS)])
