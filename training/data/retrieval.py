"""Retrieval of raw data: from a folder, a download, or the synthetic sample; with their origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from event_backbone.case.schema import Case, DataFile
from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.ports import PredictionLog
from event_backbone.web.http_client import content_of
from training.data.labelled_log import read_labelled
from training.data.raw import DataOrigin, Raw, digest_of, faults_of_digest, raw_of_rows
from training.data.reading import Retrieved, read_raw
from training.data.rows import LabelledRows
from training.data.splitting import log_rows_needed
from training.data.synthetic import load_sample

#: Downloads a URL; raises :class:`TryAgainLaterError` when it can't be had.
Fetch = Callable[[str], bytes]

#: The sample stands for a fixed data set: the seed of training does not change what is drawn from it.
SAMPLE_SEED = 1994
ROLES = ("train", "test")
#: Of one file; it is read into memory before anybody knows whether it is the right one.
MOST_DOWNLOAD_BYTES = 1024 * 1024 * 1024


class RowCollection(Protocol):
    """The port for a database's collection of a case's raw rows.

    :meth:`push` replaces what the collection holds, and is durable on return; :meth:`read` gives the rows back in the
    order in which they were pushed. Both raise :class:`~event_backbone.errors.TryAgainLaterError` when it is away.
    """

    def push(self, train: LabelledRows, test: LabelledRows) -> None: ...

    def read(self) -> Retrieved: ...


@dataclass(frozen=True)
class DataLocations:
    """Where data may be found. With ``log``, ``collection`` or ``data_dir`` nothing else is tried."""

    data_dir: Path | None
    downloads_dir: Path
    sample_path: Path
    synthetic_only: bool = False
    log: PredictionLog | None = None
    collection: RowCollection | None = None


def retrieve(case: Case, places: DataLocations, fetch: Fetch) -> Raw:
    """Get the case's raw data as they are; :mod:`training.data.reading` judges what they hold.

    Raises:
        SettingsError: a file can't be had, a download has another sha256 than the case file says, or a log has too few
            labels. A folder, a collection or a log that was asked for is never replaced by another source.
        TryAgainLaterError: the log or the collection is away.
    """
    if places.log is not None:
        return _raw(retrieve_from_log(case, places.log))
    if places.collection is not None:
        return _raw(places.collection.read())
    if places.synthetic_only:
        return _from_sample(case, places.sample_path, "as asked for")
    try:
        return _real(case, places, fetch)
    except TryAgainLaterError as error:
        return _from_sample(case, places.sample_path, f"because {error}; set DATA_DIR to train on real files")


def retrieve_real(case: Case, places: DataLocations, fetch: Fetch) -> Retrieved:
    """The rows of the real files, without the sample to fall back on.

    Raises:
        SettingsError: a file is not what the case file says.
        TryAgainLaterError: a download fails.
    """
    return read_raw(case, _real(case, places, fetch))


def _real(case: Case, places: DataLocations, fetch: Fetch) -> Raw:
    if places.data_dir is not None:
        return _from_folder(case, places.data_dir)
    return _from_download(case, places.downloads_dir, fetch)


def _raw(retrieved: Retrieved) -> Raw:
    return raw_of_rows(retrieved.source, retrieved.train, retrieved.test)


def _from_folder(case: Case, folder: Path) -> Raw:
    contents: dict[str, bytes] = {}
    faults: list[Fault] = []
    for file in case.data.files:
        try:
            contents[file.name] = (folder / file.name).read_bytes()
        except OSError as error:
            faults.append(Fault(file.name, "unreadable", (error.strerror or "can't be read").lower()))
    if faults:
        raise SettingsError(f"DATA_DIR {folder}", faults)
    return Raw(DataOrigin("folder", f"the files in {folder}", _digests(contents)), contents)


def _from_download(case: Case, downloads_dir: Path, fetch: Fetch) -> Raw:
    contents = {file.name: _downloaded(file, downloads_dir, fetch) for file in case.data.files}
    return Raw(DataOrigin("download", f"downloaded files, kept in {downloads_dir}", _digests(contents)), contents)


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: digest_of(content) for name, content in contents.items()}


def _downloaded(file: DataFile, downloads_dir: Path, fetch: Fetch) -> bytes:
    """A file from an earlier download, or from its URL; kept only when its digest is right."""
    kept = downloads_dir / file.name
    if kept.is_file() and not faults_of_digest(file, kept.read_bytes()):
        return kept.read_bytes()
    content = fetch(file.url)
    faults = faults_of_digest(file, content)
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
    source = DataOrigin("log", sentence, {"log": found.digest})
    return Retrieved(source, train=rows, test=LabelledRows([], []))


def _from_sample(case: Case, sample_path: Path, reason: str) -> Raw:
    sample = load_sample(sample_path, case)
    train_rows, test_rows = (sum(file.rows for file in case.data.files if file.role == role) for role in ROLES)
    rows = sample.draw(train_rows + test_rows, SAMPLE_SEED)
    digests = {sample_path.name: digest_of(sample_path.read_bytes())}
    return raw_of_rows(
        DataOrigin("sample", f"SYNTHETIC sample {sample_path}, {reason}", digests),
        train=LabelledRows(rows.records[:train_rows], rows.labels[:train_rows]),
        test=LabelledRows(rows.records[train_rows:], rows.labels[train_rows:]),
    )


def http_fetch(connect_timeout_s: float, read_timeout_s: float = 30.0) -> Fetch:
    """A :data:`Fetch` over HTTP."""

    def fetch(url: str) -> bytes:
        import requests

        try:
            with requests.get(url, timeout=(connect_timeout_s, read_timeout_s), stream=True) as answer:
                answer.raise_for_status()
                return content_of(answer, MOST_DOWNLOAD_BYTES)
        except requests.RequestException as error:
            raise TryAgainLaterError(f"{url} can't be downloaded ({_plain(error)})") from error

    return fetch


def _plain(error: Exception) -> str:
    """requests' own texts are long and repeat the address."""
    response = getattr(error, "response", None)
    return f"HTTP {response.status_code}" if response is not None else type(error).__name__
