"""The evaluator's thread: starts it, has windows scored and reports made. No check waits for any of that."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.process.backoff import Backoff
from monitoring_service.checks.report_schedule import ReportScheduler
from monitoring_service.checks.score_schedule import ScoreSchedule
from monitoring_service.evaluation.client import EvaluatorFailedError, EvaluatorPort
from monitoring_service.evaluation.evaluator_status import EvaluatorStatus
from monitoring_service.windows.sliding_window import Windows

log = structlog.get_logger()

EVERY_S = 0.5
#: Seconds of pause after a failure, doubled up to the second number: each start costs seconds of CPU.
BACKOFF_S = (2.0, 60.0)
_ENDS_WITHIN_S = 1.5


class EvaluatorWork:
    """What there is to do with the evaluator, a step at a time. Not thread-safe."""

    def __init__(
        self,
        evaluator: EvaluatorPort,
        scores: ScoreSchedule,
        reports: ReportScheduler,
        windows: Windows,
        status: EvaluatorStatus,
        count_failure: Callable[[], None],
    ) -> None:
        self._evaluator = evaluator
        self._scores = scores
        self._reports = reports
        self._windows = windows
        self._status = status
        self._count_failure = count_failure
        self._backoff = Backoff(*BACKOFF_S)

    def step(self) -> float:
        """Do what is due, and return for how many seconds nothing should be done; never raises what can be mended."""
        self._scores.forget_erased()
        self._reports.forget_erased()
        try:
            if self._has_work() and self._is_ready():
                self._ask()
        except EvaluatorFailedError as error:
            self._count_failure()
            self._status.has_failed(str(error))
            log.warning("evaluator_failed", reason=str(error), failures=self._backoff.failures + 1)
            return self._backoff.failed()
        return EVERY_S

    def _has_work(self) -> bool:
        """From the first check of this process on: until then an evaluator would cost seconds of CPU and do nothing."""
        if self._status.view().has_begun:
            return True
        if not (self._scores.has_window or self._reports.has_window):
            return False
        self._status.is_starting()
        return True

    def _is_ready(self) -> bool:
        is_ready = self._evaluator.ready()
        if is_ready:
            self._status.is_ready()
        else:
            self._status.is_starting()
        return is_ready

    def _ask(self) -> None:
        busy = self._windows.backlog_rows > 0
        has_begun_report = self._reports.step(busy=busy)
        if self._scores.step(busy=busy) or has_begun_report:
            self._status.has_answered()
            self._backoff.reset()

    def close(self) -> None:
        self._evaluator.close()


class EvaluatorThread:
    """Lives as long as the application does: the kernel ends the evaluator with the thread that started it."""

    def __init__(self, work: EvaluatorWork) -> None:
        self._work = work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evaluator", daemon=True)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stopping.wait(self._guarded_step())
        self._work.close()

    def _guarded_step(self) -> float:
        try:
            return self._work.step()
        except TryAgainLaterError as error:
            log.warning("reports_postponed", reason=str(error))
        except Exception:
            # The thread's border: scores and reports must outlive whatever goes wrong in one step.
            log.exception("reports_disturbed")
        return BACKOFF_S[0]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Whatever is being asked fails; the evaluator is gone afterwards."""
        self._stopping.set()
        self._work.close()
        self._thread.join(_ENDS_WITHIN_S)
