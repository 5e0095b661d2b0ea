"""Reading the stream split and handing it out in a seeded order."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from event_backbone.errors import SettingsError
from stream_generator.scenario.records import MOST_FAULTS_LISTED, StreamRow, endless, read_rows

ROWS = [StreamRow({"x": number}, float(number)) for number in range(20)]


def _taken(number: int, seed: int) -> list[int]:
    return [row.record["x"] for row in islice(endless(ROWS, np.random.default_rng(seed)), number)]


def test_rows_are_read_with_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_text('{"record": {"x": 1}, "label": "a"}\n\n{"record": {"x": null}}\n')
    assert read_rows(path) == [StreamRow({"x": 1}, "a"), StreamRow({"x": None}, None)]


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_text('{"record": {"x": 1}}\nnot json\n{"label": 3}\n')
    with pytest.raises(SettingsError) as raised:
        read_rows(path)
    assert [fault.place for fault in raised.value.faults] == ["line 2", "line 3"]


def test_a_file_wrong_throughout_does_not_fill_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_text("x\n" * 1000)
    with pytest.raises(SettingsError, match=f"and {1000 - MOST_FAULTS_LISTED} more") as raised:
        read_rows(path)
    assert len(raised.value.faults) == MOST_FAULTS_LISTED + 1


def test_a_missing_and_an_empty_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="train-model"):
        read_rows(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(SettingsError, match="holds no record"):
        read_rows(tmp_path / "empty.jsonl")


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    assert _taken(50, seed=1) == _taken(50, seed=1)
    assert _taken(50, seed=1) != _taken(50, seed=2)


def test_each_pass_has_every_row_once_in_another_order() -> None:
    taken = _taken(60, seed=1)
    passes = [taken[:20], taken[20:40], taken[40:]]
    assert all(sorted(part) == list(range(20)) for part in passes)
    assert passes[0] != passes[1] != passes[2]
