"""Folders of the runs, the newest of them kept."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

#: A quarter of a year of weeks.
RUNS_KEPT = 13
PROFILE_FILE, REPORT_FILE, CARD_FILE = "profile.json", "analysis.html", "model_card.md"
PREDICTIONS_FILE, QUALITY_FOLDER = "predictions.parquet", "quality"

#: Such names sort as their times do.
_NAME = re.compile(r"\d{8}T\d{12}Z")


class KeptRuns:
    """The runs of one case below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> Path:
        """A new run's folder; the oldest ones go."""
        new = self._folder / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        new.mkdir(parents=True)
        for old in self._names()[:-RUNS_KEPT]:
            shutil.rmtree(self._folder / old, ignore_errors=True)
        return new

    def last_with(self, file: str, *, before: Path) -> Path | None:
        """That file of the newest run before ``before`` that left one."""
        earlier = (self._folder / name / file for name in reversed(self._names()) if name < before.name)
        return next((path for path in earlier if path.is_file()), None)

    def _names(self) -> Sequence[str]:
        return sorted(path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
