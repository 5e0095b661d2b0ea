"""The drift verdict of a column: one decision that gauge, page, alert and benchmark share.

A column is suspicious in a check when its family-wise adjusted p-value is below the case's significance and its effect
reaches the case's minimum. Several suspicious checks in a row make a verdict; so does the column's stream detector at
once. As many clean checks in a row end it, and after the detector last spoke none counts before the window holds only
rows that came later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

from event_backbone.statistics.column_drift import decide_family
from event_backbone.statistics.two_sample import TwoSampleResult
from monitoring_service.messages import ColumnMeasure

Cause = Literal["window", "stream"]


@dataclass(frozen=True, slots=True)
class Rule:
    """The drift rule, from the case file."""

    significance: float
    consecutive_checks: int
    window_rows: int


class VerdictState(msgspec.Struct, frozen=True):
    """The state of one column: a verdict or none, and the number of checks in a row against that.

    ``suspected_at_row`` is the first of the suspicious checks that made, or may make, the verdict; ``cause`` is what
    made it, and ``spoke_at_row`` the last check in which the stream detector alarmed while it stood.
    """

    drifted: bool = False
    against: int = 0
    suspected_at_row: int | None = None
    confirmed_at_row: int | None = None
    confirmed_at: str | None = None
    cause: Cause | None = None
    spoke_at_row: int | None = None


class Episode(msgspec.Struct, frozen=True):
    """The span of a verdict. ``family`` is ``column`` or ``prediction``; open while ``ended_at_row`` is ``None``."""

    family: str
    name: str
    suspected_at_row: int
    confirmed_at_row: int
    confirmed_at: str
    ended_at_row: int | None = None
    ended_at: str | None = None
    cause: Cause = "window"


class ColumnVerdict(msgspec.Struct, frozen=True):
    """One column after a check: its measures, their limits, and its verdict state.

    ``suspicious`` is what the window test of this check alone says, ``None`` when it couldn't judge. ``alarm`` is
    whether the stream detector alarms: it saw a change, and what came since is not like the reference.
    """

    measure: ColumnMeasure
    minimum_effect: float
    adjusted_p: float | None
    suspicious: bool | None
    verdict_state: VerdictState = msgspec.field(name="streak")
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class CheckTime:
    """Row counter and time of a check."""

    row: int
    at: str


def advance(
    verdict_state: VerdictState, suspicious: bool | None, alarm: bool, check_time: CheckTime, rule: Rule
) -> VerdictState:
    """Add one check. ``None`` is a check that couldn't judge: it breaks every run and changes no verdict."""
    if verdict_state.drifted:
        return _verdict_in_force(verdict_state, suspicious, alarm, check_time, rule)
    if not (suspicious or alarm):
        return VerdictState()
    suspected_at_row = check_time.row if verdict_state.suspected_at_row is None else verdict_state.suspected_at_row
    against = verdict_state.against + 1 if suspicious else 0
    if against == rule.consecutive_checks:
        return VerdictState(
            True, 0, suspected_at_row, check_time.row, check_time.at, "window", check_time.row if alarm else None
        )
    if alarm:
        return VerdictState(True, 0, suspected_at_row, check_time.row, check_time.at, "stream", check_time.row)
    return VerdictState(against=against, suspected_at_row=suspected_at_row)


def _verdict_in_force(
    verdict_state: VerdictState, suspicious: bool | None, alarm: bool, check_time: CheckTime, rule: Rule
) -> VerdictState:
    if alarm:
        return replace(verdict_state, against=0, spoke_at_row=check_time.row)
    spoke = verdict_state.spoke_at_row
    if suspicious is not False or (spoke is not None and check_time.row - spoke < rule.window_rows):
        return replace(verdict_state, against=0)
    return (
        VerdictState()
        if verdict_state.against + 1 == rule.consecutive_checks
        else replace(verdict_state, against=verdict_state.against + 1)
    )


def episode_between(
    family: str, name: str, before: VerdictState, after: VerdictState, check_time: CheckTime
) -> Episode | None:
    """The episode that begins or ends with this step, if one does."""
    verdict = after if after.drifted else before
    if before.drifted == after.drifted or verdict.confirmed_at_row is None or verdict.suspected_at_row is None:
        return None
    episode = Episode(
        family,
        name,
        verdict.suspected_at_row,
        verdict.confirmed_at_row,
        verdict.confirmed_at or "",
        cause=verdict.cause or "window",
    )
    return episode if after.drifted else replace(episode, ended_at_row=check_time.row, ended_at=check_time.at)


def judge(
    measures: Sequence[ColumnMeasure],
    minimum_effects: Mapping[str, float],
    verdict_states: Mapping[str, VerdictState],
    check_time: CheckTime,
    rule: Rule,
    alarms: Collection[str] = (),
    beside: Sequence[ColumnMeasure] = (),
) -> list[ColumnVerdict]:
    """One family of columns, judged together, corrected for their number.

    ``alarms`` names the columns whose stream detector alarms; ``beside`` are those that belong to the family as well.
    """
    compared = {measure.name: _comparison(measure) for measure in measures}
    others = [each.p_value for each in beside if each.p_value is not None]
    decisions = decide_family(compared, minimum_effects, rule.significance, others)
    column_verdict = []
    for measure in measures:
        decision, alarm = decisions[measure.name], measure.name in alarms
        verdict_state = advance(
            verdict_states.get(measure.name, VerdictState()), decision.drifted, alarm, check_time, rule
        )
        effect = minimum_effects[measure.name]
        column_verdict.append(
            ColumnVerdict(measure, effect, decision.adjusted_p, decision.drifted, verdict_state, alarm)
        )
    return column_verdict


def _comparison(measure: ColumnMeasure) -> TwoSampleResult | None:
    if measure.p_value is None or measure.effect is None:
        return None
    return TwoSampleResult(measure.p_value, measure.effect)
