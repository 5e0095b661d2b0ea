"""New records through the champion, offline: what is read, what is refused, and what is written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from prediction_world import THRESHOLD, made_case, made_class, made_record, made_score, servable_parts
from pyarrow import parquet

from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import encode_json
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import BundleStore, registered_name, write_bundle
from event_backbone.model.scoring import Scorer
from training.__main__ import cli
from training.weekly.new_records import NewRecords, records_in_file
from training.weekly.offline_prediction import BATCH_RECORDS, Predicted, Scored, open_champion, predict
from training.weekly.predict_command import open_output, open_records
from training.weekly.prediction_outputs import ParquetOutput

CASE = made_case()
RECORDS = [made_record(number) for number in range(25)]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder = tmp_path_factory.mktemp("champion")
    return open_champion(CASE, BundleStore(folder / "bundles"), _registry(folder))


def _registry(folder: Path) -> MemoryRegistry:
    registry = MemoryRegistry()
    parts = servable_parts(CASE) | {"decision.json": encode_json({"threshold": THRESHOLD})}
    sha256 = write_bundle(folder / "made", CASE, parts)
    registry.register(folder / "made", sha256, name=registered_name(CASE), alias="champion", run_id="r")
    return registry


def _lines(path: Path, rows: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _csv(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    lines = [",".join(records[0])]
    lines += [",".join("" if value is None else str(value) for value in record.values()) for record in records]
    path.write_text("\n".join(lines) + "\n")
    return path


def _parquet(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    parquet.write_table(pa.Table.from_pylist(list(records)), path)
    return path


def _predicted(scorer: Scorer, source: Path) -> list[dict[str, Any]]:
    """The rows of the file that predicting ``source`` writes."""
    out = source.with_name("out.parquet")
    predict(CASE, scorer, records_in_file(CASE, source), ParquetOutput(CASE, out))
    rows: list[dict[str, Any]] = parquet.read_table(out).to_pylist()
    return rows


@pytest.mark.parametrize(("name", "write"), [("new.csv", _csv), ("new.parquet", _parquet), ("new.jsonl", _lines)])
def test_a_file_of_any_kind_is_scored_row_by_row(name: str, write: Any, scorer: Scorer, tmp_path: Path) -> None:
    rows = _predicted(scorer, write(tmp_path / name, RECORDS))
    assert [row["row"] for row in rows] == list(range(len(RECORDS)))
    assert [row["score"] for row in rows] == pytest.approx([made_score(record) for record in RECORDS], abs=1e-6)
    assert [row["prediction"] for row in rows] == [made_class(row["score"]) for row in rows]
    assert {(row["model_name"], row["model_version"]) for row in rows} == {("streamgauge-garden", "1")}
    assert all(row["faults"] == [] for row in rows)


def test_more_records_than_a_batch_are_all_scored(scorer: Scorer, tmp_path: Path) -> None:
    records = [made_record(number) for number in range(BATCH_RECORDS + 7)]
    assert len(_predicted(scorer, _lines(tmp_path / "new.jsonl", records))) == BATCH_RECORDS + 7


def test_lines_of_the_stream_split_are_read_as_they_are(scorer: Scorer, tmp_path: Path) -> None:
    rows = [{"record": record, "label": "yes"} for record in RECORDS]
    found = _predicted(scorer, _lines(tmp_path / "stream.jsonl", rows))
    assert [row["score"] for row in found] == pytest.approx([made_score(record) for record in RECORDS], abs=1e-6)


def test_what_is_no_column_is_left_out(scorer: Scorer, tmp_path: Path) -> None:
    rows = [{**RECORDS[0], CASE.target.name: "yes", "note": "by hand"}]
    assert _predicted(scorer, _csv(tmp_path / "new.csv", rows))[0]["prediction"] is not None


def test_a_bad_record_is_named_and_its_neighbours_are_scored(scorer: Scorer, tmp_path: Path) -> None:
    bad = [{**RECORDS[0], "leaves": 6000, "height": "tall"}, {"leaves": 1}, [1, 2]]
    rows = _predicted(scorer, _lines(tmp_path / "new.jsonl", [RECORDS[0], *bad, RECORDS[1]]))
    assert [row["prediction"] is None for row in rows] == [False, True, True, True, False]
    assert rows[1]["faults"] == ["leaves: must be at most 5,000", "height: must be a number"]
    assert "height: is missing" in rows[2]["faults"]
    assert rows[3]["faults"] == ["(body): is no JSON object"]


def test_a_record_that_the_model_gives_no_number_for_is_named(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "score", lambda _, records: [0.25, math.nan, 0.5])
    rows = _predicted(scorer, _lines(tmp_path / "new.jsonl", RECORDS[:3]))
    assert [row["prediction"] is None for row in rows] == [False, True, False]
    assert rows[1]["faults"] == ["(body): its values are so large that the model gives no number"]


def test_a_line_that_is_no_json_has_no_prediction(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text(json.dumps(RECORDS[0]) + "\n{oh\n")
    assert [row["prediction"] is None for row in _predicted(scorer, path)] == [False, True]


def test_a_csv_line_with_too_few_or_too_many_fields_has_no_prediction(scorer: Scorer, tmp_path: Path) -> None:
    path = _csv(tmp_path / "new.csv", RECORDS[:1])
    path.write_text(path.read_text() + "1,2\n1,2,3,4,5,6,7,8\n")
    rows = _predicted(scorer, path)
    assert [row["faults"] for row in rows[1:]] == [["(line): has other than 6 fields"]] * 2


def test_missing_values_of_a_table_are_missing(scorer: Scorer, tmp_path: Path) -> None:
    record = {**RECORDS[0], "drift_south": float("nan"), "neighbour": None, "leaves": 7.0}
    [row] = _predicted(scorer, _parquet(tmp_path / "new.parquet", [record]))
    expected = made_score({**RECORDS[0], "drift_south": None, "neighbour": None, "leaves": 7})
    assert row["score"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("value", ["7.5", "seven", "inf", ""])
def test_a_text_that_is_no_whole_number_is_a_fault_of_its_column(value: str, scorer: Scorer, tmp_path: Path) -> None:
    [row] = _predicted(scorer, _csv(tmp_path / "new.csv", [{**RECORDS[0], "leaves": value}]))
    assert [fault.partition(":")[0] for fault in row["faults"]] == ["leaves"]


def test_a_record_keeps_its_id_and_one_without_gets_the_same_each_time(scorer: Scorer, tmp_path: Path) -> None:
    source = _lines(tmp_path / "new.jsonl", [{**RECORDS[0], "record_id": "mine-1"}, RECORDS[1]])
    first, again = _predicted(scorer, source), _predicted(scorer, source)
    assert first[0]["record_id"] == "mine-1"
    assert [row["record_id"] for row in first] == [row["record_id"] for row in again]
    assert first[1]["record_id"].endswith("-1")


def test_a_bad_id_is_a_fault(scorer: Scorer, tmp_path: Path) -> None:
    [row] = _predicted(scorer, _lines(tmp_path / "new.jsonl", [{**RECORDS[0], "record_id": "no blanks"}]))
    assert row["faults"] == ["record_id: must be 1 to 128 characters of A-Z a-z 0-9 . _ : ~ -, and not . or .. alone"]


def test_a_header_without_a_column_stops_at_once(scorer: Scorer, tmp_path: Path) -> None:
    source = _csv(tmp_path / "new.csv", [{"leaves": 1}])
    with pytest.raises(SettingsError, match="has no field 'height'"):
        _predicted(scorer, source)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(("name", "content"), [("new.parquet", b"PAR"), ("new.csv", b"\xff\xfe\xff")])
def test_a_file_that_is_not_what_its_name_says_stops_with_one_line(
    name: str, content: bytes, scorer: Scorer, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SettingsError, match="--in"):
        _predicted(scorer, tmp_path / name)


def test_an_empty_file_is_an_error(scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").touch()
    with pytest.raises(SettingsError, match="holds no records"):
        _predicted(scorer, tmp_path / "new.jsonl")


def test_a_source_that_goes_away_leaves_the_old_file_in_place(scorer: Scorer, tmp_path: Path) -> None:
    def rows() -> Any:
        yield RECORDS[0]
        raise TryAgainLaterError("gone")

    out = tmp_path / "out.parquet"
    out.write_bytes(b"old")
    with pytest.raises(TryAgainLaterError):
        predict(CASE, scorer, NewRecords("made", rows), ParquetOutput(CASE, out))
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_place_that_goes_away_is_told_that_nothing_more_comes(scorer: Scorer) -> None:
    class Away:
        name = "away"
        discarded = False

        def write(self, batch: Sequence[Scored]) -> None:
            raise TryAgainLaterError("gone")

        def close(self) -> None:
            raise AssertionError

        def discard(self) -> None:
            self.discarded = True

    place = Away()
    with pytest.raises(TryAgainLaterError):
        predict(CASE, scorer, NewRecords("made", lambda: iter(RECORDS)), place)
    assert place.discarded


def test_without_a_champion_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="train one first"):
        open_champion(CASE, BundleStore(tmp_path), MemoryRegistry())


def test_what_was_done_is_one_sentence() -> None:
    done = Predicted("streamgauge-garden version 1", 1200, 3, "out.parquet")
    assert done.sentence == (
        "1,197 predictions of streamgauge-garden version 1 are in out.parquet;"
        " 3 are no valid records and have no prediction"
    )


@pytest.mark.parametrize("source", ["new.txt", "new", "missing.csv"])
def test_a_source_that_nothing_reads_is_an_error_of_the_settings(source: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--in"):
        open_records(CASE, str(tmp_path / source))


def test_a_collection_belongs_to_mongodb(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--collection"):
        open_records(CASE, str(tmp_path / "new.csv"), "new")


def test_a_destination_that_nothing_writes_is_an_error_of_the_settings() -> None:
    with pytest.raises(SettingsError, match="--out"):
        open_output(CASE, "out.csv")


def test_the_command_says_what_it_needs() -> None:
    answer = CliRunner().invoke(cli, ["predict", "--in", "new.csv"])
    assert answer.exit_code == 2
    assert "--out" in answer.output


def test_a_name_that_stands_twice_in_a_line_counts_with_its_last_value(scorer: Scorer, tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    record = json.dumps(made_record(leaves=80))
    path.write_text(f'{{"leaves": 1, {record[1:]}\n')
    assert [row["score"] for row in _predicted(scorer, path)] == [pytest.approx(made_score(made_record(leaves=80)))]
