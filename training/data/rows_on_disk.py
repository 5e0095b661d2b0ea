"""Rows in files: one ``{"record": {...}, "label": ...}`` a line, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.events.schema import encode_json
from training.data.rows import LabelledRows


class LabelledRow(msgspec.Struct):
    """A line."""

    record: dict[str, Any]
    label: Any


def rows_as_lines(rows: LabelledRows) -> bytes:
    pairs = zip(rows.records, rows.labels, strict=True)
    return b"".join(encode_json({"record": record, "label": label}) + b"\n" for record, label in pairs)


def rows_in_lines(content: bytes) -> Iterator[LabelledRow | None]:
    """A row for each line, ``None`` for what is no such line."""
    decode = bounded_decoder(LabelledRow)
    for line in content.splitlines():
        try:
            yield decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            yield None
