"""The client of the evaluator process: starts it without waiting, asks it with a limit, replaces it when it dies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec
import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.process.progress import ProgressLimit
from monitoring_service.evaluation.frames import decode_answer, frame, read_frame
from monitoring_service.messages import (
    Answer,
    AskReports,
    Failed,
    MakeReport,
    ReportState,
    Request,
    ScoreWindow,
    Start,
    WindowScores,
)

log = structlog.get_logger()

SomeAnswer = TypeVar("SomeAnswer", WindowScores, ReportState)

#: Importing Evidently takes 3 to 20 s of CPU, which is hours of a core that others keep busy. Nothing waits for it, so
#: it is given up only when it does far too much, or nothing at all.
START_MOST_CPU_S = 300.0
START_STALLED_S = 900.0
_LOOK_EVERY_S = 1.0
#: The first answer is a few bytes: when its first byte is there, so is the rest.
_READY_WITHIN_S = 5.0
_SETTINGS = {
    # Evidently reports its use unless it is told not to.
    "DO_NOT_TRACK": "true",
    # One evaluation is too small to be worth threads, and reports are forked, which threads don't survive.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class EvaluatorFailedError(TryAgainLaterError):
    """The evaluator died, took too long or refused; the next request starts a new one where that is needed."""


class EvaluatorRefusedError(EvaluatorFailedError):
    """The evaluator is well, but this request can't be answered."""


class EvaluatorPort(Protocol):
    """Computes Evidently's scores and makes its reports. One caller at a time.

    What asks blocks at most until the adapter's limit, and raises :class:`EvaluatorFailedError` when there is no
    answer; asking again is always safe.
    """

    def ready(self) -> bool:
        """Whether it can be asked; starts it where there is none, and never waits for that.

        Raises :class:`EvaluatorFailedError` once for each start that came to nothing.
        """
        ...

    def score(self, request: ScoreWindow) -> WindowScores: ...

    def make_report(self, request: MakeReport) -> ReportState:
        """Have a report made in parallel to the scores that follow."""
        ...

    def reports(self) -> ReportState:
        """Progress of reports; while one is being made, call this from time to time, so that a stuck one is ended."""
        ...

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
        self._starting = ProgressLimit(self.pid, most_cpu_s=START_MOST_CPU_S, stalled_s=START_STALLED_S)

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, start: bytes) -> None:
        """Say what it is to do; raises as :meth:`ask`."""
        self._send(start, self._starting)

    def has_begun(self) -> bool:
        """Whether its first answer is there; raises as :meth:`ask`."""
        if self._has_something():
            self._read(ProgressLimit(self.pid, most_cpu_s=_READY_WITHIN_S, stalled_s=_READY_WITHIN_S))
            return True
        if reason := self._starting.exceeded():
            raise TimeoutError(f"its start was given up: {reason}")
        return False

    def _has_something(self) -> bool:
        """Bytes to read, or the other side's end."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True

    def ask(self, request: bytes, within_s: float) -> bytes:
        """The body of the answer; raises :class:`OSError` (a time limit is one too) or :class:`EOFError`.

        ``within_s`` is of its CPU time, or without any progress.
        """
        limit = ProgressLimit(self.pid, most_cpu_s=within_s, stalled_s=within_s)
        self._send(request, limit)
        return self._read(limit)

    def _send(self, body: bytes, limit: ProgressLimit) -> None:
        self._socket.settimeout(_LOOK_EVERY_S)
        left = memoryview(body)
        while left:
            with _patience(limit):
                left = left[self._socket.send(left) :]

    def _read(self, limit: ProgressLimit) -> bytes:
        self._socket.settimeout(_LOOK_EVERY_S)

        def read_exactly(size: int) -> bytes:
            parts = []
            while size:
                part = self._received(min(size, 1 << 20), limit)
                parts.append(part)
                size -= len(part)
            return b"".join(parts)

        return read_frame(read_exactly)

    def _received(self, most: int, limit: ProgressLimit) -> bytes:
        part = None
        while part is None:
            with _patience(limit):
                part = self._socket.recv(most)
        if not part:
            raise EOFError("the evaluator is gone")
        return part

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()


@contextmanager
def _patience(limit: ProgressLimit) -> Iterator[None]:
    """Goes on when one look was in vain, until the limit is exceeded."""
    try:
        yield
    except TimeoutError:
        if reason := limit.exceeded():
            raise TimeoutError(f"no answer: {reason}") from None


class EvaluatorProcess:
    """The evaluator in a process of its own.

    Whoever starts it must be a thread that lives on: the kernel ends the child with the thread that made it. Another
    thread may call :meth:`close`: what is being asked then fails.
    """

    def __init__(self, start: Start, *, within_s: float) -> None:
        self._start = start
        self._within_s = within_s
        self._child: _Child | None = None
        self._has_begun = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def ready(self) -> bool:
        with _failures_translated(self.close):
            child = self._child
            if child is None:
                self._has_begun = False
                child = self._child = _Child()
                child.begin(frame(self._start))
            if not self._has_begun and child.has_begun():
                self._has_begun = True
                log.info("evaluator_started", evaluator_pid=child.pid)
        return self._has_begun

    def score(self, request: ScoreWindow) -> WindowScores:
        return self._answer(request, WindowScores)

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

    def _ask(self, request: Request) -> Answer:
        body = _framed(request)
        child = self._child
        if child is None or not self._has_begun:
            raise EvaluatorFailedError("the evaluator is not there yet")
        with _failures_translated(self.close):
            answer: Answer = decode_answer(child.ask(body, self._within_s))
        if isinstance(answer, Failed):
            raise EvaluatorRefusedError(f"the evaluator could not answer: {answer.reason}")
        return answer


def _framed(request: Request) -> bytes:
    try:
        return frame(request)
    except (OverflowError, TypeError) as error:
        # A record may hold what JSON can say and MessagePack can't, such as a number of forty digits.
        raise EvaluatorRefusedError(f"the window can't be sent: {error}") from None


@contextmanager
def _failures_translated(give_up: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        # Half a frame may be under way: only a new process is sure to answer what it is asked.
        give_up()
        raise EvaluatorFailedError(f"the evaluator failed: {error}") from None
