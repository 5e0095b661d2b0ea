"""The folders of the stages' results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

from event_backbone.errors import Fault, SettingsError
from training.data.parts import DataParts
from training.data.raw import SOURCE_FILE, DataOrigin, source_in
from training.data.reading import Retrieved
from training.data.rows import LabelledRows
from training.data.rows_on_disk import rows_as_lines, rows_in_lines

T = TypeVar("T")


@dataclass(frozen=True)
class PipelineFolders:
    """The folders of one case's pipeline below ``root``."""

    root: Path

    @property
    def raw(self) -> Path:
        """Of ``retrieve``: the data as they came."""
        return self.root / "raw"

    @property
    def rows(self) -> Path:
        """Of ``validate``: the rows, once nothing is wrong with them."""
        return self.root / "rows"

    @property
    def quality(self) -> Path:
        """Of ``validate``: what came of every expectation, whether the rows passed or not."""
        return self.root / "quality"

    @property
    def splits(self) -> Path:
        """Of ``transform``: the rows by what they are for."""
        return self.root / "splits"

    @property
    def model(self) -> Path:
        """Of ``train``."""
        return self.root / "model"

    @property
    def metrics(self) -> Path:
        """Of ``evaluate``: a file."""
        return self.root / "metrics.json"

    @property
    def plots(self) -> Path:
        """Of ``evaluate``: the points of its curves, and pictures."""
        return self.root / "plots"


def fresh(folder: Path) -> Path:
    """An empty folder: what an earlier run left must not be taken for this one's."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def from_stage(stage: str, folder: Path, load: Callable[[], T]) -> T:
    """What ``load`` gives; raises :class:`SettingsError` naming the stage whose folder is not as it left it."""
    try:
        return load()
    except (OSError, ValueError, KeyError, TypeError):
        message = f"holds not what the stage leaves there: run `train-model {stage}` first"
        raise SettingsError(str(folder), [Fault(stage, "unreadable", message)]) from None


def write_retrieved(folder: Path, retrieved: Retrieved) -> None:
    _write_rows(folder, retrieved.source, {"train": retrieved.train, "test": retrieved.test})


def load_retrieved(folder: Path) -> Retrieved:
    return from_stage(
        "validate", folder, lambda: Retrieved(source_in(folder), _rows(folder, "train"), _rows(folder, "test"))
    )


def write_data(folder: Path, data: DataParts) -> None:
    _write_rows(folder, data.source, {name: getattr(data, name) for name in _PARTS})


def load_data(folder: Path) -> DataParts:
    return from_stage(
        "transform", folder, lambda: DataParts(source_in(folder), **{name: _rows(folder, name) for name in _PARTS})
    )


_PARTS = tuple(part.name for part in fields(DataParts) if part.name != "source")


def _write_rows(folder: Path, source: DataOrigin, parts: dict[str, LabelledRows]) -> None:
    for name, rows in parts.items():
        (folder / f"{name}.jsonl").write_bytes(rows_as_lines(rows))
    (folder / SOURCE_FILE).write_text(json.dumps(asdict(source), indent=1))


def _rows(folder: Path, name: str) -> LabelledRows:
    found = list(rows_in_lines((folder / f"{name}.jsonl").read_bytes()))
    rows = [row for row in found if row is not None]
    if len(rows) < len(found):
        raise ValueError(f"{name}.jsonl holds lines that are no rows")
    return LabelledRows([row.record for row in rows], [row.label for row in rows])
