"""The JSON of ``/api/state`` and ``/api/history``, for the live page and other tools."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import asdict

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef, format_utc
from monitoring_service.references.acceptance import CurrentReference, reference_document
from monitoring_service.reports.folder import Report
from monitoring_service.views.column_document import column_states, episode_states, judged_state
from monitoring_service.views.performance_document import label_delay_state, performance_document
from monitoring_service.views.report_document import report_document
from monitoring_service.views.snapshot import Snapshot


def state_document(
    case: Case, snapshot: Snapshot, reports: Sequence[Report], reference: CurrentReference | None
) -> dict[str, Any]:
    """The whole state; ``reports`` oldest first.

    Rows count predictions in order of arrival since the inbox began.
    """
    state = snapshot.results.state
    check_result = state.check_result
    return {
        "case": case.name,
        "at": _time(snapshot.at),
        "totals": asdict(snapshot.totals),
        "waiting_labels": snapshot.waiting_labels,
        "sources": dict(snapshot.positions),
        "stream": _stream(snapshot),
        "records_per_s": round(snapshot.records_per_s, 1),
        "arrival_delay": asdict(snapshot.arrival_delay) if snapshot.arrival_delay else None,
        "window": {
            "rows": snapshot.window.rows,
            "oldest_at": snapshot.window.oldest_at,
            "newest_at": snapshot.window.newest_at,
        },
        "rejected_share": snapshot.rejections.share,
        "backlog_rows": snapshot.backlog_rows,
        "next_check_row": snapshot.next_check_row,
        "model": _model(snapshot.model),
        "evaluation": _check_result(snapshot),
        "waiting": dict(snapshot.waiting),
        "columns": column_states(case, snapshot),
        "episodes": episode_states(snapshot, "column"),
        "prediction_drift": judged_state(check_result.prediction) if check_result else None,
        "prediction_episodes": episode_states(snapshot, "prediction"),
        "prediction_mix": asdict(check_result.mix) if check_result else None,
        "quality": performance_document(check_result),
        "label_delay": label_delay_state(snapshot.label_delays),
        "conditions": [
            {
                "name": condition.name,
                "column": condition.column,
                "active": condition.active if snapshot.is_known(condition) else None,
                "since": condition.since,
                "value": condition.value,
                "threshold": condition.threshold,
            }
            for condition in snapshot.conditions
        ],
        "report": _report(snapshot),
        "alerts": snapshot.alerts,
        "reports": [report_document(report) for report in reversed(reports)],
        "reference": reference_document(reference) if reference else None,
    }


def history_document(case: Case, snapshot: Snapshot, arrivals: dict[int, int], *, after_row: int) -> dict[str, Any]:
    """Checks after a row, oldest first, and records received by second; lists in a check follow ``columns``."""
    points = [asdict(point) for point in snapshot.results.points if point.row > after_row]
    return {
        "at": snapshot.at,
        "columns": list(case.column_names),
        "checks": points,
        "arrivals": sorted(arrivals.items()),
    }


def _check_result(snapshot: Snapshot) -> dict[str, Any] | None:
    """The last check; ``state`` is ``ok``, ``no_reference``, or ``failed`` when it got no answer."""
    state = snapshot.results.state
    check_result, failure = state.check_result, state.failure
    if check_result is None and failure is None:
        return None
    fault = failure.reason if failure else check_result.reference_fault if check_result else None
    return {
        "at_row": state.checked_row,
        "at": check_result.at if check_result else None,
        "duration_s": check_result.duration_s if check_result else None,
        "rows": check_result.rows if check_result else 0,
        "state": "failed" if failure else "ok" if check_result and check_result.reference == "ok" else "no_reference",
        "fault": fault,
        "model": _model(check_result.model) if check_result else None,
        "bundle_sha256": check_result.bundle_sha256 if check_result else None,
    }


def _report(snapshot: Snapshot) -> dict[str, Any]:
    latest, reports = snapshot.report, snapshot.results.reports
    return {
        "latest": {"row": latest.row, "at": _time(latest.made_at), "url": "/reports/latest"} if latest else None,
        "running": reports.running,
        "failed": reports.failed,
    }


def _stream(snapshot: Snapshot) -> dict[str, Any] | None:
    """Status of reading from Kafka; ``None`` where events come over HTTP only. Unknown lags are left out."""
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
