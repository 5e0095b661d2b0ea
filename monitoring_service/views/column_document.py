"""Columns in ``/api/state``: measures, verdicts and conditions of each."""

from __future__ import annotations

from typing import Any

from event_backbone.case.schema import Case, Column
from monitoring_service.drift.verdict import ColumnVerdict, Episode, VerdictState
from monitoring_service.messages import ColumnMeasure
from monitoring_service.views.snapshot import Snapshot

#: Older ones are in the inbox.
EPISODES_SHOWN = 100


def column_states(case: Case, snapshot: Snapshot) -> list[dict[str, Any]]:
    """One entry for each column of the case, in its order."""
    check_result = snapshot.results.state.check_result
    by_name = (
        {column_verdict.measure.name: column_verdict for column_verdict in check_result.columns} if check_result else {}
    )
    holding = [condition for condition in snapshot.conditions if condition.active]
    return [
        {
            **_described(column),
            **_of_column(case, column, by_name.get(column.name)),
            "rejected_share": snapshot.rejections.share_of(column.name),
            "conditions": [condition.name for condition in holding if condition.column == column.name],
        }
        for column in case.columns
    ]


def _of_column(case: Case, column: Column, column_verdict: ColumnVerdict | None) -> dict[str, Any]:
    """Before its first check nobody knows whether a column drifts."""
    if column_verdict is not None:
        return judged_state(column_verdict)
    return {**judged_state(_not_yet(case, column)), "drifted": None, "alarm": None}


def judged_state(column_verdict: ColumnVerdict) -> dict[str, Any]:
    """A column's, or the score's, last check and verdict; ``None`` is "not measured"."""
    measure, verdict_state = column_verdict.measure, column_verdict.verdict_state
    return {
        "state": measure.state,
        "reason": measure.reason,
        "score": measure.score,
        "method": measure.method,
        "effect": measure.effect,
        "minimum_effect": column_verdict.minimum_effect,
        "p_value": column_verdict.adjusted_p,
        "alarm": column_verdict.alarm,
        "drifted": verdict_state.drifted,
        "cause": verdict_state.cause,
        "since_row": verdict_state.confirmed_at_row,
        "suspected_at_row": verdict_state.suspected_at_row,
        "missing_share": measure.missing_share,
        "reference_missing_share": measure.reference_missing_share,
        "unseen_share": measure.unseen_share,
        "out_of_range_share": measure.out_of_range_share,
    }


def episode_states(snapshot: Snapshot, family: str) -> list[dict[str, Any]]:
    """The newest verdicts of a family, oldest first; open while ``ended_at_row`` is ``None``."""
    shown = [episode for episode in snapshot.results.episodes if episode.family == family][-EPISODES_SHOWN:]
    return [_episode(episode) for episode in shown]


def _described(column: Column) -> dict[str, Any]:
    return {"name": column.name, "title": column.title, "kind": column.kind, "feature": column.feature}


def _not_yet(case: Case, column: Column) -> ColumnVerdict:
    """A column before its first check."""
    nothing = ColumnMeasure(column.name, "insufficient", "too_few_rows")
    return ColumnVerdict(nothing, case.minimum_effect(column), None, None, VerdictState())


def _episode(episode: Episode) -> dict[str, Any]:
    return {
        "column": episode.name,
        "cause": episode.cause,
        "suspected_at_row": episode.suspected_at_row,
        "confirmed_at_row": episode.confirmed_at_row,
        "confirmed_at": episode.confirmed_at,
        "ended_at_row": episode.ended_at_row,
        "ended_at": episode.ended_at,
    }
