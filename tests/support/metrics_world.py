"""A snapshot in which everything is known, so that every series there can be is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef
from event_backbone.ports import Lag
from monitoring_service.drift.verdict import ColumnVerdict, VerdictState
from monitoring_service.inbox.totals import InboxTotals
from monitoring_service.intake.kafka_status import TOPIC_KINDS, StreamView
from monitoring_service.messages import (
    ColumnMeasure,
    MetricValue,
    Performance,
    PredictionMix,
    ReportState,
    SegmentPerformance,
)
from monitoring_service.references.acceptance import CurrentReference
from monitoring_service.reports.folder import Report
from monitoring_service.state.conditions import all_conditions
from monitoring_service.state.monitor_state import CheckResult, Failure, MonitorState
from monitoring_service.state.published import CheckResults
from monitoring_service.views.snapshot import Snapshot, WindowSpan
from monitoring_service.windows.label_delay import LabelDelays
from monitoring_service.windows.sliding_window import WindowRejections

AT = "2026-01-01T00:00:00.000000Z"
MODEL = ModelRef("streamgauge", "17")
REFERENCE = CurrentReference("bundle", "b" * 64, 5000)
METRICS = {
    "binary": ("accuracy", "precision", "recall", "f1", "auc", "log_loss", "calibration_error"),
    "regression": ("mae", "rmse", "r2"),
}


def full_snapshot(case: Case) -> Snapshot:
    return Snapshot(
        at=0.0,
        totals=InboxTotals(),
        unreadable={},
        stream=StreamView(
            {kind: Lag(1, 2.0) for kind in TOPIC_KINDS}, {}, 0, None, None, dict.fromkeys(TOPIC_KINDS, 0.5)
        ),
        waiting_labels=0,
        positions={},
        window=WindowSpan(1000, AT, AT),
        model=MODEL,
        rejections=WindowRejections(1000, 5, Counter()),
        backlog_rows=0,
        waiting_s=0.0,
        waiting={},
        next_check_row=1050,
        results=CheckResults(_state(case), [], [], ReportState(), 0),
        records_per_s=0.0,
        arrival_delay=None,
        report=Report(Path("report.html"), 1000, "drift", 1.0, 1),
        conditions=all_conditions(case, []),
        alerts=[],
        label_delays=LabelDelays(),
    )


def _state(case: Case) -> MonitorState:
    column_verdict = [_column_verdict(name) for name in (*case.column_names, "score")]
    shares = {"a": 0.5, "b": 0.5} if case.is_binary else dict.fromkeys(("mean", "p25", "p50", "p75"), 1.0)
    check_result = CheckResult(
        row=1000,
        at=AT,
        duration_s=0.01,
        rows=1000,
        oldest_at=AT,
        newest_at=AT,
        model=MODEL,
        bundle_sha256="b" * 64,
        reference="ok",
        reference_fault=None,
        columns=column_verdict[:-1],
        prediction=column_verdict[-1],
        mix=PredictionMix(shares, shares),
        performance=_performance(case),
    )
    return MonitorState(1000, check_result, Failure(1000, AT, "told to", AT))


def _column_verdict(name: str) -> ColumnVerdict:
    measure = ColumnMeasure(
        name, "ok", None, 0.1, "Wasserstein", 0.1, 0.5, 0.01, 0.0, out_of_range_share=0.0, reference_missing_share=0.0
    )
    return ColumnVerdict(measure, 0.05, 0.5, False, VerdictState())


def _performance(case: Case) -> Performance:
    metric_values = {name: MetricValue(0.8, 0.7, 0.9) for name in METRICS[case.task]}
    segments = [
        SegmentPerformance(column, value, 100, metric_values)
        for column in case.monitoring.segments
        for value in (*case.column(column).categories, "(other)")
    ]
    reference = dict.fromkeys(metric_values, 0.8)
    target = ColumnMeasure("target", "ok", effect=0.1, p_value=0.5)
    return Performance(1000, 900, 0.9, metric_values, metric_values, metric_values, reference, segments, target)
