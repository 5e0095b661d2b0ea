"""Where the case stands after its newest check: one immutable value, kept in the inbox and shown everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef
from monitoring_service.drift.verdict import Episode, ColumnVerdict, CheckTime, Rule, VerdictState, advance, episode_between, judge
from monitoring_service.messages import ColumnMeasure, WindowMeasures, PredictionMix, Quality, ReferenceState
from monitoring_service.state.conditions import Condition
from monitoring_service.state.rejection_runs import RejectionRun
from monitoring_service.windows.label_delay import RecentDelays


class CheckResult(Struct, frozen=True):
    """The newest check that was answered; ``quality`` is restated as labels come.

    ``reference_id`` says what the columns were compared with last.
    """

    row: int
    at: str
    duration_s: float
    rows: int
    oldest_at: str
    newest_at: str
    model: ModelRef
    bundle_sha256: str
    reference: ReferenceState
    reference_fault: str | None
    columns: list[ColumnVerdict]
    prediction: ColumnVerdict
    mix: PredictionMix
    quality: Quality = Quality()
    reference_id: str | None = None


class Failure(Struct, frozen=True):
    """Checks that got no answer: the last of them, and since when there has been none."""

    row: int
    at: str
    reason: str
    since: str


class MonitorState(Struct, frozen=True):
    """``checked_row`` is the last check, answered or not; ``evaluation`` the last answered one."""

    checked_row: int = 0
    evaluation: CheckResult | None = None
    failure: Failure | None = None
    reference_missing_since: str | None = None
    conditions: list[Condition] = []
    delays: RecentDelays = RecentDelays()
    refusals: RejectionRun = RejectionRun()
    detectors_failed_since: str | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """A check's result: the new standing and the episodes that began or ended."""

    standing: MonitorState
    episodes: Sequence[Episode]


@dataclass(frozen=True, slots=True)
class WindowInfo:
    """The window that was evaluated, in what the standing says about it."""

    rows: int
    oldest_at: str
    newest_at: str
    model: ModelRef
    bundle_sha256: str
    duration_s: float


def after_evaluation(
    case: Case,
    before: MonitorState,
    examined: WindowInfo,
    evaluated: WindowMeasures,
    moment: CheckTime,
    alarms: frozenset[str] | None = frozenset(),
) -> StateChange:
    """Judge what was measured; the same events give the same standing however often the service was restarted.

    ``alarms`` names the columns, and ``score``, whose stream detector speaks; ``None`` says that detectors fail.
    """
    spoken = alarms or frozenset()
    last = _comparable(before, evaluated)
    evaluation = CheckResult(
        row=moment.row,
        at=moment.at,
        duration_s=examined.duration_s,
        rows=examined.rows,
        oldest_at=examined.oldest_at,
        newest_at=examined.newest_at,
        model=examined.model,
        bundle_sha256=examined.bundle_sha256,
        reference=evaluated.reference,
        reference_fault=evaluated.reference_fault,
        columns=_judged_columns(case, last, evaluated, moment, spoken),
        prediction=_judged_prediction(case, last, evaluated, examined.model, moment, spoken),
        mix=evaluated.mix,
        quality=_last_quality(before, examined.model),
        reference_id=evaluated.reference_id or (last.reference_id if last else None),
    )
    missing_since = None if evaluated.reference == "ok" else before.reference_missing_since or moment.at
    failed_since = None if alarms is not None else before.detectors_failed_since or moment.at
    standing = MonitorState(moment.row, evaluation, None, missing_since, detectors_failed_since=failed_since)
    return StateChange(standing, _episodes(before, standing, moment))


def _comparable(before: MonitorState, evaluated: WindowMeasures) -> CheckResult | None:
    """The last evaluation, unless it was against another reference: what was found there says nothing here."""
    last = before.evaluation
    if last is None or None in (last.reference_id, evaluated.reference_id):
        return last
    return last if last.reference_id == evaluated.reference_id else None


def _last_quality(before: MonitorState, model: ModelRef) -> Quality:
    """Quality is measured beside the checks; that of another version is not this one's."""
    last = before.evaluation
    return last.quality if last is not None and last.model == model else Quality()


def _rule(case: Case) -> Rule:
    monitoring = case.monitoring
    return Rule(monitoring.significance, monitoring.consecutive_checks, monitoring.window_rows)


def _judged_columns(
    case: Case, last: CheckResult | None, evaluated: WindowMeasures, moment: CheckTime, alarms: frozenset[str]
) -> list[ColumnVerdict]:
    effects = {column.name: case.minimum_effect(column) for column in case.columns}
    measures = _with_last_scores(last.columns if last else [], evaluated.columns)
    return judge(measures, effects, _column_streaks(last), moment, _rule(case), alarms, [evaluated.prediction])


def _judged_prediction(
    case: Case, last: CheckResult | None, evaluated: WindowMeasures, model: ModelRef, moment: CheckTime, alarms: frozenset[str]
) -> ColumnVerdict:
    """Scores of two model versions are not one sample: what was known of another version does not count."""
    last = last if last and last.model == model else None
    (measure,) = _with_last_scores([last.prediction] if last else [], [evaluated.prediction])
    streaks = {measure.name: last.prediction.streak} if last else {}
    effects = {measure.name: case.monitoring.minimum_effect}
    (judged,) = judge([measure], effects, streaks, moment, _rule(case), alarms, evaluated.columns)
    return judged


def after_failure(case: Case, before: MonitorState, reason: str, moment: CheckTime) -> StateChange:
    """No answer: verdicts stay as they are, runs of checks in a row are broken."""
    rule = _rule(case)
    failure = Failure(moment.row, moment.at, reason, before.failure.since if before.failure else moment.at)
    evaluation = before.evaluation
    if evaluation is not None:
        evaluation = replace(
            evaluation,
            columns=[_unjudged(judged, moment, rule) for judged in evaluation.columns],
            prediction=_unjudged(evaluation.prediction, moment, rule),
        )
    return StateChange(replace(before, checked_row=moment.row, evaluation=evaluation, failure=failure), ())


def _with_last_scores(last: Sequence[ColumnVerdict], measures: Sequence[ColumnMeasure]) -> list[ColumnMeasure]:
    """A check that was made without Evidently's scores shows the last ones; where nothing was measured, none."""
    known = {judged.measure.name: judged.measure for judged in last}
    return [
        replace(measure, score=known[measure.name].score, method=known[measure.name].method)
        if measure.state == "ok" and measure.score is None and measure.name in known
        else measure
        for measure in measures
    ]


def with_quality(before: MonitorState, quality: Quality) -> MonitorState:
    """The same check with the quality as it is known now: labels come late, and restate what they belong to."""
    if before.evaluation is None:
        return before
    return replace(before, evaluation=replace(before.evaluation, quality=quality))


def _unjudged(judged: ColumnVerdict, moment: CheckTime, rule: Rule) -> ColumnVerdict:
    return replace(judged, suspicious=None, alarm=False, streak=advance(judged.streak, None, False, moment, rule))


def _episodes(before: MonitorState, after: MonitorState, moment: CheckTime) -> list[Episode]:
    old, new = _column_streaks(before.evaluation), _column_streaks(after.evaluation)
    # A column that left the case ends its episode with it.
    pairs = [("column", name, old.get(name, VerdictState()), new.get(name, VerdictState())) for name in {**old, **new}]
    pairs.append(("prediction", "score", _prediction_streak(before), _prediction_streak(after)))
    found = (episode_between(*step, moment) for pair in pairs for step in _steps(*pair))
    return [episode for episode in found if episode is not None]


def _steps(family: str, name: str, old: VerdictState, new: VerdictState) -> list[tuple[str, str, VerdictState, VerdictState]]:
    """One; or two, where another model or reference makes a verdict in the very check that ends the old one."""
    if old.drifted and new.drifted and new.confirmed_at_row != old.confirmed_at_row:
        return [(family, name, old, VerdictState()), (family, name, VerdictState(), new)]
    return [(family, name, old, new)]


def _column_streaks(evaluation: CheckResult | None) -> Mapping[str, VerdictState]:
    return {judged.measure.name: judged.streak for judged in evaluation.columns} if evaluation else {}


def _prediction_streak(standing: MonitorState) -> VerdictState:
    return standing.evaluation.prediction.streak if standing.evaluation else VerdictState()


encode_state = msgspec.json.Encoder().encode
decode_state = msgspec.json.Decoder(MonitorState).decode
