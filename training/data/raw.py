"""Raw data: bytes by file name, and their origin. A folder holds just this."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import msgspec

from event_backbone.case.schema import DataFile
from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import Fault, SettingsError
from training.data.rows import LabelledRows
from training.data.rows_on_disk import rows_as_lines

#: Where the rows came as records: one ``{"record": {...}, "label": ...}`` a line.
TRAIN_ROWS_FILE, TEST_ROWS_FILE = "train.jsonl", "test.jsonl"
SOURCE_FILE = "source.json"


@dataclass(frozen=True)
class DataOrigin:
    """The origin of rows. ``digests`` maps the files that were read to their sha256; ``sentence`` is for people."""

    kind: Literal["folder", "download", "sample", "log", "collection"]
    sentence: str
    digests: dict[str, str]

    @property
    def is_synthetic(self) -> bool:
        return self.kind == "sample"

    @property
    def has_files(self) -> bool:
        """Whether these are the case's raw files, and not rows that were records before."""
        return self.kind in ("folder", "download")


@dataclass(frozen=True)
class Raw:
    """Retrieved data before any check: the case's raw files, or the two files of rows."""

    source: DataOrigin
    files: Mapping[str, bytes]


def raw_of_rows(source: DataOrigin, train: LabelledRows, test: LabelledRows) -> Raw:
    return Raw(source, {TRAIN_ROWS_FILE: rows_as_lines(train), TEST_ROWS_FILE: rows_as_lines(test)})


def write_raw(folder: Path, raw: Raw) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in raw.files.items():
        (folder / name).write_bytes(content)
    (folder / SOURCE_FILE).write_text(json.dumps(asdict(raw.source), indent=1))


def load_raw(folder: Path) -> Raw:
    """The folder that :func:`write_raw` wrote; raises :class:`SettingsError` when it isn't there."""
    try:
        source = source_in(folder)
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != SOURCE_FILE}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        message = "is no folder of retrieved data: run `train-model retrieve` first"
        raise SettingsError(str(folder), [Fault("retrieve", "unreadable", message)]) from None
    return Raw(source, files)


def source_in(folder: Path) -> DataOrigin:
    """The origin of a folder's rows; raises what reading a JSON file raises."""
    return decode_bounded((folder / SOURCE_FILE).read_bytes(), DataOrigin)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def faults_of_digest(file: DataFile, content: bytes) -> list[Fault]:
    """One fault where the bytes differ from the case file's digest."""
    found = digest_of(content)
    if found == file.sha256:
        return []
    return [Fault(file.name, "sha256", f"sha256 is {found}, the case file says {file.sha256}")]
