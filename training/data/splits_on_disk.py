"""The stream split and a note of its origin, written for the stream generator and for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.process.files import replace_file
from training.data.rows import LabelledRows
from training.data.rows_on_disk import rows_as_lines

STREAM_FILE = "stream.jsonl"
SOURCE_FILE = "source.json"


class _Note(Struct):
    fingerprint: str


def write_splits(folder: Path, stream: LabelledRows, source: Mapping[str, Any]) -> None:
    """Replace both files durably; the note comes last, so that a note that is there speaks of the stream beside it."""
    (folder / SOURCE_FILE).unlink(missing_ok=True)
    replace_file(folder / STREAM_FILE, rows_as_lines(stream), durable=True)
    replace_file(folder / SOURCE_FILE, json.dumps(source, indent=1).encode(), durable=True)


def fingerprint_of_splits(folder: Path) -> str | None:
    """The fingerprint in the note, ``None`` when there are no splits."""
    if not (folder / STREAM_FILE).is_file():
        return None
    try:
        return decode_bounded((folder / SOURCE_FILE).read_bytes(), _Note).fingerprint
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
