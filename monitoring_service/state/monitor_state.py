"""The state after the newest check: one immutable value, kept in the inbox and shown everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from event_backbone.case.schema import Case
from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.events.schema import ModelRef
from monitoring_service.drift.verdict import (
    CheckTime,
    ColumnVerdict,
    Episode,
    Rule,
    VerdictState,
    advance,
    episode_between,
    judge,
)
from monitoring_service.messages import (
    ColumnMeasure,
    ColumnScore,
    Performance,
    PredictionMix,
    ReferenceState,
    WindowMeasures,
    WindowScores,
)
from monitoring_service.state.conditions import Condition
from monitoring_service.state.rejection_runs import RejectionRun
from monitoring_service.windows.label_delay import RecentDelays


class CheckResult(Struct, frozen=True):
    """The newest check that was answered; ``performance`` is measured again as labels come.

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
    performance: Performance = msgspec.field(name="quality", default=Performance())
    reference_id: str | None = None


class Failure(Struct, frozen=True):
    """Failed checks: the last of them, and since when none succeeded."""

    row: int
    at: str
    reason: str
    since: str


class MonitorState(Struct, frozen=True):
    """``checked_row`` is the last check, answered or not; ``check_result`` the last answered one."""

    checked_row: int = 0
    check_result: CheckResult | None = msgspec.field(name="evaluation", default=None)
    failure: Failure | None = None
    reference_missing_since: str | None = None
    conditions: list[Condition] = []
    delays: RecentDelays = RecentDelays()
    rejection_run: RejectionRun = msgspec.field(name="refusals", default=RejectionRun())
    detectors_failed_since: str | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """A check's outcome: the new state and the episodes that began or ended."""

    state: MonitorState
    episodes: Sequence[Episode]


@dataclass(frozen=True, slots=True)
class WindowInfo:
    """Facts about the window that was evaluated, for the state."""

    rows: int
    oldest_at: str
    newest_at: str
    model: ModelRef
    bundle_sha256: str
    duration_s: float


def after_evaluation(
    case: Case,
    before: MonitorState,
    window_info: WindowInfo,
    window_measures: WindowMeasures,
    check_time: CheckTime,
    alarms: frozenset[str] | None = frozenset(),
) -> StateChange:
    """Judge what was measured; the same events give the same state however often the service was restarted.

    ``alarms`` names the columns, and ``score``, whose stream detector alarms; ``None`` says that detectors fail.
    """
    spoken = alarms or frozenset()
    last = _comparable(before, window_measures)
    check_result = CheckResult(
        row=check_time.row,
        at=check_time.at,
        duration_s=window_info.duration_s,
        rows=window_info.rows,
        oldest_at=window_info.oldest_at,
        newest_at=window_info.newest_at,
        model=window_info.model,
        bundle_sha256=window_info.bundle_sha256,
        reference=window_measures.reference,
        reference_fault=window_measures.reference_fault,
        columns=_column_verdicts(case, last, window_measures, check_time, spoken),
        prediction=_prediction_verdict(case, last, window_measures, window_info.model, check_time, spoken),
        mix=window_measures.mix,
        performance=_last_performance(before, window_info.model),
        reference_id=window_measures.reference_id or (last.reference_id if last else None),
    )
    missing_since = None if window_measures.reference == "ok" else before.reference_missing_since or check_time.at
    failed_since = None if alarms is not None else before.detectors_failed_since or check_time.at
    state = MonitorState(check_time.row, check_result, None, missing_since, detectors_failed_since=failed_since)
    return StateChange(state, _episodes(before, state, check_time))


def _comparable(before: MonitorState, window_measures: WindowMeasures) -> CheckResult | None:
    """The last check's result, unless it was against another reference: its verdicts say nothing here."""
    last = before.check_result
    if last is None or None in (last.reference_id, window_measures.reference_id):
        return last
    return last if last.reference_id == window_measures.reference_id else None


def _last_performance(before: MonitorState, model: ModelRef) -> Performance:
    """Performance is measured beside the checks; that of another version is not this one's."""
    last = before.check_result
    return last.performance if last is not None and last.model == model else Performance()


def _rule(case: Case) -> Rule:
    monitoring = case.monitoring
    return Rule(monitoring.significance, monitoring.consecutive_checks, monitoring.window_rows)


def _column_verdicts(
    case: Case, last: CheckResult | None, window_measures: WindowMeasures, check_time: CheckTime, alarms: frozenset[str]
) -> list[ColumnVerdict]:
    effects = {column.name: case.minimum_effect(column) for column in case.columns}
    measures = _with_last_scores(last.columns if last else [], window_measures.columns)
    return judge(
        measures, effects, _column_verdict_states(last), check_time, _rule(case), alarms, [window_measures.prediction]
    )


def _prediction_verdict(
    case: Case,
    last: CheckResult | None,
    window_measures: WindowMeasures,
    model: ModelRef,
    check_time: CheckTime,
    alarms: frozenset[str],
) -> ColumnVerdict:
    """Scores of two model versions are not one sample: the state of another version does not count."""
    last = last if last and last.model == model else None
    (measure,) = _with_last_scores([last.prediction] if last else [], [window_measures.prediction])
    verdict_states = {measure.name: last.prediction.verdict_state} if last else {}
    effects = {measure.name: case.monitoring.minimum_effect}
    (column_verdict,) = judge(
        [measure], effects, verdict_states, check_time, _rule(case), alarms, window_measures.columns
    )
    return column_verdict


def after_failure(case: Case, before: MonitorState, reason: str, check_time: CheckTime) -> StateChange:
    """No answer: verdicts stay as they are, runs of checks in a row are broken."""
    rule = _rule(case)
    failure = Failure(check_time.row, check_time.at, reason, before.failure.since if before.failure else check_time.at)
    check_result = before.check_result
    if check_result is not None:
        check_result = replace(
            check_result,
            columns=[_unjudged(column_verdict, check_time, rule) for column_verdict in check_result.columns],
            prediction=_unjudged(check_result.prediction, check_time, rule),
        )
    return StateChange(replace(before, checked_row=check_time.row, check_result=check_result, failure=failure), ())


def _with_last_scores(last: Sequence[ColumnVerdict], measures: Sequence[ColumnMeasure]) -> list[ColumnMeasure]:
    """Evidently's scores come later: until then a check shows the last ones; where nothing was measured, none."""
    known = {column_verdict.measure.name: column_verdict.measure for column_verdict in last}
    return [
        replace(measure, score=known[measure.name].score, method=known[measure.name].method)
        if measure.state == "ok" and measure.name in known
        else measure
        for measure in measures
    ]


def with_scores(before: MonitorState, scores: WindowScores, model: ModelRef, reference_id: str | None) -> MonitorState:
    """The newest check with Evidently's scores, unless they are about another reference; its verdicts stay.

    They may be of a window before it. Those of the predictions count for one model version only.
    """
    check_result = before.check_result
    if check_result is None or check_result.reference_id != reference_id:
        return before
    by_name = {score.name: score for score in scores.columns}
    columns = [_scored(verdict, by_name.get(verdict.measure.name)) for verdict in check_result.columns]
    of_model = scores.prediction if check_result.model == model else None
    prediction = _scored(check_result.prediction, of_model)
    return replace(before, check_result=replace(check_result, columns=columns, prediction=prediction))


def _scored(verdict: ColumnVerdict, score: ColumnScore | None) -> ColumnVerdict:
    if score is None or verdict.measure.state != "ok":
        return verdict
    return replace(verdict, measure=replace(verdict.measure, score=score.score, method=score.method))


def with_performance(before: MonitorState, performance: Performance) -> MonitorState:
    """The same check with the performance as it is known now: labels come late, and change what they belong to."""
    if before.check_result is None:
        return before
    return replace(before, check_result=replace(before.check_result, performance=performance))


def _unjudged(column_verdict: ColumnVerdict, check_time: CheckTime, rule: Rule) -> ColumnVerdict:
    return replace(
        column_verdict,
        suspicious=None,
        alarm=False,
        verdict_state=advance(column_verdict.verdict_state, None, False, check_time, rule),
    )


def _episodes(before: MonitorState, after: MonitorState, check_time: CheckTime) -> list[Episode]:
    old, new = _column_verdict_states(before.check_result), _column_verdict_states(after.check_result)
    # A column that left the case ends its episode with it.
    pairs = [("column", name, old.get(name, VerdictState()), new.get(name, VerdictState())) for name in {**old, **new}]
    pairs.append(("prediction", "score", _prediction_verdict_state(before), _prediction_verdict_state(after)))
    found = (episode_between(*step, check_time) for pair in pairs for step in _steps(*pair))
    return [episode for episode in found if episode is not None]


def _steps(
    family: str, name: str, old: VerdictState, new: VerdictState
) -> list[tuple[str, str, VerdictState, VerdictState]]:
    """One; or two, where another model or reference makes a verdict in the very check that ends the old one."""
    if old.drifted and new.drifted and new.confirmed_at_row != old.confirmed_at_row:
        return [(family, name, old, VerdictState()), (family, name, VerdictState(), new)]
    return [(family, name, old, new)]


def _column_verdict_states(check_result: CheckResult | None) -> Mapping[str, VerdictState]:
    return (
        {column_verdict.measure.name: column_verdict.verdict_state for column_verdict in check_result.columns}
        if check_result
        else {}
    )


def _prediction_verdict_state(state: MonitorState) -> VerdictState:
    return state.check_result.prediction.verdict_state if state.check_result else VerdictState()


encode_state = msgspec.json.Encoder().encode
decode_state: Callable[[bytes], MonitorState] = bounded_decoder(MonitorState)
