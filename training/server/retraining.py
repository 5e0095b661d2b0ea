"""The run scheduler: begins or refuses retrainings, follows them, and keeps their history."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from training.server.messages import RunResult
from training.server.runs import (
    RetrainingRequest,
    RetrainingRun,
    RunHistory,
    RunRefusal,
    at_stage,
    finish,
    interrupted,
    refresh,
    refusal,
    start,
)

log = structlog.get_logger()

_ENDS_WITHIN_S = 6.0


class RunStore(Protocol):
    """The port for keeping the run history; durable over a restart."""

    def read(self) -> RunHistory: ...

    def keep(self, history: RunHistory) -> None: ...

    def close(self) -> None: ...


class Started(Protocol):
    """A running run."""

    def follow(self, at_stage: Callable[[str], None]) -> RunResult:
        """Block until it has ended."""
        ...

    def stop(self) -> None: ...


#: Begins the work of a run.
Launch = Callable[[RetrainingRun], Started]


class RunScheduler:
    """Begins runs, one at a time, and keeps their history. Thread-safe; a change is stored before it is visible."""

    def __init__(
        self,
        store: RunStore,
        launch: Launch,
        *,
        cooldown_s: float,
        count: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._launch = launch
        self._cooldown_s = cooldown_s
        self._count = count
        self._clock = clock
        self._lock = threading.Lock()
        self._started: Started | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._history = interrupted(store.read(), clock())
        store.keep(self._history)

    def ask(self, wanted: RetrainingRequest) -> RetrainingRun | RunRefusal:
        """Begin a run, or return why not."""
        with self._lock:
            refused = refusal(self._history, wanted, self._clock(), self._cooldown_s)
            if refused is not None:
                if refused.reason == "episode":
                    self._change(refresh(self._history, wanted, self._clock(), self._cooldown_s))
                return refused
            id_ = secrets.token_hex(8)
            self._change(start(self._history, id_, wanted, self._clock()))
            run = self._history.runs[-1]
            self._thread = threading.Thread(target=self._follow, args=(run,), name="run", daemon=True)
            self._thread.start()
        log.info("retraining_begun", run=run.id, episode=run.episode)
        return run

    def run(self, id_: str) -> RetrainingRun | None:
        return next((run for run in self._history.runs if run.id == id_), None)

    def newest(self, count: int) -> list[RetrainingRun]:
        """The newest runs, newest first."""
        return self._history.runs[: -count - 1 : -1]

    def refusal_now(self) -> RunRefusal | None:
        """The refusal of a request made now, for no episode."""
        return refusal(self._history, RetrainingRequest(""), self._clock(), self._cooldown_s)

    def _follow(self, run: RetrainingRun) -> None:
        try:
            with self._lock:
                if self._stopping:
                    return
                self._started = self._launch(run)
            result = self._started.follow(lambda text: self._at_stage(run.id, text))
        except Exception as error:
            # The thread's border: a run that can't even begin must not look as if it went on for ever.
            log.exception("retraining_disturbed", run=run.id)
            result = RunResult("failed", {"reasons": [f"it could not be run: {type(error).__name__}"]})
        with self._lock:
            self._started = None
            self._history = finish(self._history, run.id, result.state, self._clock(), result.decision)
            try:
                self._store.keep(self._history)
            except OSError:
                # It has ended all the same, and another must be able to begin.
                log.exception("runs_not_kept", run=run.id)
        self._count(result.state)
        log.info("retraining_ended", run=run.id, state=result.state, reasons=result.decision.get("reasons"))

    def _at_stage(self, id_: str, text: str) -> None:
        """Shown, and not stored: after a restart no run is at any stage."""
        with self._lock:
            self._history = at_stage(self._history, id_, text)

    def _change(self, history: RunHistory) -> None:
        self._store.keep(history)
        self._history = history

    def close(self) -> None:
        """End the running run; it counts as failed, so its episode stays open."""
        with self._lock:
            self._stopping, started = True, self._started
        if started is not None:
            started.stop()
        if self._thread is not None:
            self._thread.join(_ENDS_WITHIN_S)
        self._store.close()
