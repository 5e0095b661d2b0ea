"""The JSON that the live page, the run check and other people's tools read: ``/api/state`` and ``/api/history``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import asdict

from event_backbone.case import Case, Column
from event_backbone.events import ModelRef, format_utc
from monitoring_service.messages import ColumnMeasure
from monitoring_service.snapshot import Snapshot
from monitoring_service.standing import Evaluation
from monitoring_service.verdict import Episode, Judged, Streak

#: Older ones are in the inbox.
EPISODES_SHOWN = 100


def state_document(case: Case, snapshot: Snapshot) -> dict[str, Any]:
    """Everything as it stands. Rows count predictions in order of arrival since the inbox began."""
    standing = snapshot.board.standing
    evaluation = standing.evaluation
    return {
        "case": case.name,
        "at": _time(snapshot.at),
        "totals": asdict(snapshot.totals),
        "waiting_labels": snapshot.waiting_labels,
        "sources": dict(snapshot.positions),
        "stream": _stream(snapshot),
        "records_per_s": round(snapshot.records_per_s, 1),
        "window": {
            "rows": snapshot.window.rows,
            "oldest_at": snapshot.window.oldest_at,
            "newest_at": snapshot.window.newest_at,
        },
        "rejected_share": snapshot.rejections.share,
        "backlog_rows": snapshot.backlog_rows,
        "next_check_row": snapshot.next_check_row,
        "model": _model(snapshot.model),
        "evaluation": _evaluation(snapshot),
        "columns": _columns(case, snapshot),
        "episodes": _episodes(snapshot, "column"),
        "prediction_drift": _judged(evaluation.prediction) if evaluation else None,
        "prediction_episodes": _episodes(snapshot, "prediction"),
        "prediction_mix": asdict(evaluation.mix) if evaluation else None,
        "quality": _quality(evaluation),
        "conditions": [
            {
                "name": condition.name,
                "column": condition.column,
                "active": condition.active,
                "since": condition.since,
                "value": condition.value,
                "threshold": condition.threshold,
            }
            for condition in snapshot.conditions
        ],
        "report": _report(snapshot),
    }


def history_document(case: Case, snapshot: Snapshot, arrivals: dict[int, int], *, after_row: int) -> dict[str, Any]:
    """Checks after a row, oldest first, and records received by second; lists in a check follow ``columns``."""
    points = [asdict(point) for point in snapshot.board.points if point.row > after_row]
    return {
        "at": snapshot.at,
        "columns": list(case.column_names),
        "checks": points,
        "arrivals": sorted(arrivals.items()),
    }


def _evaluation(snapshot: Snapshot) -> dict[str, Any] | None:
    """The last check; ``state`` is ``ok``, ``no_reference``, or ``failed`` when it got no answer."""
    standing = snapshot.board.standing
    evaluation, failure = standing.evaluation, standing.failure
    if evaluation is None and failure is None:
        return None
    fault = failure.reason if failure else evaluation.reference_fault if evaluation else None
    return {
        "at_row": standing.checked_row,
        "at": evaluation.at if evaluation else None,
        "duration_s": evaluation.duration_s if evaluation else None,
        "rows": evaluation.rows if evaluation else 0,
        "state": "failed" if failure else "ok" if evaluation and evaluation.reference == "ok" else "no_reference",
        "fault": fault,
        "model": _model(evaluation.model) if evaluation else None,
        "bundle_sha256": evaluation.bundle_sha256 if evaluation else None,
    }


def _columns(case: Case, snapshot: Snapshot) -> list[dict[str, Any]]:
    evaluation = snapshot.board.standing.evaluation
    by_name = {judged.measure.name: judged for judged in evaluation.columns} if evaluation else {}
    return [
        {
            **_described(column),
            **_judged(by_name.get(column.name) or _not_yet(case, column)),
            "rejected_share": snapshot.rejections.share_of(column.name),
        }
        for column in case.columns
    ]


def _described(column: Column) -> dict[str, Any]:
    return {"name": column.name, "title": column.title, "kind": column.kind, "feature": column.feature}


def _not_yet(case: Case, column: Column) -> Judged:
    """A column before its first check."""
    nothing = ColumnMeasure(column.name, "insufficient", "too_few_rows")
    return Judged(nothing, case.minimum_effect(column), None, None, Streak())


def _judged(judged: Judged) -> dict[str, Any]:
    measure, streak = judged.measure, judged.streak
    return {
        "state": measure.state,
        "reason": measure.reason,
        "score": measure.score,
        "method": measure.method,
        "effect": measure.effect,
        "minimum_effect": judged.minimum_effect,
        "p_value": judged.adjusted_p,
        "drifted": streak.drifted,
        "since_row": streak.confirmed_at_row,
        "suspected_at_row": streak.suspected_at_row,
        "missing_share": measure.missing_share,
        "unseen_share": measure.unseen_share,
    }


def _episodes(snapshot: Snapshot, family: str) -> list[dict[str, Any]]:
    shown = [episode for episode in snapshot.board.episodes if episode.family == family][-EPISODES_SHOWN:]
    return [_episode(episode) for episode in shown]


def _episode(episode: Episode) -> dict[str, Any]:
    return {
        "column": episode.name,
        "suspected_at_row": episode.suspected_at_row,
        "confirmed_at_row": episode.confirmed_at_row,
        "confirmed_at": episode.confirmed_at,
        "ended_at_row": episode.ended_at_row,
        "ended_at": episode.ended_at,
    }


def _quality(evaluation: Evaluation | None) -> dict[str, Any] | None:
    """Figures over the newest labelled rows of the model version in use; ``None`` before the first label."""
    if evaluation is None or not evaluation.quality.labelled_rows:
        return None
    figures = {name: figure.value for name, figure in evaluation.quality.figures.items()}
    return {**figures, "labelled_rows": evaluation.quality.labelled_rows, "model": _model(evaluation.model)}


def _report(snapshot: Snapshot) -> dict[str, Any]:
    latest, reports = snapshot.report, snapshot.board.reports
    return {
        "latest": {"row": latest.row, "at": _time(latest.made_at), "url": "/reports/latest"} if latest else None,
        "running": reports.running,
        "failed": reports.failed,
    }


def _stream(snapshot: Snapshot) -> dict[str, Any] | None:
    """How reading from Kafka goes; ``None`` where events come over HTTP only. Lags that are not known are not there."""
    stream = snapshot.stream
    if stream is None:
        return None
    return {
        "reachable": stream.away_since is None,
        "fault": stream.fault,
        "read_errors": stream.read_errors,
        "messages": dict(stream.messages),
        "unreadable": dict(snapshot.unreadable),
        "lags": {kind: {"records": lag.records, "seconds": round(lag.seconds, 3)} for kind, lag in stream.lags.items()},
    }


def _model(model: ModelRef | None) -> dict[str, str] | None:
    return {"name": model.name, "version": model.version} if model else None


def _time(seconds: float) -> str:
    return format_utc(datetime.fromtimestamp(seconds, UTC))
