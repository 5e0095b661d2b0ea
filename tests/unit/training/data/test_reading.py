"""Raw data in folders, and what is found wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from training_world import RawFiles, made_case, made_rows

from event_backbone.errors import SettingsError
from training.data.raw import TRAIN_ROWS_FILE, DataOrigin, Raw, load_raw, raw_of_rows, write_raw
from training.data.reading import look_at, read_raw
from training.data.rows import LabelledRows

FILES = RawFiles()
NO_ROWS = LabelledRows([], [])


def _raw(train: bytes = FILES.train, test: bytes = FILES.test) -> Raw:
    return Raw(DataOrigin("folder", "made", {}), {"fruit.data": train, "fruit.test": test})


def _rows(lines: bytes) -> Raw:
    return Raw(DataOrigin("collection", "made", {}), {TRAIN_ROWS_FILE: lines})


def _faults(raw: Raw) -> Mapping[str, str]:
    return {fault.place: fault.message for fault in look_at(made_case(), raw)[1]}


def test_raw_data_come_back_from_a_folder_as_they_were(tmp_path: Path) -> None:
    raw = Raw(DataOrigin("folder", "the files", {"fruit.data": "00"}), {"fruit.data": b"\xff1\r\n", "fruit.test": b""})
    write_raw(tmp_path / "raw", raw)
    assert load_raw(tmp_path / "raw") == raw


def test_a_folder_without_raw_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="train-model retrieve"):
        load_raw(tmp_path)


def test_rows_keep_their_order_and_their_types() -> None:
    rows = made_rows(50)
    read = read_raw(made_case(), raw_of_rows(DataOrigin("log", "made", {}), rows, NO_ROWS))
    assert read.train == rows
    assert [type(record["weight"]) for record in read.train.records] == [int] * 50
    assert len(read.test) == 0


def test_an_untouched_folder_has_no_faults() -> None:
    assert _faults(_raw()) == {}


def test_another_digest_is_named_after_what_the_file_holds() -> None:
    changed = FILES.train.replace(b", red,", b", 7,", 1).replace(b"\n1, ", b"\n1, heavy", 1)
    faults = look_at(made_case(), _raw(train=changed))[1]
    assert [fault.place for fault in faults] == ["fruit.data, line 2", "fruit.data"]
    assert faults[0].message.endswith("must be a number")
    assert faults[1].message.startswith(f"sha256 is {hashlib.sha256(changed).hexdigest()}")


def test_an_empty_file_is_named() -> None:
    assert _faults(_raw(test=b""))["fruit.test, (file)"] == "is empty"


def test_labels_with_a_dot_in_the_wrong_file_are_named_by_line() -> None:
    dotted = FILES.train.replace(b"yes\n", b"yes.\n").replace(b"no\n", b"no.\n")
    assert _faults(_raw(train=dotted))["fruit.data, line 1"] == "ripe is no label of this case"


def test_rows_that_are_no_records_are_named_by_line() -> None:
    lines = b'{"record": {"number": 1, "weight": 80, "sugar": null, "colour": "red"}, "label": "yes"}\n'
    broken = b'{"record": {"number": 1, "weight": -1, "colour": "red", "shade": 1}, "label": "maybe"}\nno json\n{}\n'
    faults = look_at(made_case(), _rows(lines + broken))[1]
    assert [(fault.place, fault.message) for fault in faults] == [
        ("train.jsonl, line 2", "weight must be at least 0"),
        ("train.jsonl, line 2", "sugar is missing"),
        ("train.jsonl, line 2", "shade is not a column of this case"),
        ("train.jsonl, line 2", "ripe is no label of this case"),
        ("train.jsonl, line 3", 'must be {"record": {...}, "label": ...}'),
        ("train.jsonl, line 4", 'must be {"record": {...}, "label": ...}'),
    ]


def test_bad_data_stop_at_validate_with_every_fault() -> None:
    with pytest.raises(SettingsError, match=r"^validate: (.|\n)*fruit\.data, \(file\): is empty"):
        read_raw(made_case(), replace(_raw(), files={}))
