"""The records to send: read from a JSONL file, handed out in a seeded order without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.errors import Fault, SettingsError

#: A file that is wrong throughout must not fill the screen.
MOST_FAULTS_LISTED = 20


class StreamRow(Struct, frozen=True):
    """A record and its ground truth, which is sent later and never with it."""

    record: dict[str, Any]
    label: str | float | None = None


_decode_row: Callable[[bytes], StreamRow] = bounded_decoder(StreamRow)


def _decode_lines(lines: Sequence[bytes]) -> tuple[list[StreamRow], list[Fault]]:
    rows, faults = [], []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_decode_row(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            faults.append(Fault(f"line {number}", "row", str(error)))
    return rows, faults


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file that are not blank; raise :class:`SettingsError` when it can't be read or has none."""
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        message = f"{(error.strerror or 'can not be read').lower()}; train-model makes the stream split"
        raise SettingsError(str(path), [Fault("(file)", "unreadable", message)]) from None
    if not lines:
        raise SettingsError(str(path), [Fault("(file)", "empty", "holds no record")])
    return lines


def read_rows(path: Path) -> list[StreamRow]:
    """Read ``{"record": {...}, "label": ...}`` lines; raise :class:`SettingsError` naming the lines that are not."""
    rows, faults = _decode_lines(read_lines(path))
    if faults:
        raise SettingsError(str(path), listed(faults))
    return rows


def listed(faults: Sequence[Fault], number: int | None = None) -> list[Fault]:
    """The first faults, and how many more there are; ``number`` counts those that were not kept, too."""
    shown = list(faults[:MOST_FAULTS_LISTED])
    more = (len(faults) if number is None else number) - len(shown)
    if more > 0:
        shown.append(Fault("(file)", "more", f"and {more} more lines"))
    return shown


def endless(rows: Sequence[StreamRow], rng: np.random.Generator) -> Iterator[StreamRow]:
    """Every row once in a drawn order, then again in another order, and so on."""
    while True:
        for index in rng.permutation(len(rows)):
            yield rows[index]
