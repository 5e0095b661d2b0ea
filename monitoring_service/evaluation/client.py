"""The client of the evaluator process: starts it, sends requests with a time limit, replaces it when it dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec
import structlog

from event_backbone.errors import TryAgainLaterError
from monitoring_service.evaluation.frames import decode_answer, frame, read_frame
from monitoring_service.messages import (
    Answer,
    AskReports,
    Evaluate,
    Failed,
    MakeReport,
    MeasureMetrics,
    MeasurePerformance,
    MetricValues,
    Performance,
    ReportState,
    Request,
    Start,
    Window,
    WindowMeasures,
)
from monitoring_service.windows.columns import packed
from monitoring_service.windows.row_buffer import PredictionSource
from monitoring_service.windows.sliding_window import WindowView

log = structlog.get_logger()

SomeAnswer = TypeVar("SomeAnswer", WindowMeasures, Performance, MetricValues, ReportState)

#: Importing Evidently takes 6 s on an idle core; a loaded machine needs many times that.
START_WITHIN_S = 120.0
_SETTINGS = {
    # Evidently reports its use unless it is told not to.
    "DO_NOT_TRACK": "true",
    # One evaluation is too small to be worth threads, and reports are forked, which threads don't survive.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class EvaluatorFailedError(TryAgainLaterError):
    """The evaluator died, took too long or refused; the next request starts a new one where that is needed."""


class EvaluatorPort(Protocol):
    """Measures windows and performance, and makes reports.

    One caller at a time; every method blocks at most the adapter's time limit. Raises :class:`EvaluatorFailedError`
    when there is no answer; asking again is always safe.
    """

    def start(self) -> None:
        """Be ready for the first request, which would otherwise wait for this."""

    def evaluate(self, request: Evaluate) -> WindowMeasures: ...

    def measure_performance(self, request: MeasurePerformance) -> Performance: ...

    def measure_metrics(self, request: MeasureMetrics) -> MetricValues: ...

    def make_report(self, request: MakeReport) -> ReportState:
        """Have a report made in parallel to the evaluations that follow."""

    def reports(self) -> ReportState:
        """Progress of reports; while one is being made, call this from time to time, so that a stuck one is ended."""

    def close(self) -> None: ...


class _Child:
    """A running evaluator and the socket to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitoring_service.evaluation.process"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                env={**os.environ, **_SETTINGS},
            )
        self._socket = ours

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: bytes, within_s: float) -> bytes:
        """The body of the answer; raises :class:`OSError` (a time limit is one too) or :class:`EOFError`."""
        deadline = time.monotonic() + within_s
        self._wait_until(deadline)
        self._socket.sendall(request)

        def read_exactly(size: int) -> bytes:
            parts = []
            while size:
                self._wait_until(deadline)
                part = self._socket.recv(min(size, 1 << 20))
                if not part:
                    raise EOFError("the evaluator is gone")
                parts.append(part)
                size -= len(part)
            return b"".join(parts)

        return read_frame(read_exactly)

    def _wait_until(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the evaluator takes too long")
        self._socket.settimeout(left)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()


class EvaluatorProcess:
    """The evaluator in a process of its own, started at the first request.

    Whoever starts it must be a thread that lives on: the kernel ends the child with the thread that made it. Another
    thread may call :meth:`close`: what is being asked then fails.
    """

    def __init__(self, start: Start, *, within_s: float) -> None:
        self._start = start
        self._within_s = within_s
        self._child: _Child | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self) -> None:
        with _failures_translated(self.close):
            self._running()

    def evaluate(self, request: Evaluate) -> WindowMeasures:
        return self._answer(request, WindowMeasures)

    def measure_performance(self, request: MeasurePerformance) -> Performance:
        return self._answer(request, Performance)

    def measure_metrics(self, request: MeasureMetrics) -> MetricValues:
        return self._answer(request, MetricValues)

    def make_report(self, request: MakeReport) -> ReportState:
        return self._answer(request, ReportState)

    def reports(self) -> ReportState:
        return self._answer(AskReports(), ReportState)

    def _answer(self, request: Request, kind: type[SomeAnswer]) -> SomeAnswer:
        answer = self._ask(request)
        if not isinstance(answer, kind):
            raise EvaluatorFailedError(f"the evaluator answered another question: {type(answer).__name__}")
        return answer

    def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _running(self) -> _Child:
        if self._child is None:
            # Known before it is ready, so that a stop needs not wait for it.
            child = self._child = _Child()
            child.ask(frame(self._start), START_WITHIN_S)
            log.info("evaluator_started", evaluator_pid=child.pid)
            return child
        return self._child

    def _ask(self, request: Request) -> Answer:
        body = _framed(request)
        with _failures_translated(self.close):
            answer: Answer = decode_answer(self._running().ask(body, self._within_s))
        if isinstance(answer, Failed):
            raise EvaluatorFailedError(f"the evaluator could not answer: {answer.reason}")
        return answer


def _framed(request: Request) -> bytes:
    try:
        return frame(request)
    except (OverflowError, TypeError) as error:
        # A record may hold what JSON can say and MessagePack can't, such as a number of forty digits.
        raise EvaluatorFailedError(f"the window can't be sent: {error}") from None


@contextmanager
def _failures_translated(give_up: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        # Half a frame may be under way: only a new process is sure to answer what it is asked.
        give_up()
        raise EvaluatorFailedError(f"the evaluator failed: {error}") from None


def window_message(view: WindowView, source: PredictionSource, accepted_sha256: str | None = None) -> Window:
    """A window as the evaluator gets it: inputs of all rows, scores and predictions of one model version.

    ``accepted_sha256`` is the accepted reference to compare them with, if not the bundle's own.
    """
    rows = view.rows
    same_model = rows.of_model(source.model)
    return Window(
        row=view.row,
        rows=len(rows),
        bundle_sha256=source.bundle_sha256,
        columns={name: packed(values) for name, values in rows.columns.items()},
        scores=rows.scores[same_model].tobytes(),
        predictions=rows.predictions[same_model].tobytes(),
        accepted_sha256=accepted_sha256,
    )
