"""One event on its way in: decoded, committed, put into the windows, and shown to the stream detectors."""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from benchmarks.monitoring_evaluation import reference
from benchmarks.monitoring_stream import Stream
from event_backbone.settings import Settings
from monitoring_service.drift.detectors import StreamDetectors
from monitoring_service.inbox.store import Inbox
from monitoring_service.intake.arrivals import Arrivals
from monitoring_service.intake.receiver import Intake
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.views.metrics import MonitoringMetrics
from monitoring_service.windows.sliding_window import Windows


def ingestion_us(settings: Settings, stream: Stream, records: int, batch: int) -> tuple[float, float]:
    """CPU time of one record: of the intake alone, and with what the detectors do for it at its check."""
    case = stream.case
    detectors = StreamDetectors(case, reference(settings, stream).profile)
    bodies = list(itertools.islice(stream.bodies(batch), records // batch))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inbox, windows = Inbox(folder / "inbox.sqlite", case), Windows(case, rows_counted=0, checked_row=0)
        reports = ReportFolder(folder / "reports", kept=1, kept_s=1.0)
        metrics = MonitoringMetrics(case, CollectorRegistry(), stale_after_s=15)
        intake = Intake(
            case,
            inbox,
            windows,
            Arrivals({}, kept_s=300),
            reports,
            count_refused=metrics.count_refused,
            max_backlog_rows=10**9,
        )
        for body in itertools.islice(stream.bodies(batch), 10):
            # What is loaded and made once is not what a record costs.
            intake.take(body)
            _detect(windows, detectors, case.monitoring.check_every_rows)
        taking_s = detecting_s = 0.0
        for body in bodies:
            started = time.process_time()
            intake.take(body)
            taken = time.process_time()
            _detect(windows, detectors, case.monitoring.check_every_rows)
            taking_s, detecting_s = taking_s + taken - started, detecting_s + time.process_time() - taken
        inbox.close()
    return taking_s / records * 1e6, (taking_s + detecting_s) / records * 1e6


def _detect(windows: Windows, detectors: StreamDetectors, step: int) -> None:
    """What the check thread does with new rows beside measuring the window."""
    while (view := windows.wait_for_due(0)) is not None:
        new = windows.rows(view.row - step + 1, view.row)
        detectors.advance(view.row, new.columns, new.scores)
        windows.mark_checked(view.row)
