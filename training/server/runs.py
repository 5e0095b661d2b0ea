"""The history of retraining runs: which may begin, and the outcome of each; pure functions over :class:`RunHistory`.

Two rules keep a retraining from following its own effects. An *episode* is retrained for once: its alert, every other
alert that began before that run ended, since all of them speak of the world that the run has seen, and every alert that
begins while one of those still fires or less than a cooldown after it, since alerts come and go where a value is near
its limit. And after a run nobody starts another until the cooldown is over. A run that failed has not trained for
anything: its episode stays open, its cooldown holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

State = Literal["running", "promoted", "refused", "failed"]
Reason = Literal["running", "episode", "cooldown"]

#: Runs that are remembered; the oldest go.
RUNS_KEPT = 200
_LOOK_AGAIN_S = 10.0


class RetrainingRun(Struct, frozen=True, omit_defaults=True):
    """One retraining; times are in seconds since 1970.

    ``alert_since`` is when the alert that asked for it began, ``refreshed_at`` when it was last known after the run
    that an alert of its episode fires.
    """

    id: str
    reason: str
    started_at: float
    state: State = "running"
    stage: str = "starting"
    episode: str | None = None
    alert_since: float | None = None
    ended_at: float | None = None
    refreshed_at: float | None = field(name="told_at", default=None)
    decision: dict[str, Any] | None = None


class RunHistory(Struct, frozen=True):
    """All runs that are kept, oldest first."""

    runs: list[RetrainingRun] = []


@dataclass(frozen=True, slots=True)
class RetrainingRequest:
    """A request by a person, or by an alert that began at ``alert_since``."""

    reason: str
    episode: str | None = None
    alert_since: float | None = None


@dataclass(frozen=True, slots=True)
class RunRefusal:
    """Why no run begins; after ``retry_after_s`` it may be another answer, ``None`` means that it never will."""

    reason: Reason
    detail: str
    retry_after_s: float | None


def refusal(history: RunHistory, wanted: RetrainingRequest, now: float, cooldown_s: float) -> RunRefusal | None:
    """Why a run must not begin now, ``None`` when it may."""
    running = next((run for run in history.runs if run.state == "running"), None)
    if running is not None:
        return RunRefusal("running", f"Run {running.id} is at work.", _LOOK_AGAIN_S)
    before = _run_for(history, wanted, cooldown_s)
    if before is not None:
        detail = f"Run {before.id} was for this episode, which ends when its alerts have been gone for a cooldown."
        return RunRefusal("episode", detail, None)
    left_s = _rest_of_cooldown(history, now, cooldown_s)
    return (
        RunRefusal("cooldown", f"The cooldown lasts for another {math.ceil(left_s)} s.", left_s) if left_s > 0 else None
    )


def refresh(history: RunHistory, wanted: RetrainingRequest, now: float, cooldown_s: float) -> RunHistory:
    """After a notification of an alert that a run was for: its episode goes on."""
    run = _run_for(history, wanted, cooldown_s)
    return history if run is None or wanted.alert_since is None else _changed(history, run.id, refreshed_at=now)


def _run_for(history: RunHistory, wanted: RetrainingRequest, cooldown_s: float) -> RetrainingRun | None:
    """The newest run that has trained for the episode."""
    return next((run for run in reversed(history.runs) if _has_trained_for(run, wanted, cooldown_s)), None)


def _has_trained_for(run: RetrainingRun, wanted: RetrainingRequest, cooldown_s: float) -> bool:
    if run.state == "failed" or run.ended_at is None:
        return False
    goes_on_until = run.ended_at if run.refreshed_at is None else max(run.ended_at, run.refreshed_at + cooldown_s)
    is_the_same = wanted.episode is not None and wanted.episode == run.episode
    return is_the_same or (wanted.alert_since is not None and wanted.alert_since <= goes_on_until)


def _rest_of_cooldown(history: RunHistory, now: float, cooldown_s: float) -> float:
    """A clock that was set back must not make a cooldown longer than it is."""
    ends = [run.ended_at for run in history.runs if run.ended_at is not None]
    return min(cooldown_s, max(ends) + cooldown_s - now) if ends else 0.0


def start(history: RunHistory, id_: str, wanted: RetrainingRequest, now: float) -> RunHistory:
    run = RetrainingRun(id_, wanted.reason, now, episode=wanted.episode, alert_since=wanted.alert_since)
    return RunHistory([*history.runs, run][-RUNS_KEPT:])


def at_stage(history: RunHistory, id_: str, stage: str) -> RunHistory:
    return _changed(history, id_, stage=stage)


def finish(history: RunHistory, id_: str, state: State, now: float, decision: dict[str, Any]) -> RunHistory:
    return _changed(history, id_, state=state, stage="ended", ended_at=now, decision=decision)


def interrupted(history: RunHistory, now: float) -> RunHistory:
    """After a restart: what was running has no process any more."""
    for run in history.runs:
        if run.state == "running":
            history = finish(history, run.id, "failed", now, {"reasons": ["the training server ended while it ran"]})
    return history


def _changed(history: RunHistory, id_: str, **changes: Any) -> RunHistory:
    return RunHistory([replace(run, **changes) if run.id == id_ else run for run in history.runs])
