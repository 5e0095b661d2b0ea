"""Where data come from, and that it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from answering_server import AnsweringServer
from training_world import TEST_ROWS, TRAIN_ROWS, RawFiles, digest, made_case, no_network, write_sample

from event_backbone.case.schema import Case
from event_backbone.errors import SettingsError, TryAgainLaterError
from training.data.reading import Retrieved, read_raw
from training.data.retrieval import DataLocations, Fetch, http_fetch, retrieve, retrieve_real

RAW = RawFiles()


def _places(folder: Path, data_dir: Path | None = None, *, synthetic_only: bool = False) -> DataLocations:
    return DataLocations(data_dir, folder / "downloads", folder / "samples" / "fruit.json", synthetic_only)


def _rows(case: Case, places: DataLocations, fetch: Fetch) -> Retrieved:
    return read_raw(case, retrieve(case, places, fetch))


class _Web:
    """Serves the made files and remembers what was asked for."""

    def __init__(self, raw: RawFiles = RAW) -> None:
        self._files = {"http://made.up/fruit.data": raw.train, "http://made.up/fruit.test": raw.test}
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        return self._files[url]


def test_a_folder_gives_its_rows_and_their_digests(tmp_path: Path) -> None:
    retrieved = _rows(made_case(), _places(tmp_path, RAW.write(tmp_path / "raw")), no_network)
    assert retrieved.source.kind == "folder"
    assert str(tmp_path / "raw") in retrieved.source.sentence
    assert retrieved.source.digests == {"fruit.data": digest(RAW.train), "fruit.test": digest(RAW.test)}
    assert (len(retrieved.train), len(retrieved.test)) == (TRAIN_ROWS, TEST_ROWS)


def test_a_wrong_digest_names_both_and_nothing_else_is_tried(tmp_path: Path) -> None:
    folder, web = RAW.write(tmp_path / "raw"), _Web()
    write_sample(made_case(), tmp_path / "samples" / "fruit.json")
    (folder / "fruit.test").write_bytes(RAW.test + b"\n")
    with pytest.raises(SettingsError) as caught:
        _rows(made_case(), _places(tmp_path, folder), web)
    assert digest(RAW.test) in str(caught.value)
    assert digest(RAW.test + b"\n") in str(caught.value)
    assert "fruit.test" in str(caught.value)
    assert web.asked == []


def test_a_file_that_is_not_in_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "fruit.data").write_bytes(b"other")
    with pytest.raises(SettingsError) as caught:
        retrieve(made_case(), _places(tmp_path, tmp_path / "raw"), no_network)
    assert [(fault.place, fault.reason) for fault in caught.value.faults] == [("fruit.test", "unreadable")]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        retrieve(made_case(), _places(tmp_path, tmp_path / "nowhere"), _Web())


def test_without_a_folder_the_files_are_downloaded_and_kept(tmp_path: Path) -> None:
    web = _Web()
    retrieved = retrieve(made_case(), _places(tmp_path), web)
    assert retrieved.source.kind == "download"
    assert web.asked == ["http://made.up/fruit.data", "http://made.up/fruit.test"]
    again = retrieve(made_case(), _places(tmp_path), no_network)
    assert again.source == retrieved.source


def test_a_kept_download_that_was_damaged_is_downloaded_again(tmp_path: Path) -> None:
    retrieve(made_case(), _places(tmp_path), _Web())
    (tmp_path / "downloads" / "fruit.data").write_bytes(b"half")
    web = _Web()
    assert retrieve(made_case(), _places(tmp_path), web).source.kind == "download"
    assert web.asked == ["http://made.up/fruit.data"]


def test_a_download_with_a_wrong_digest_is_an_error_and_not_kept(tmp_path: Path) -> None:
    write_sample(made_case(), tmp_path / "samples" / "fruit.json")
    with pytest.raises(SettingsError, match=r"http://made\.up/fruit\.data(.|\n)*sha256 is"):
        retrieve(made_case(), _places(tmp_path), lambda _: b"<html>please log in</html>")
    assert not (tmp_path / "downloads").exists()


def test_without_a_network_the_synthetic_sample_is_drawn_and_the_reason_is_said(tmp_path: Path) -> None:
    path = write_sample(made_case(), tmp_path / "samples" / "fruit.json")
    retrieved = _rows(made_case(), _places(tmp_path), no_network)
    assert retrieved.source.is_synthetic
    assert "SYNTHETIC" in retrieved.source.sentence
    assert "no network" in retrieved.source.sentence
    assert retrieved.source.digests == {"fruit.json": digest(path.read_bytes())}
    assert (len(retrieved.train), len(retrieved.test)) == (TRAIN_ROWS, TEST_ROWS)


def test_the_sample_stands_for_one_data_set(tmp_path: Path) -> None:
    write_sample(made_case(), tmp_path / "samples" / "fruit.json")
    one, other = (retrieve(made_case(), _places(tmp_path), no_network) for _ in range(2))
    assert one == other


def test_the_sample_can_be_asked_for(tmp_path: Path) -> None:
    write_sample(made_case(), tmp_path / "samples" / "fruit.json")
    web = _Web()
    assert retrieve(made_case(), _places(tmp_path, synthetic_only=True), web).source.is_synthetic
    assert web.asked == []


def test_without_any_source_the_missing_sample_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"fruit\.json(.|\n)*train-model sample"):
        retrieve(made_case(), _places(tmp_path), no_network)


def test_real_data_are_never_replaced_where_only_they_will_do(tmp_path: Path) -> None:
    write_sample(made_case(), tmp_path / "samples" / "fruit.json")
    with pytest.raises(TryAgainLaterError):
        retrieve_real(made_case(), _places(tmp_path), no_network)


@pytest.mark.parametrize("size", [10, 11])
def test_a_download_that_is_too_large_can_not_be_had(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.retrieval.MOST_DOWNLOAD_BYTES", 10)
    server = AnsweringServer({"GET /file": bytes(size)})
    if size <= 10:
        assert http_fetch(5.0)(f"{server.url}/file") == bytes(size)
    else:
        with pytest.raises(TryAgainLaterError, match="larger than 10 bytes"):
            http_fetch(5.0)(f"{server.url}/file")
    server.close()
