"""Bad data files: each stops at `validate` with the reason, and nothing is registered."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from training_world import (
    PLAN,
    RawFiles,
    digest,
    made_case,
    made_parts,
    no_network,
    priced_rows,
    regression_case,
    silent,
)

from event_backbone.case.files import case_from_dict
from event_backbone.case.schema import Case
from event_backbone.errors import SettingsError
from training.data.retrieval import DataLocations
from training.flow.training_flow import FlowParts, train
from training.pipeline.folders import PipelineFolders
from training.pipeline.stages import retrieve_data, validate_data

FILES = RawFiles()
FIELDS = ["number", "weight", "sugar", "colour", "price"]


def _lines(content: bytes) -> list[list[str]]:
    return [line.split(", ") for line in content.decode().splitlines() if line.strip() and not line.startswith("|")]


def _text(lines: list[list[str]]) -> bytes:
    return "\n".join(", ".join(fields) for fields in lines).encode() + b"\n"


def _dotted(content: bytes) -> bytes:
    return content.replace(b"yes\n", b"yes.\n").replace(b"no\n", b"no.\n")


def _first_weight(text: str) -> bytes:
    first, *rest = _lines(FILES.train)
    return _text([[first[0], text, *first[2:]], *rest])


BAD_FILES = [
    pytest.param(
        {"fruit.data": _text([[*fields[:1], *fields[2:]] for fields in _lines(FILES.train)])},
        r"fruit\.data, \(every line\): has 4 fields, expected 5: number, weight, sugar, colour, ripe",
        id="column missing",
    ),
    pytest.param(
        {"fruit.data": _first_weight("heavy")}, r"fruit\.data, line 1: weight must be a number", id="wrong type"
    ),
    pytest.param(
        {"fruit.data": _text([["number", "weight", "sugar", "colour", "ripe"], *_lines(FILES.train)])},
        r"fruit\.data, line 1: number must be a number",
        id="a header where there is none",
    ),
    pytest.param(
        {"fruit.data": _text([[fields[3], *fields[1:3], fields[0], fields[4]] for fields in _lines(FILES.train)])},
        r"fruit\.data, line 1: number must be",
        id="shuffled columns",
    ),
    pytest.param(
        {"fruit.data": _dotted(FILES.train)},
        r"fruit\.data, line 1: ripe is no label of this case",
        id="a final dot in the file that has none",
    ),
    pytest.param(
        {"fruit.test": FILES.test.replace(b".\n", b"\n")},
        r"fruit\.test, line 2: ripe must end with '\.' in this file",
        id="no final dot in the file that has it",
    ),
    pytest.param({"fruit.data": b""}, r"fruit\.data, \(file\): is empty", id="empty"),
    pytest.param({"fruit.test": b"\n"}, r"fruit\.test, \(file\): is empty", id="empty test file"),
    pytest.param(
        {"fruit.data": FILES.train.split(b"\n")[0]}, r"fruit\.data, \(file\): holds 1 records, expected 400", id="cut"
    ),
]


def _written(folder: Path, files: Mapping[str, bytes]) -> Path:
    FILES.write(folder)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _is_untouched(parts: FlowParts) -> bool:
    return (
        parts.registry.versions("streamgauge-fruit") == []
        and parts.bundles.current() is None
        and not (parts.splits_dir / "stream.jsonl").exists()
    )


@pytest.mark.parametrize(("files", "reason"), BAD_FILES)
def test_a_bad_file_stops_at_validate_with_its_reason_and_nothing_is_registered(
    tmp_path: Path, files: Mapping[str, bytes], reason: str
) -> None:
    parts = made_parts(tmp_path / "state", data_dir=_written(tmp_path / "raw", files))
    with pytest.raises(SettingsError, match=rf"^validate: (.|\n)*{reason}"):
        train(made_case(), PLAN, parts, silent())
    assert _is_untouched(parts)


@pytest.mark.parametrize(("files", "reason"), BAD_FILES)
def test_the_same_is_said_where_the_case_file_pins_the_bad_file(
    tmp_path: Path, files: Mapping[str, bytes], reason: str
) -> None:
    """The reason is what the file holds, not its digest alone."""
    raw, case = _written(tmp_path / "raw", files), made_case()
    pinned = [file.model_copy(update={"sha256": digest((raw / file.name).read_bytes())}) for file in case.data.files]
    case = case.model_copy(update={"data": case.data.model_copy(update={"files": pinned})})
    parts = made_parts(tmp_path / "state", data_dir=raw)
    with pytest.raises(SettingsError, match=reason) as caught:
        train(case, PLAN, parts, silent())
    assert "sha256" not in str(caught.value)
    assert _is_untouched(parts)


def _csv(header: list[str], records: list[dict[str, Any]]) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if record[name] is None else record[name] for name in FIELDS] for record in records])
    return written.getvalue().encode()


def _priced_case(content: bytes) -> Case:
    made = regression_case().model_dump(mode="json")
    made["data"]["format"]["fields"] = FIELDS
    made["data"]["files"][0]["sha256"] = digest(content)
    return case_from_dict(made, subject="made case")


def test_a_shuffled_header_stops_at_validate(tmp_path: Path) -> None:
    rows = priced_rows(400)
    records = [{**record, "price": price} for record, price in zip(rows.records, rows.labels, strict=True)]
    content = _csv(["weight", "number", "sugar", "colour", "price"], records)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "fruit.csv").write_bytes(content)
    parts = made_parts(tmp_path / "state", data_dir=tmp_path / "raw")
    with pytest.raises(SettingsError, match=r"^validate: (.|\n)*fruit\.csv, header: is not the case file's"):
        train(_priced_case(content), PLAN, parts, silent())
    assert parts.registry.versions("streamgauge-fruit-prices") == []


def test_the_stage_leaves_no_rows_of_bad_data_for_the_next_one(tmp_path: Path) -> None:
    folders, parts = PipelineFolders(tmp_path / "pipeline"), made_parts(tmp_path / "state")
    places = DataLocations(_written(tmp_path / "raw", {}), tmp_path / "downloads", tmp_path / "none.json")
    retrieve_data(made_case(), folders, places, no_network, silent())
    validate_data(made_case(), folders, parts.quality, silent())
    assert (folders.rows / "train.jsonl").is_file()
    _written(tmp_path / "raw", {"fruit.data": b""})
    retrieve_data(made_case(), folders, places, no_network, silent())
    with pytest.raises(SettingsError, match="is empty"):
        validate_data(made_case(), folders, parts.quality, silent())
    assert not (folders.rows / "train.jsonl").exists()
