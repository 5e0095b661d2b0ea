"""The plan of a replay: recorded items with their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from event_backbone.events.schema import parse_utc
from stream_generator.recording.port import Recorded
from stream_generator.sending.pacing import RecordedPace
from stream_generator.sending.planning import Outgoing, request_body


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """``speed`` times as fast as recorded, ``None`` as fast as possible.

    A label whose time is not recorded gets ``labelled_at`` (RFC 3339), the same whenever it is sent: what a resumed
    replay sends twice stays one label. ``first_index`` is how many items were sent before.
    """

    speed: float | None
    run_id: str
    new_ids: bool = False
    send_labels: bool = True
    labelled_at: str | None = None
    first_index: int = 0

    def items(self, recorded: Iterable[Recorded]) -> Iterator[Outgoing]:
        """In the recorded order, with the recorded gaps."""
        pace = RecordedPace(self.speed)
        for index, one in enumerate(recorded, start=self.first_index):
            due_s = None if one.at is None else pace.due_s(parse_utc(one.at).timestamp())
            yield self._outgoing(one, index, due_s)

    def _outgoing(self, one: Recorded, index: int, due_s: float | None) -> Outgoing:
        own_id = None if self.new_ids else one.record_id
        record_id = own_id or f"{self.run_id}-{index}"
        body = None if one.record is None else request_body(record_id, one.record)
        label = one.label if self.send_labels else None
        return Outgoing(record_id, body, due_s, label, one.labelled_at or self.labelled_at, index, one.cursor)
