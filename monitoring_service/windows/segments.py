"""Segments: a record's values in the columns that performance is split by, kept as long as its prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from event_backbone.case.schema import Case

#: Values a column that have metrics of their own: the first that the case file expects.
MOST_VALUES = 20

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, str]).decode


class SegmentReader:
    """Reads the segments of records; whatever a record holds, only expected values are kept."""

    def __init__(self, case: Case) -> None:
        self._names = case.monitoring.segments
        self._known = [frozenset(case.column(name).categories[:MOST_VALUES]) for name in self._names]

    def text_of(self, record: Mapping[str, Any]) -> str | None:
        """The segments of a record, to be kept; ``None`` where it belongs to none."""
        found = {}
        for name, known in zip(self._names, self._known, strict=True):
            value = record.get(name)
            if isinstance(value, str) and value in known:
                found[name] = value
        return _encode(found).decode() if found else None

    def columns_of(self, texts: Iterable[str | None]) -> dict[str, list[str | None]]:
        """The kept segments of several records by column; a column that was split by only later is ``None``."""
        rows = [_decode(text) if text else {} for text in texts]
        return {name: [row.get(name) for row in rows] for name in self._names}
