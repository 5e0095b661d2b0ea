"""The folder of Evidently's HTML reports: the last few of each kind, and never one that holds what was erased."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from event_backbone.process.files import replace_file
from monitoring_service.messages import ReportKind

_NAME = re.compile(r"report-(\d{12})-(demand|alert|schedule)\.html")
_VOID_UNTIL = "void-until-row"


@dataclass(frozen=True, slots=True)
class Report:
    """A finished report: the row of its window's end, why and when it was made (seconds since 1970), and its bytes."""

    path: Path
    row: int
    kind: ReportKind
    made_at: float
    size: int

    @property
    def name(self) -> str:
        return self.path.name


class ReportFolder:
    """Finished reports, named by row and kind. A reader sees a whole report or none.

    One process makes reports and another declares them void: whichever of the two comes last takes a report away. The
    last ``kept`` of each kind stay, so that those on schedule push none out that an alert or a person asked for; none
    stays for longer than ``kept_s``.
    """

    def __init__(self, directory: Path, *, kept: int, kept_s: float, clock: Callable[[], float] = time.time) -> None:
        self._dir = directory
        self._kept = kept
        self._kept_s = kept_s
        self._clock = clock

    def add(self, row: int, kind: ReportKind, html: str) -> None:
        path = self._dir / f"report-{row:012d}-{kind}.html"
        with contextlib.suppress(FileNotFoundError):  # declared void just now
            replace_file(path, html.encode(), durable=False)
        if row <= self._void_until():
            path.unlink(missing_ok=True)
        self.remove_old()

    def void(self, until_row: int) -> None:
        """Remove reports about windows that end at this row or before it, those included that are still being made.

        An erased record may be in them. Doing it again is safe, and finishes what a dead process began.
        """
        replace_file(self._dir / _VOID_UNTIL, f"{until_row}".encode(), durable=True)
        for path in [*self._dir.glob("report-*.html"), *self._dir.glob(".report-*")]:
            match = _NAME.match(path.name.removeprefix("."))
            if match and int(match[1]) <= until_row:
                path.unlink(missing_ok=True)

    def _void_until(self) -> int:
        try:
            return int((self._dir / _VOID_UNTIL).read_text())
        except FileNotFoundError:
            return 0

    def latest(self) -> Report | None:
        reports = self.all()
        return reports[-1] if reports else None

    def find(self, name: str) -> Report | None:
        """The report of this name, if it is one and still there."""
        return self._report(self._dir / name) if _NAME.fullmatch(name) else None

    def all(self) -> list[Report]:
        """By the row of the window, oldest first; the folder may not exist yet, and files may go while we look."""
        found = (self._report(path) for path in self._dir.glob("report-*.html"))
        return sorted((one for one in found if one is not None), key=lambda one: (one.row, one.made_at))

    def remove_old(self) -> None:
        """Remove reports over the number or the age to keep."""
        oldest_kept = self._clock() - self._kept_s
        left = Counter[ReportKind]()
        for report in reversed(self.all()):
            left[report.kind] += 1
            if left[report.kind] > self._kept or report.made_at < oldest_kept:
                report.path.unlink(missing_ok=True)

    def _report(self, path: Path) -> Report | None:
        match = _NAME.fullmatch(path.name)
        try:
            found = path.stat() if match else None
        except FileNotFoundError:
            return None
        if match is None or found is None:
            return None
        return Report(path, int(match[1]), cast(ReportKind, match[2]), found.st_mtime, found.st_size)
