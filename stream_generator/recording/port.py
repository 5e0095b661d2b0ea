"""The port of recorded streams, which can be replayed or scored again, in order, with their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from event_backbone.events.schema import ModelRef, Prediction, format_utc
from stream_generator.scenario.changes import Label


class Answered(Struct, frozen=True):
    """The recorded prediction for a record."""

    prediction: str | float
    score: float
    model: ModelRef
    case: str | None = None


class Recorded(Struct, frozen=True):
    """One recorded request with the label that followed, or a label alone, which has no ``record``.

    ``at`` is an RFC 3339 time; without a ``record_id`` it gets a new one. ``cursor`` means something to its recording
    alone: where reading goes on behind this item.
    """

    cursor: str
    record: dict[str, Any] | None
    label: Label = None
    record_id: str | None = None
    at: str | None = None
    labelled_at: str | None = None
    answered: Answered | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since``, included, to ``until``, not included; ``None`` is open."""

    since: datetime | None = None
    until: datetime | None = None

    def contains(self, moment: datetime) -> bool:
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def as_text(self) -> tuple[str | None, str | None]:
        """Limits that sort as the logs' times do."""
        return (
            None if self.since is None else format_utc(self.since),
            None if self.until is None else format_utc(self.until),
        )


class Recording(Protocol):
    """A recorded stream of a period. Memory is bounded, however long it is.

    :meth:`count` gives how many items there are, or an estimate, for a progress bar. :meth:`items` gives them in the
    order in which they were recorded; after ``after``, the cursor of one of them, those behind it. What is recorded
    while it is read doesn't make it longer without end.
    Errors: :class:`~event_backbone.errors.TryAgainLaterError` when the source is away,
    :class:`~event_backbone.errors.SettingsError` when it is no recording. One caller at a time.
    """

    def count(self) -> int: ...

    def items(self, after: str | None = None) -> Iterator[Recorded]: ...

    def close(self) -> None: ...


def answered_of(prediction: Prediction) -> Answered:
    return Answered(prediction.prediction, prediction.score, prediction.model, prediction.case)
