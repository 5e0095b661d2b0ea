"""A sink in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Envelope, Prediction, event_id
from event_backbone.ports import Delivered, Refusal


class MemorySink:
    """Keeps events in this process, once by id; for tests and trials. ``differing`` holds the conflicts, once too."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.kept: dict[str, Envelope] = {}
        self.differing: dict[tuple[str, str], Prediction] = {}
        self.away: str | None = None
        self.refuse: Callable[[Envelope], str | None] = lambda _envelope: None

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        if self.away is not None:
            raise TryAgainLaterError(self.away)
        refusals, conflicts_before, held = [], len(self.differing), {}
        for envelope in batch:
            reason = self.refuse(envelope)
            if reason is not None:
                refusals.append(Refusal(envelope.seq, reason))
            elif (first := self._keep(envelope)) is not None:
                held[first.record_id] = first
        return Delivered(refusals, len(self.differing) - conflicts_before, held)

    def _keep(self, envelope: Envelope) -> Prediction | None:
        """The first prediction under this id, where ``envelope`` is a later one."""
        first = self.kept.setdefault(event_id(envelope.event), envelope).event
        event = envelope.event
        if first is event or not (isinstance(event, Prediction) and isinstance(first, Prediction)):
            return None
        if first.content_hash != event.content_hash:
            self.differing.setdefault((event.record_id, event.content_hash), event)
        return first

    def close(self) -> None:
        """Nothing is held."""
