"""The error tree, branched by what the caller should do."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

#: Faults that are named in one answer, message or line of a log; of the others only the number is.
MOST_FAULTS_LISTED = 100
#: Names of unknown fields among them.
MOST_UNKNOWN_LISTED = 10
#: The place of a fault that stands for others.
MORE = "(more)"
_LONGEST_NAME_SHOWN = 64
#: Characters of a place, of a sentence, or of what a library says of a content.
LONGEST_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where.

    ``place`` is a field name or a path (``columns[2].valid.minimum``), ``reason`` one of a closed set of words that
    may become a metric label, ``message`` a sentence for people. A message never holds a record's value. ``count`` is
    how many this one stands for.
    """

    place: str
    reason: str
    message: str
    count: int = 1


def unknown_fields(names: Iterable[object], what: str) -> list[Fault]:
    """Faults of unknown fields, in order of their names, none of which is ``what``; the last says how many more.

    Names are shown to their sender, cut, and never become metric labels.
    """
    texts = [str(name) for name in names]
    first = heapq.nsmallest(MOST_UNKNOWN_LISTED, texts)
    faults = [Fault(_shown(name), "unknown", f"is not {what}") for name in first]
    if more := len(texts) - len(first):
        faults.append(Fault(MORE, "unknown", f"and {more:,} more, none of them {what}", more))
    return faults


def _shown(name: str) -> str:
    return name[:_LONGEST_NAME_SHOWN].encode(errors="replace").decode()


def shortened(text: str, most: int = LONGEST_SHOWN) -> str:
    """A text for people, cut where it is too long, and then it ends with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def number_of(faults: Iterable[Fault]) -> str:
    """``1 fault``, ``2 faults``."""
    number = sum(fault.count for fault in faults)
    return f"{number:,} fault{'s' if number != 1 else ''}"


def listed(faults: Iterable[Fault], most: int = MOST_FAULTS_LISTED) -> list[Fault]:
    """The first faults, and where there are more than ``most`` one that says how many.

    A place or a sentence is cut where it is too long: a library's may quote what was sent.
    """
    left = iter(faults)
    first = [_cut(fault) for fault in islice(left, most)]
    more = sum(fault.count for fault in left)
    return [*first, Fault(MORE, "invalid", f"and {more:,} more", more)] if more else first


def _cut(fault: Fault) -> Fault:
    if len(fault.place) <= LONGEST_SHOWN and len(fault.message) <= LONGEST_SHOWN:
        return fault
    return replace(fault, place=shortened(fault.place), message=shortened(fault.message))


class StreamgaugeError(Exception):
    """Any error this project raises on purpose."""


class SettingsError(StreamgaugeError):
    """The settings, a case file or a file they name must be mended before a start makes sense."""

    def __init__(self, subject: str, faults: Sequence[Fault]) -> None:
        self.subject = subject
        self.faults = tuple(faults)
        lines = "".join(f"\n  {fault.place}: {fault.message}" for fault in listed(faults))
        super().__init__(f"{subject}: {number_of(faults)}{lines}")


class RejectedError(StreamgaugeError):
    """This event is wrong and will be wrong again: answer with its faults, park it or dead-letter it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__()

    def __str__(self) -> str:
        return "; ".join(f"{fault.place}: {fault.message}" for fault in listed(self.faults))


#: Why there is nothing to read at a place of a topic.
LOSSES = ("corrupt", "oversized_batch", "gone")
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
