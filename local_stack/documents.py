"""Documents of the generator, the prediction service and monitoring: the parts that the check reads."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import StopError

Document = TypeVar("Document", "GeneratorSummary", "ReplicaStatusDocument", "Counted")


class InjectedScenario(Struct, frozen=True):
    name: str
    start_index: int
    columns: list[str]


class GeneratorSummary(Struct, frozen=True):
    """The generator's summary."""

    sent: int
    answered: int
    failed: int
    labels_sent: int
    labels_failed: int
    scenario: InjectedScenario
    faults: dict[str, int] = {}


class JournalCounts(Struct, frozen=True):
    predictions: int
    labels: int
    rejections: int


class SinkDocument(Struct, frozen=True):
    lag: int
    parked: int
    fault: str | None = None


class ReplicaStatusDocument(Struct, frozen=True):
    """The prediction service's ``/status``."""

    journal: JournalCounts
    sinks: dict[str, SinkDocument]


class TotalsDocument(Struct, frozen=True):
    predictions: int
    labels: int
    rejected_records: int
    unmatched_labels: int


class EpisodeDocument(Struct, frozen=True):
    """A drift verdict. Rows are counted in their order of arrival at monitoring."""

    column: str
    confirmed_at_row: int


class Counted(Struct, frozen=True):
    """Monitoring's ``/api/state``; ``next_check_row`` is the row whose arrival makes the next check due."""

    totals: TotalsDocument
    episodes: list[EpisodeDocument]
    next_check_row: int


def read_document(kind: type[Document], body: bytes, origin: str) -> Document:
    """Decode one; raise :class:`StopError` naming ``origin`` when it is not what was agreed."""
    try:
        return decode_bounded(body, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StopError(f"{origin} is not what was agreed: {error}") from None
