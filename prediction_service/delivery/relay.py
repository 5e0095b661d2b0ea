"""The relay: delivers one journal to one sink, in order, at least once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Envelope, Erasure, encode_json
from event_backbone.ports import Refusal, Sink
from event_backbone.process.backoff import Backoff
from prediction_service.delivery.cursors import RelayState
from prediction_service.journal.reader import JournalReader, JournalRow

log = structlog.get_logger()

#: Seconds between two tries while a sink is away, doubled up to the second number; every replica's relays lose it at
#: the same time.
BACKOFF_S = (0.2, 5.0)
_JITTER = 0.2


class Relay:
    """One journal to one sink. The cursor moves after the sink has acknowledged, never before."""

    def __init__(self, journal: JournalReader, state: RelayState, sink: Sink, *, batch_rows: int) -> None:
        self._journal = journal
        self._source = journal.journal_id
        self._state = state
        self._sink = sink
        self._batch_rows = batch_rows

    def deliver_once(self) -> int:
        """Deliver the next rows; return how many. Raises :class:`TryAgainLaterError` when the sink is away."""
        rows = self._journal.after(self._state.delivered_seq(self._sink.name), limit=self._batch_rows)
        if not rows:
            return 0
        batch = [Envelope(self._source, row.seq, row.event) for row in rows]
        delivered = self._sink.deliver(batch)
        refused = delivered.refused
        erased = {row.event.record_id for row in rows if isinstance(row.event, Erasure)} | delivered.erased
        self._state.advance(self._sink.name, rows[-1].seq, _with_bodies(refused, rows), erased, delivered.conflicts)
        for refusal in refused:
            log.error("row_parked", sink=self._sink.name, seq=refusal.seq, reason=refusal.reason)
        if delivered.conflicts:
            log.warning("predictions_conflict", sink=self._sink.name, count=delivered.conflicts)
        return len(rows)

    def report_fault(self, fault: str) -> None:
        self._state.report_fault(self._sink.name, fault)


def _with_bodies(refused: Sequence[Refusal], rows: list[JournalRow]) -> list[tuple[Refusal, bytes]]:
    bodies = {row.seq: row.event for row in rows}
    return [(refusal, encode_json(bodies[refusal.seq])) for refusal in refused]


def run_relay(
    relay: Relay, stop: threading.Event, *, idle_s: float = 0.1, chance: Callable[[], float] = random.random
) -> None:
    """Deliver until ``stop`` is set; what is left stays in the journal for the next start."""
    backoff = Backoff(*BACKOFF_S, jitter=_JITTER, chance=chance)
    wait_s = 0.0
    while not stop.wait(wait_s):
        wait_s = _step(relay, backoff, idle_s)


def _step(relay: Relay, backoff: Backoff, idle_s: float) -> float:
    """One delivery; returns how long to wait before the next."""
    try:
        rows = relay.deliver_once()
    except TryAgainLaterError as error:
        wait_s = backoff.failed(error.retry_after_s)
        log.warning("sink_away", error=str(error), retry_in_s=round(wait_s, 3))
        relay.report_fault(str(error))
        return wait_s
    backoff.reset()
    return 0.0 if rows else idle_s
