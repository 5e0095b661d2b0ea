"""Messages between the server and the process of a run: lines of JSON."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class RunOrder(Struct, frozen=True):
    """A run to make. The process ends when ``parent_pid`` does."""

    run_id: str
    parent_pid: int
    alert_since: float | None = None


class RunStage(Struct, frozen=True, tag_field="kind", tag="stage"):
    """The present stage of the run, as text."""

    text: str


class RunResult(Struct, frozen=True, tag_field="kind", tag="ended"):
    """The last line of a run that came to a decision, or to an error that it could name."""

    state: Literal["promoted", "refused", "failed"]
    decision: dict[str, Any]


Line = RunStage | RunResult
