"""The evaluator process: measures windows and makes reports; the only process that loads Evidently.

Started by :mod:`.check_result.client` as ``python -m monitoring_service.evaluation.process`` with one socket as both
stdin and stdout. It answers one request after the other and ends when its parent does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from event_backbone.process.lifetime import die_with_parent
from event_backbone.process.logs import set_up_logging
from monitoring_service.drift.univariate import measure_columns, measure_scores
from monitoring_service.evaluation.frames import decode_request, decode_start, frame, read_frame
from monitoring_service.messages import (
    Answer,
    AskReports,
    ColumnMeasure,
    Evaluate,
    Failed,
    MakeReport,
    MeasureMetrics,
    MeasurePerformance,
    MetricValues,
    Performance,
    PredictionMix,
    Ready,
    ReportState,
    Request,
    Start,
    Window,
    WindowMeasures,
)
from monitoring_service.performance.measuring import measure_performance, realised
from monitoring_service.references.store import References, WindowReference, columns_of
from monitoring_service.reports.evidently_page import heading_of, render_report
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.windows.columns import Floats, as_list, unpacked, unpacked_floats

log = structlog.get_logger()


def guarded(name: str, measure: Callable[[], ColumnMeasure]) -> ColumnMeasure:
    try:
        return measure()
    except Exception:
        # The border of each column's measurement: whatever a library raises for it must not cost the other columns.
        log.exception("column_not_measured", column=name)
        return ColumnMeasure(name, "invalid", "failed")


class ReportMaker:
    """Makes one report at a time in a forked process, so that evaluations go on and a failure harms nothing.

    The fork shares the libraries that are loaded already; starting another Python for each report would take seconds.
    """

    def __init__(self, case: Case, folder: ReportFolder, within_s: float) -> None:
        self._case = case
        self._folder = folder
        self._within_s = within_s
        self._process: multiprocessing.process.BaseProcess | None = None
        self._deadline = 0.0
        self._made = self._failed = 0

    def start(self, request: MakeReport, reference: WindowReference) -> None:
        """Does nothing while a report is being made."""
        if self.state().running:
            return
        fork = multiprocessing.get_context("fork")
        self._process = fork.Process(target=self._make, args=(os.getpid(), request, reference))
        self._deadline = time.monotonic() + self._within_s
        self._process.start()

    def state(self) -> ReportState:
        if self._process is not None:
            if self._process.is_alive() and time.monotonic() > self._deadline:
                self._process.kill()
                self._process.join()
            if not self._process.is_alive():
                self._made += self._process.exitcode == 0
                self._failed += self._process.exitcode != 0
                self._process = None
        return ReportState(self._process is not None, self._made, self._failed)

    def _make(self, parent_pid: int, request: MakeReport, reference: WindowReference) -> None:
        die_with_parent(parent_pid)
        os.nice(10)
        # An accepted window is known column by column only; how good the model was, its own rows say.
        compared = reference.rows if request.window.accepted_sha256 is None else columns_of(reference.profile)
        html = render_report(
            self._case, compared, reference.rows, columns_in(request.window), request.labelled, heading_of(request)
        )
        self._folder.add(request.window.row, request.kind, html)


class Evaluator:
    """Answers requests; its only state are the references it has read."""

    def __init__(self, case: Case, references: References, reports: ReportMaker) -> None:
        self._case = case
        self._references = references
        self._reports = reports

    def answer(self, request: Request) -> Answer:
        match request:
            case Evaluate():
                return self._evaluate(request)
            case MeasurePerformance():
                return self._performance(request)
            case MeasureMetrics():
                return MetricValues([realised(self._case, labelled) for labelled in request.windows])
            case MakeReport():
                return self._make_report(request)
            case AskReports():
                return self._reports.state()

    def _evaluate(self, request: Evaluate) -> WindowMeasures:
        window = request.window
        lookup = self._references.find(window.bundle_sha256, window.accepted_sha256)
        drift, profile = (lookup.reference.drift, lookup.reference.profile) if lookup.reference else (None, None)
        columns = {name: unpacked(column) for name, column in window.columns.items()}
        scores, with_scores = unpacked_floats(window.scores), request.with_scores
        mix = prediction_mix(self._case, unpacked_floats(window.predictions))
        return WindowMeasures(
            row=window.row,
            reference=lookup.state,
            reference_fault=lookup.fault,
            columns=measure_columns(self._case, drift, columns, with_scores=with_scores, guard=guarded),
            prediction=measure_scores(self._case, drift, scores, with_score=with_scores, guard=guarded),
            mix=PredictionMix(mix, profile_mix(self._case, profile.predictions) if profile else {}),
            reference_id=lookup.reference.id if lookup.reference else None,
        )

    def _performance(self, request: MeasurePerformance) -> Performance:
        lookup = self._references.find(request.bundle_sha256, request.accepted_sha256)
        return measure_performance(self._case, lookup.reference.profile if lookup.reference else None, request)

    def _make_report(self, request: MakeReport) -> ReportState | Failed:
        lookup = self._references.find(request.window.bundle_sha256, request.window.accepted_sha256)
        if lookup.reference is None:
            return Failed(lookup.fault or "no reference")
        self._reports.start(request, lookup.reference)
        return self._reports.state()


def columns_in(window: Window) -> dict[str, list[Any]]:
    """A list of values for each column that can be one."""
    columns = {name: unpacked(column) for name, column in window.columns.items()}
    return {name: as_list(values) for name, values in columns.items() if values.fault is None}


def prediction_mix(case: Case, predictions: Floats) -> dict[str, float]:
    """The share of each class, or mean and quartiles of the predicted value; empty when there is no prediction."""
    if not predictions.size:
        return {}
    mean = float(predictions.mean())
    if case.is_binary:
        return {str(case.target.positive): mean, str(case.target.negative): 1 - mean}
    low, middle, high = np.quantile(predictions, [0.25, 0.5, 0.75])
    return {"mean": mean, "p25": float(low), "p50": float(middle), "p75": float(high)}


def profile_mix(case: Case, predictions: NumberProfile | CategoryProfile) -> dict[str, float]:
    """The same of the reference."""
    if isinstance(predictions, NumberProfile):
        return prediction_mix(case, np.array(predictions.sorted_values))
    of_class = [predictions.counts.get(str(name), 0) for name in (case.target.negative, case.target.positive)]
    return prediction_mix(case, np.repeat([0.0, 1.0], of_class))


def _load_libraries() -> None:
    """Evidently's import takes seconds: load it before reporting ready."""
    import evidently.legacy.calculations.stattests
    import evidently.presets  # noqa: F401  the import itself is what is wanted


def _answer_or_failed(evaluator: Evaluator, request: Request) -> Answer:
    try:
        return evaluator.answer(request)
    except Exception as error:
        # The worker's border: one request that can't be answered must not cost the next one seconds of starting.
        log.exception("request_failed", request=type(request).__name__)
        return Failed(type(error).__name__)


def serve(read_exactly: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
    """Answer requests until the other side closes the socket."""
    start = decode_start(read_frame(read_exactly))
    die_with_parent(start.parent_pid)
    _load_libraries()
    evaluator = _build(start)
    write(frame(Ready(os.getpid())))
    while True:
        request = decode_request(read_frame(read_exactly))
        write(frame(_answer_or_failed(evaluator, request)))


def _build(start: Start) -> Evaluator:
    case = Case.model_validate_json(start.case)
    folder = ReportFolder(Path(start.reports_dir), kept=start.reports_kept, kept_s=start.reports_kept_s)
    references = References(case, Path(start.bundles_dir), Path(start.accepted_dir))
    return Evaluator(case, references, ReportMaker(case, folder, start.report_within_s))


def main() -> None:
    # Ctrl-C reaches the whole terminal group; when to end is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_up_logging("monitoring-evaluator", "INFO")
    socket_fd = os.dup(0)
    # What a library prints must not get between the frames.
    os.dup2(2, 1)

    def read_exactly(size: int) -> bytes:
        parts = []
        while size:
            part = os.read(socket_fd, min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def write(body: bytes) -> None:
        view = memoryview(body)
        while view:
            view = view[os.write(socket_fd, view) :]

    try:
        serve(read_exactly, write)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(0)


if __name__ == "__main__":
    main()
