"""The error tree, branched by what the caller should do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where.

    ``place`` is a field name or a path (``columns[2].valid.minimum``), ``reason`` one of a closed set of words that
    may become a metric label, ``message`` a sentence for people. A message never holds a record's value.
    """

    place: str
    reason: str
    message: str


class StreamgaugeError(Exception):
    """Any error this project raises on purpose."""


class SettingsError(StreamgaugeError):
    """The settings, a case file or a file they name must be mended before a start makes sense."""

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        lines = "".join(f"\n  {fault.place}: {fault.message}" for fault in faults)
        super().__init__(f"{subject}: {len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}{lines}")


class RejectedError(StreamgaugeError):
    """This event is wrong and will be wrong again: answer with its faults, park it or dead-letter it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{fault.place}: {fault.message}" for fault in faults))


#: Why there is nothing to read at a place of a topic.
LOSSES = ("corrupt", "gone")
#: Why a message can't be read; a closed set, fit for a metric label.
UNREADABLE_REASONS = (
    *("schema_version", "case", "json", "key", "type"),
    *("prediction", "label", "rejections", "record_id", "erasure"),
    *LOSSES,
)


class UnreadableMessageError(RejectedError):
    """A message that no reader of ours takes: dead-letter it; ``reason`` is of :data:`UNREADABLE_REASONS`."""

    def __init__(self, reason: str, faults: Sequence[Fault]) -> None:
        self.reason = reason
        super().__init__(faults)


class TryAgainLaterError(StreamgaugeError):
    """Nothing is wrong with the event; the other side, or a limit of ours, can't take it now."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class AwayError(TryAgainLaterError):
    """The other side does not answer: whether it has anything for us is not known."""


class ConflictError(StreamgaugeError):
    """A conflict with what is kept already, such as an identity that was used for other content; nothing changed."""


class StopError(StreamgaugeError):
    """Going on would do harm: stop this process with an error."""
