"""Where every record is refused no row comes, and without rows no check: refusals must then be judged by themselves."""

from __future__ import annotations

from event_backbone.case import Case
from monitoring_service.windows import Rejections, Windows


class RefusalWatch:
    """As many refusals in a row as a check has new rows are worth one check of what is refused. Not thread-safe."""

    def __init__(self, case: Case, windows: Windows) -> None:
        self._every = case.monitoring.check_every_rows
        self._windows = windows
        self._judged = 0

    def look(self) -> Rejections | None:
        """What to judge once; ``None`` when nothing new is worth it."""
        worth = self._windows.refused_in_a_row // self._every
        if worth <= self._judged:
            self._judged = worth
            return None
        self._judged += 1
        return self._windows.rejections()
