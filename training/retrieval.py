"""Where the rows come from: a folder, a download, or the synthetic sample; and which of them it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from event_backbone.case import Case, DataFile
from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.ports import PredictionLog
from training.labelled_log import read_labelled
from training.parsing import parse_file
from training.rows import LabelledRows
from training.splitting import log_rows_needed
from training.synthetic import load_sample

#: Downloads a URL; raises :class:`TryAgainLaterError` when it can't be had.
Fetch = Callable[[str], bytes]

#: The sample stands for a fixed data set: the seed of training does not change what is drawn from it.
SAMPLE_SEED = 1994


@dataclass(frozen=True)
class Source:
    """Where rows came from. ``digests`` maps the files that were read to their sha256; ``sentence`` is for people."""

    kind: Literal["folder", "download", "sample", "log"]
    sentence: str
    digests: dict[str, str]

    @property
    def is_synthetic(self) -> bool:
        return self.kind == "sample"


@dataclass(frozen=True)
class Retrieved:
    """The rows of the train files in their order, and of the test files; ``test`` is empty where there are none."""

    source: Source
    train: LabelledRows
    test: LabelledRows


@dataclass(frozen=True)
class Places:
    """Where data may be found. With ``log`` or ``data_dir`` nothing else is tried."""

    data_dir: Path | None
    downloads_dir: Path
    sample_path: Path
    synthetic_only: bool = False
    log: PredictionLog | None = None


def retrieve(case: Case, places: Places, fetch: Fetch) -> Retrieved:
    """Get the case's rows.

    Raises:
        SettingsError: a file is missing, has another sha256 than the case file says, or can't be parsed; or a log has
            too few labels. A folder or a log that was asked for is never replaced by another source.
        TryAgainLaterError: the log is away.
    """
    if places.log is not None:
        return retrieve_from_log(case, places.log)
    if places.synthetic_only:
        return _from_sample(case, places.sample_path, "as asked for")
    try:
        return retrieve_real(case, places, fetch)
    except TryAgainLaterError as error:
        return _from_sample(case, places.sample_path, f"because {error}; set DATA_DIR to train on real files")


def retrieve_real(case: Case, places: Places, fetch: Fetch) -> Retrieved:
    """The same without the sample to fall back on; raises :class:`TryAgainLaterError` when a download fails."""
    if places.data_dir is not None:
        return _from_folder(case, places.data_dir)
    return _from_download(case, places.downloads_dir, fetch)


def _from_folder(case: Case, folder: Path) -> Retrieved:
    contents: dict[str, bytes] = {}
    faults: list[Fault] = []
    for file in case.data.files:
        try:
            contents[file.name] = (folder / file.name).read_bytes()
        except OSError as error:
            faults.append(Fault(file.name, "unreadable", (error.strerror or "can't be read").lower()))
            continue
        faults += _faults_of_digest(file, contents[file.name])
    if faults:
        raise SettingsError(f"DATA_DIR {folder}", faults)
    return _parsed(case, "folder", f"the files in {folder}", contents)


def _from_download(case: Case, downloads_dir: Path, fetch: Fetch) -> Retrieved:
    contents = {file.name: _downloaded(file, downloads_dir, fetch) for file in case.data.files}
    return _parsed(case, "download", f"downloaded files, kept in {downloads_dir}", contents)


def _downloaded(file: DataFile, downloads_dir: Path, fetch: Fetch) -> bytes:
    """A file from an earlier download, or from its URL; kept only when its digest is right."""
    kept = downloads_dir / file.name
    if kept.is_file() and not _faults_of_digest(file, kept.read_bytes()):
        return kept.read_bytes()
    content = fetch(file.url)
    faults = _faults_of_digest(file, content)
    if faults:
        raise SettingsError(file.url, faults)
    downloads_dir.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)
    return content


def retrieve_from_log(case: Case, log: PredictionLog) -> Retrieved:
    """Predictions of a log that have a label and whose records this case file takes, oldest first; no test rows."""
    found = read_labelled(case, log)
    rows, needed = found.rows, log_rows_needed(case.data.split)
    if len(rows) < needed:
        message = f"holds {len(rows):,} predictions with a label ({found.read:,} in all); this case needs {needed:,}"
        raise SettingsError("the log of predictions", [Fault("--from-log", "too_few", message)])
    sentence = f"{len(rows):,} predictions with a label, of {found.read:,} in the log"
    source = Source("log", sentence, {"log": found.digest})
    return Retrieved(source, train=rows, test=LabelledRows([], []))


def _from_sample(case: Case, sample_path: Path, reason: str) -> Retrieved:
    sample = load_sample(sample_path, case)
    rows = sample.draw(_rows_of(case, "train") + _rows_of(case, "test"), SAMPLE_SEED)
    train_rows = _rows_of(case, "train")
    digests = {sample_path.name: _digest(sample_path.read_bytes())}
    return Retrieved(
        Source("sample", f"SYNTHETIC sample {sample_path}, {reason}", digests),
        train=LabelledRows(rows.records[:train_rows], rows.labels[:train_rows]),
        test=LabelledRows(rows.records[train_rows:], rows.labels[train_rows:]),
    )


def _rows_of(case: Case, role: Literal["train", "test"]) -> int:
    return sum(file.rows for file in case.data.files if file.role == role)


def _parsed(case: Case, kind: Literal["folder", "download"], sentence: str, contents: dict[str, bytes]) -> Retrieved:
    parts: dict[str, list[LabelledRows]] = {"train": [], "test": []}
    for file in case.data.files:
        parts[file.role].append(parse_file(case, file, contents[file.name]))
    digests = {name: _digest(content) for name, content in contents.items()}
    return Retrieved(Source(kind, sentence, digests), _joined(parts["train"]), _joined(parts["test"]))


def _joined(parts: Sequence[LabelledRows]) -> LabelledRows:
    records = [record for part in parts for record in part.records]
    return LabelledRows(records, [label for part in parts for label in part.labels])


def _faults_of_digest(file: DataFile, content: bytes) -> list[Fault]:
    found = _digest(content)
    if found == file.sha256:
        return []
    return [Fault(file.name, "sha256", f"sha256 is {found}, the case file says {file.sha256}")]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def http_fetch(connect_timeout_s: float, read_timeout_s: float = 30.0) -> Fetch:
    """A :data:`Fetch` over HTTP."""

    def fetch(url: str) -> bytes:
        import requests

        try:
            answer = requests.get(url, timeout=(connect_timeout_s, read_timeout_s))
            answer.raise_for_status()
        except requests.RequestException as error:
            raise TryAgainLaterError(f"{url} can't be downloaded ({_plain(error)})") from error
        return answer.content

    return fetch


def _plain(error: Exception) -> str:
    """requests' own texts are long and repeat the address."""
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code}" if response is not None else type(error).__name__
