"""One run: calm records, then a changed world, a retraining, and how good the service is afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.retraining.stack import BATCH_ROWS, COOLDOWN_S, Stack, poll_until
from benchmarks.retraining.world import World
from training.data.rows import Floats, LabelledRows

CALM_ROWS = 1500
FOLLOWING_ROWS = 3000
#: An alert waits for seconds, and a busy machine is slow: there are only so many rows.
_SHOWN_AFTER_ROWS = 2000
#: For alerts to be told again, and for the cooldown to be over, several times.
_LISTENING_S = 3 * COOLDOWN_S
_RUN_WITHIN_S = 600.0
_FOLLOWED_WITHIN_S = 60.0

Sent = tuple[LabelledRows, Floats]


@dataclass(frozen=True)
class Measured:
    """What became of one changed world: how every retraining ended, the first one first, and why that one did so.

    ``auc_before`` is the first champion's on changed records, ``auc_after`` the service's on those that followed the
    retraining, and ``offline_auc`` that of a model that learned the changed world offline on the same ones, if wanted.
    """

    seed: int
    states: list[str]
    reasons: str
    rows_until_run: int
    run_s: float
    auc_before: float
    auc_after: float
    offline_auc: float | None


class Rows:
    """The unseen rows of a world in order, each once."""

    def __init__(self, world: World) -> None:
        self._calm, self._changed = world.unseen, world.changed(world.unseen, world.seed)
        self._next = 0

    def calm(self) -> LabelledRows:
        return self._take(self._calm)

    def changed(self) -> LabelledRows:
        return self._take(self._changed)

    def _take(self, rows: LabelledRows) -> LabelledRows:
        """The next batch; raises :class:`RuntimeError` when there are no more."""
        places = np.arange(self._next, self._next + BATCH_ROWS)
        if places[-1] >= len(rows):
            raise RuntimeError(f"all {len(rows):,} unseen rows were sent before the run was over")
        self._next += BATCH_ROWS
        return rows.take(places)


def measure(world: World, stack: Stack, *, retraining_rows: int, with_offline: bool) -> Measured:
    """Send everything and look; raises :class:`TimeoutError` naming what did not come."""
    rows = Rows(world)
    for _ in range(CALM_ROWS // BATCH_ROWS):
        stack.send(rows.calm())
    if stack.runs():
        raise RuntimeError("a retraining began while nothing had changed")
    before = _until_begun(stack, rows)
    began_at = time.monotonic()
    run = _until_ended(stack, rows, retraining_rows)
    run_s = time.monotonic() - began_at
    if run["state"] == "promoted":
        version = run["decision"]["challenger"]["version"]
        poll_until(lambda: stack.serving_version() == version, _FOLLOWED_WITHIN_S, "the new champion answers")
    after = _following(stack, rows)
    poll_until(lambda: stack.monitored_version() == stack.serving_version(), _FOLLOWED_WITHIN_S, "monitoring follows")
    time.sleep(_LISTENING_S)
    return Measured(
        seed=world.seed,
        states=[one["state"] for one in reversed(stack.runs())],
        reasons="; ".join(run["decision"]["reasons"]),
        rows_until_run=len(before[0]),
        run_s=run_s,
        auc_before=world.auc(*before),
        auc_after=world.auc(*after),
        offline_auc=world.offline_auc(after[0]) if with_offline else None,
    )


def _until_begun(stack: Stack, rows: Rows) -> Sent:
    """Send changed rows until a retraining has begun, slowly once the change should have shown."""
    sent: list[Sent] = []
    while not stack.runs():
        sent.append(_sent(stack, rows.changed()))
        if len(sent) > _SHOWN_AFTER_ROWS // BATCH_ROWS:
            time.sleep(1.0)
    return _joined(sent)


def _until_ended(stack: Stack, rows: Rows, wanted: int) -> dict[str, Any]:
    """Send changed rows while the run collects them, no more than it wants, and wait for its end."""
    deadline, enough = time.monotonic() + _RUN_WITHIN_S, stack.sent + wanted
    while (run := stack.runs()[0])["state"] == "running":
        if time.monotonic() > deadline:
            raise TimeoutError(f"the retraining did not end; its stage: {run['stage']}")
        if run["stage"].startswith(("starting", "collecting")) and stack.sent < enough:
            stack.send(rows.changed())
        else:
            time.sleep(0.5)
    return run


def _following(stack: Stack, rows: Rows) -> Sent:
    return _joined([_sent(stack, rows.changed()) for _ in range(FOLLOWING_ROWS // BATCH_ROWS)])


def _sent(stack: Stack, batch: LabelledRows) -> Sent:
    return batch, stack.send(batch)


def _joined(sent: list[Sent]) -> Sent:
    records = [record for batch, _ in sent for record in batch.records]
    labels = [label for batch, _ in sent for label in batch.labels]
    return LabelledRows(records, labels), np.concatenate([scores for _, scores in sent])
