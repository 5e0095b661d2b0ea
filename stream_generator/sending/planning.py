"""The plan of a stream: its items, one after the other; knows no HTTP and never waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec
import numpy as np

from event_backbone.case.schema import Case
from stream_generator.scenario.changes import Label
from stream_generator.scenario.injection import Injector
from stream_generator.scenario.records import StreamRow, endless
from stream_generator.scenario.scenarios import Scenario
from stream_generator.sending.pacing import EvenPace


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to send, or a label alone, which has no ``body``.

    ``due_s`` counts from the start of the run; ``None`` means at once. ``label`` is ``None`` when none will be sent;
    without ``labelled_at`` its time is when it is sent. ``index`` numbers the items of a stream, and ``cursor`` is a
    recording's word for the item's place.
    """

    record_id: str
    body: bytes | None
    due_s: float | None
    label: Label
    labelled_at: str | None = None
    index: int = 0
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A paced stream: ``rate`` in records a second (``None``: as fast as possible), ``count`` ``None`` without end."""

    run_id: str
    seed: int
    count: int | None
    rate: float | None
    label_share: float
    scenario: Scenario

    @property
    def start_index(self) -> int:
        """The first record that the scenario may change."""
        return self.scenario.timing(self.count).start

    def items(self, rows: list[StreamRow], case: Case) -> Iterator[Outgoing]:
        """The same seed gives the same items, whatever happens to them."""
        order, labelled = (np.random.default_rng([self.seed, number]) for number in (1, 2))
        injector = Injector(self.scenario, case, self.scenario.timing(self.count), self.seed)
        pace = EvenPace(self.rate)
        for index, row in enumerate(islice(endless(rows, order), self.count)):
            sent = injector.apply(index, row)
            label = sent.label if labelled.random() < self.label_share else None
            record_id = f"{self.run_id}-{index}"
            body = request_body(record_id, sent.record)
            yield Outgoing(record_id, body, pace.due_s(index), label, index=index)


def request_body(record_id: str, record: dict[str, object]) -> bytes:
    return msgspec.json.encode({**record, "record_id": record_id})
