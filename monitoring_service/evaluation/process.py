"""The evaluator process: computes Evidently's scores and makes its reports; the only process that loads Evidently.

Started by :mod:`.client` as ``python -m monitoring_service.evaluation.process`` with one socket as both
stdin and stdout. It answers one request after the other and ends when its parent does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from event_backbone.process.lifetime import die_with_parent
from event_backbone.process.logs import set_up_logging
from event_backbone.process.progress import ProgressLimit
from monitoring_service.drift.evidently_score import load_evidently, score_column
from monitoring_service.evaluation.frames import decode_request, decode_start, frame, read_frame
from monitoring_service.messages import (
    Answer,
    AskReports,
    ColumnScore,
    Failed,
    MakeReport,
    Ready,
    ReportState,
    Request,
    ScoreWindow,
    Start,
    Window,
    WindowScores,
)
from monitoring_service.references.store import References, WindowReference, columns_of
from monitoring_service.reports.evidently_page import heading_of, render_report
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.windows.columns import ColumnValues, NumberValues, as_list, unpacked, unpacked_floats

log = structlog.get_logger()


class ReportMaker:
    """Makes one report at a time in a forked process, so that scores go on and a failure harms nothing.

    ``within_s`` is of the report's own CPU time, or without any progress. The fork shares the libraries that are loaded
    already; starting another Python for each report would take seconds.
    """

    def __init__(self, case: Case, folder: ReportFolder, within_s: float) -> None:
        self._case = case
        self._folder = folder
        self._within_s = within_s
        self._process: multiprocessing.process.BaseProcess | None = None
        self._limit: ProgressLimit | None = None
        self._made = self._failed = 0

    def start(self, request: MakeReport, reference: WindowReference) -> None:
        """Does nothing while a report is being made."""
        if self.state().running:
            return
        fork = multiprocessing.get_context("fork")
        self._process = fork.Process(target=self._make, args=(os.getpid(), request, reference))
        self._process.start()
        self._limit = ProgressLimit(self._process.pid or 0, most_cpu_s=self._within_s, stalled_s=self._within_s)

    def state(self) -> ReportState:
        if self._process is not None:
            if self._process.is_alive() and self._limit is not None and (reason := self._limit.exceeded()):
                log.warning("report_given_up", reason=reason)
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
            case ScoreWindow():
                return self._scores(request)
            case MakeReport():
                return self._make_report(request)
            case AskReports():
                return self._reports.state()

    def _scores(self, request: ScoreWindow) -> WindowScores | Failed:
        window = request.window
        lookup = self._references.find(window.bundle_sha256, window.accepted_sha256)
        if lookup.reference is None:
            return Failed(lookup.fault or "no reference")
        profile = lookup.reference.profile
        scores = [scored(name, profile.columns.get(name), unpacked(window.columns[name])) for name in request.columns]
        values = NumberValues(unpacked_floats(window.scores))
        prediction = scored("score", profile.scores, values) if request.predictions else None
        return WindowScores(window.row, scores, prediction)

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


def scored(name: str, reference: NumberProfile | CategoryProfile | None, values: ColumnValues) -> ColumnScore:
    try:
        return score_column(name, reference, values)
    except Exception:
        # The border of each column's score: whatever a library raises for it must not cost the other columns theirs.
        log.exception("column_not_scored", column=name)
        return ColumnScore(name)


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
    load_evidently()
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
