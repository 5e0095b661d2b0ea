"""What Kafka messages of this project have in common: topics, headers, and the error of those that can't be read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from event_backbone.errors import Fault, RejectedError
from event_backbone.ports import Partition, Received

Headers = Sequence[tuple[str, bytes]]

EVENT_TYPE = "io.streamgauge."
#: Why a message can't be read; a closed set, fit for a metric label.
UNREADABLE_REASONS = (
    *("schema_version", "case", "json", "key", "type"),
    *("prediction", "label", "rejections", "record_id", "erasure"),
)

SPECVERSION = ("ce_specversion", b"1.0")
JSON_CONTENT = ("content-type", b"application/json")


class UnreadableMessageError(RejectedError):
    """This message is none of ours and never will be: dead-letter it; ``reason`` is of :data:`UNREADABLE_REASONS`."""

    def __init__(self, reason: str, faults: Sequence[Fault]) -> None:
        self.reason = reason
        super().__init__(faults)


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a case; a ``namespace`` lets tests and environments share a broker."""

    namespace: str | None
    case: str

    def _named(self, kind: str) -> str:
        return f"{self.namespace}.{self.case}.{kind}" if self.namespace else f"{self.case}.{kind}"

    @property
    def records(self) -> str:
        return self._named("records")

    @property
    def predictions(self) -> str:
        return self._named("predictions")

    @property
    def labels(self) -> str:
        return self._named("labels")

    @property
    def rejections(self) -> str:
        """Counts of refused records, which have no ``record_id`` to be the key of."""
        return self._named("rejections")

    @property
    def dead_letters(self) -> str:
        return self._named("dead-letters")

    @property
    def all(self) -> tuple[str, ...]:
        return (self.records, self.predictions, self.labels, self.rejections, self.dead_letters)

    def group(self, name: str) -> str:
        """A consumer group: namespaces keep theirs apart, too."""
        return f"{self.namespace}.{name}-{self.case}" if self.namespace else f"{name}-{self.case}"


def header(headers: Headers, name: str) -> bytes | None:
    """The first header of this name."""
    for found, value in headers:
        if found == name:
            return value
    return None


def text_header(headers: Headers, name: str) -> str | None:
    """The same as text; what is no UTF-8 is shown as well as it can be."""
    value = header(headers, name)
    return None if value is None else value.decode(errors="replace")


def is_ours(headers: Headers, case: str) -> bool:
    """Whether one of this case's own services published the message."""
    source = header(headers, "ce_source")
    return source is not None and source.startswith(source_prefix(case))


def place_source(partition: Partition) -> str:
    """An envelope's source where the place in Kafka is what counts; its ``seq`` is then the offset."""
    return f"kafka:{partition.topic}:{partition.number}"


def place_id(received: Received) -> str:
    """``<topic>-<partition>-<offset>``: the id of a record that came without one, and of a dead letter."""
    return f"{received.partition.topic}-{received.partition.number}-{received.offset}"


@functools.lru_cache(maxsize=64)
def source_prefix(case: str) -> bytes:
    return f"/streamgauge/{case}/".encode()


@functools.lru_cache(maxsize=1024)
def source_uri(case: str, source: str) -> bytes:
    """``ce_source`` of what came from ``source``; any text is a part of the path."""
    return source_prefix(case) + quote(source, safe=":~").encode()
