"""What is known of the evaluator, for the threads that show it: starting since when, well, or failing and why."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from event_backbone.events.schema import time_text

#: One that is lost is replaced; from so many failures on without an answer between, people should know.
FAILURES_TOLD = 3


@dataclass(frozen=True, slots=True)
class EvaluatorView:
    """``starting_since`` is a time while it can't be asked; ``fault`` says why it failed last, until it answers.

    ``has_begun``: its start was asked for once, and since then there is always one.
    """

    has_begun: bool = False
    starting_since: str | None = None
    fault: str | None = None
    failed_since: str | None = None
    failures: int = 0
    failed_at_start: bool = False

    @property
    def condition_since(self) -> str | None:
        """Since when it fails, once that is worth telling."""
        return self.failed_since if self.failures >= FAILURES_TOLD else None

    @property
    def waiting_for(self) -> str | None:
        """What scores and reports wait for, as a sentence."""
        reason = f"; it failed since {self.failed_since}: {self.fault}" if self.fault else ""
        if self.starting_since is not None:
            return f"the evaluator is starting since {self.starting_since}{reason}"
        return f"the evaluator failed since {self.failed_since}: {self.fault}" if self.fault else None


class EvaluatorStatus:
    """Written by the evaluator's thread, read by any."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._view = EvaluatorView()

    def view(self) -> EvaluatorView:
        with self._lock:
            return self._view

    def is_starting(self) -> None:
        with self._lock:
            since = self._view.starting_since or time_text(self._clock())
            self._view = replace(self._view, has_begun=True, starting_since=since)

    def is_ready(self) -> None:
        """It can be asked: failed starts are over, failed requests only with an answer."""
        with self._lock:
            self._view = replace(self._view, has_begun=True, starting_since=None)
            if self._view.failed_at_start:
                self._forget_failures()

    def has_answered(self) -> None:
        with self._lock:
            self._forget_failures()

    def has_failed(self, reason: str) -> None:
        with self._lock:
            view = self._view
            self._view = replace(
                view,
                fault=reason,
                failed_since=view.failed_since or time_text(self._clock()),
                failures=view.failures + 1,
                failed_at_start=view.starting_since is not None,
            )

    def _forget_failures(self) -> None:
        self._view = replace(self._view, fault=None, failed_since=None, failures=0, failed_at_start=False)
