"""A JSONL file as a recorded stream: ``{"record": {...}, "label"?, "record_id"?, "at"?, "labelled_at"?}`` a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.errors import Fault, RejectedError, SettingsError
from event_backbone.events.schema import ModelRef, parse_utc
from stream_generator.recording.port import Answered, Period, Recorded
from stream_generator.scenario.records import MOST_FAULTS_LISTED, listed


class _Line(Struct, frozen=True):
    """The last three are for scoring again: what was said about the record, and by whom."""

    record: dict[str, Any]
    label: str | float | None = None
    record_id: str | None = None
    at: str | None = None
    labelled_at: str | None = None
    prediction: str | float | None = None
    score: float | None = None
    model: ModelRef | None = None

    @property
    def answered(self) -> Answered | None:
        if self.prediction is None or self.score is None or self.model is None:
            return None
        return Answered(self.prediction, self.score, self.model)


_decode_line: Callable[[bytes], _Line] = bounded_decoder(_Line)


class LinesRecording:
    """Opening it reads the file once: every faulty line is reported before anything is sent.

    ``needs_times`` makes a line without ``at`` a fault. A cursor is the number of the byte behind the line.

    Raises:
        SettingsError: naming the lines that are no recorded requests.

    :meth:`items` raises :class:`RejectedError` where ``after`` is no cursor.
    """

    def __init__(self, path: Path, period: Period, *, needs_times: bool) -> None:
        self._path = path
        self._period = period
        self._needs_times = needs_times or period != Period()
        self._count = self._check_all()

    def count(self) -> int:
        return self._count

    def items(self, after: str | None = None) -> Iterator[Recorded]:
        for end, line in self._lines(0 if after is None else self._place_of(after)):
            found = _decode_line(line)
            if self._is_in(found):
                yield Recorded(
                    str(end),
                    found.record,
                    found.label,
                    found.record_id,
                    found.at,
                    found.labelled_at,
                    found.answered,
                )

    def close(self) -> None:
        """Nothing stays open."""

    def _place_of(self, cursor: str) -> int:
        """Where a line begins, or the end; raises :class:`RejectedError` for any other place."""
        place = int(cursor) if re.fullmatch(r"[0-9]{1,18}", cursor) else -1
        size = self._path.stat().st_size
        if not (place in (0, size) or (0 < place < size and self._ends_line(place))):
            raise RejectedError([Fault("after", "format", "is no cursor of this log")])
        return place

    def _ends_line(self, place: int) -> bool:
        with self._path.open("rb") as file:
            file.seek(place - 1)
            return file.read(1) == b"\n"

    def _lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Each line that is not blank, with the number of the byte behind it."""
        with self._path.open("rb") as file:
            file.seek(start)
            for line in file:
                start += len(line)
                if line.strip():
                    yield start, line

    def _check_all(self) -> int:
        kept, wrong = 0, 0
        faults: list[Fault] = []
        for number, (_, line) in enumerate(self._readable_lines(), start=1):
            try:
                kept += self._is_in(_decode_line(line))
            except (ValueError, UnicodeDecodeError) as error:
                wrong += 1
                if wrong <= MOST_FAULTS_LISTED:
                    faults.append(Fault(f"line {number}", "recorded", str(error)))
        if faults:
            raise SettingsError(str(self._path), listed(faults, wrong))
        return kept

    def _readable_lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            yield from self._lines(0)
        except OSError as error:
            message = (error.strerror or "can not be read").lower()
            raise SettingsError(str(self._path), [Fault("--from", "unreadable", message)]) from None

    def _is_in(self, line: _Line) -> bool:
        if line.at is None:
            if self._needs_times:
                raise ValueError("has no time `at`; use --speed max without --since and --until")
            return True
        return self._period.contains(parse_utc(line.at))
