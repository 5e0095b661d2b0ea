"""The command line: what it says, and how it ends."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from training_world import COLUMNS, RawFiles, made_case, write_sample

from training.__main__ import main


@pytest.fixture
def cases_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the made case and its sample, which the environment points to."""
    folder = tmp_path / "cases"
    folder.mkdir()
    # JSON is YAML, too.
    (folder / "fruit.yaml").write_text(made_case().model_dump_json(), encoding="utf-8")
    write_sample(made_case(), folder / "samples" / "fruit.json")
    monkeypatch.setenv("CASE", "fruit")
    monkeypatch.setenv("CASES_DIR", str(folder))
    monkeypatch.setenv("STATE_DIR", str(tmp_path / "var"))
    return folder


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["train-model", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("cases_dir")
def test_a_wrong_digest_ends_the_command_and_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RawFiles(train=b"other\n").write(tmp_path / "raw")
    assert _run(monkeypatch, "--data-dir", str(folder)) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err.startswith("train-model: validate: ")
    for file in made_case().data.files[:1]:
        assert file.sha256 in said.err
    assert not (tmp_path / "var").exists()


@pytest.mark.usefixtures("cases_dir")
def test_a_data_dir_of_the_environment_is_taken_as_seriously(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nowhere"))
    assert _run(monkeypatch) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.usefixtures("cases_dir")
def test_an_unknown_case_is_answered_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "--case", "vegetables") == 2
    assert "there are: fruit" in capsys.readouterr().err


@pytest.mark.usefixtures("cases_dir")
def test_every_faulty_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRAINING_SEED", "seven")
    monkeypatch.setenv("TRAINING_THREADS", "0")
    assert _run(monkeypatch) == 2
    error = capsys.readouterr().err
    assert "TRAINING_SEED" in error
    assert "TRAINING_THREADS" in error


@pytest.mark.usefixtures("cases_dir")
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_rows_can_be_drawn_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    out = tmp_path / f"drawn{suffix}"
    assert _run(monkeypatch, "sample", "--draw", "20", "--out", str(out)) == 0
    lines = out.read_text(encoding="utf-8").splitlines()
    if suffix == ".csv":
        rows = list(csv.reader(lines))
        assert rows[0] == [*(column["name"] for column in COLUMNS), "ripe"]
        assert len(rows) == 21
    else:
        assert len(lines) == 20
        assert sorted(json.loads(lines[0])) == ["label", "record"]


@pytest.mark.usefixtures("cases_dir")
def test_drawing_without_a_file_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(monkeypatch, "sample", "--draw", "20") == 2


def test_the_sample_can_be_refitted(
    cases_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cases_dir / "samples" / "fruit.json").unlink()
    folder = RawFiles().write(tmp_path / "raw")
    assert _run(monkeypatch, "sample", "--data-dir", str(folder)) == 0
    assert "400 training rows" in capsys.readouterr().out
    sample = json.loads((cases_dir / "samples" / "fruit.json").read_bytes())
    assert sample["fitted_on"] == {"digests": {"fruit.data": made_case().data.files[0].sha256}, "rows": 400}


@pytest.mark.usefixtures("cases_dir")
@pytest.mark.parametrize("arguments", [("--help",), ("sample", "--help")])
def test_help_has_examples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert _run(monkeypatch, *arguments) == 0
    assert "train-model sample --case" in capsys.readouterr().out
