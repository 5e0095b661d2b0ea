"""What the server tells the process of a run, and what that tells it: lines of JSON."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct


class Order(Struct, frozen=True):
    """The run to make. The process ends when the one called ``parent_pid`` does."""

    run_id: str
    parent_pid: int
    alert_since: float | None = None


class Stage(Struct, frozen=True, tag_field="kind", tag="stage"):
    """What the run does now, in words."""

    text: str


class Ended(Struct, frozen=True, tag_field="kind", tag="ended"):
    """The last line of a run that came to a decision, or to an error that it could name."""

    state: Literal["promoted", "refused", "failed"]
    decision: dict[str, Any]


Line = Stage | Ended
