"""Judging rejections by themselves: where every record is rejected no row comes, and without rows no check."""

from __future__ import annotations

from msgspec import Struct

from event_backbone.case.schema import Case
from monitoring_service.windows.sliding_window import WindowRejections, Windows


class RejectionRun(Struct, frozen=True):
    """Rejections after row ``at_row`` and before the next: how many checks' worth of them were ``judged``."""

    at_row: int = 0
    judged: int = 0


class RejectionWatch:
    """As many rejections in a row as a check has new rows are worth one check of the rejections. Not thread-safe.

    ``run`` is kept with the monitor state, so that a restart judges none of them again.
    """

    def __init__(self, case: Case, windows: Windows, run: RejectionRun) -> None:
        self._every = case.monitoring.check_every_rows
        self._windows = windows
        self.run = run

    def due(self) -> WindowRejections | None:
        """The rejections to judge once; ``None`` when there are too few new ones."""
        row, refused = self._windows.refused_in_a_row()
        judged = self.run.judged if row == self.run.at_row else 0
        if refused // self._every <= judged:
            return None
        self.run = RejectionRun(row, judged + 1)
        return self._windows.rejections()
