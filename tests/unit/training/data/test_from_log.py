"""Training on what was predicted and labelled."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from training_world import made_case, made_parts, made_rows, priced_rows, regression_case, silent, write_sample

from event_backbone.case.schema import Case
from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import Event, Label, ModelRef, Prediction, content_hash
from event_backbone.in_memory.log import MemoryLog
from event_backbone.prediction_log.journal_layout import entry_of
from prediction_service.journal.writer import Journal
from training.__main__ import main
from training.data.parts import divide, divide_newest
from training.data.raw import DataOrigin
from training.data.retrieval import retrieve_from_log
from training.data.rows import LabelledRows
from training.fitting.challenger import TrainingPlan
from training.flow.training_flow import train

#: (250 + 100 + 30) / 0.8, and one for the stream
NEEDED = 476


def logged(case: Case, rows: LabelledRows) -> list[Event]:
    """A prediction for each row, and its label."""
    events: list[Event] = []
    for number, (record, label) in enumerate(zip(rows.records, rows.labels, strict=True)):
        at = f"2026-03-01T00:{number // 60:02}:{number % 60:02}.000000Z"
        model = ModelRef("streamgauge-fruit", "1")
        digest = content_hash(record)
        events += [
            Prediction(f"r{number}", case.name, case.sha256, dict(record), label, 0.5, model, "b" * 64, at, digest),
            Label(f"r{number}", case.name, label, at),
        ]
    return events


def log_of(events: Sequence[Event]) -> MemoryLog:
    log = MemoryLog()
    log.keep(events)
    return log


def test_labelled_predictions_become_rows_oldest_first() -> None:
    case, rows = made_case(), made_rows(1500)
    retrieved = retrieve_from_log(case, log_of(logged(case, rows)))
    assert retrieved.train == rows
    assert len(retrieved.test) == 0
    assert retrieved.source.kind == "log"
    assert "1,500 predictions with a label, of 1,500" in retrieved.source.sentence


@pytest.mark.parametrize(("case", "drawn"), [(made_case(), NEEDED - 1), (regression_case(), 363)])
def test_what_the_model_and_its_promotion_come_from_are_disjoint_parts_of_the_newest(case: Case, drawn: int) -> None:
    rows = made_rows(1500) if case.is_binary else priced_rows(1500)
    data = divide(case, retrieve_from_log(case, log_of(logged(case, rows))), seed=7)
    parts = (data.fit, data.reference, data.gate, data.test)
    assert sorted(record["number"] for part in parts for record in part.records) == list(range(1500 - drawn, 1500))
    assert [record["number"] for record in data.stream.records] == list(range(1500 - drawn))


def test_a_reference_is_worth_its_different_records() -> None:
    case, rows, source = made_case(), made_rows(60), DataOrigin("log", "made", {})
    once = divide_newest(case, source, rows, seed=7)
    assert once.independent_reference_rows() == len(once.reference)
    sent_again = LabelledRows([*rows.records] * 3, [*rows.labels] * 3)
    thrice = divide_newest(case, source, sent_again, seed=7)
    different = {record["number"] for record in thrice.reference.records}
    assert len(thrice.reference) == 3 * len(different)
    assert thrice.independent_reference_rows() == len(different)
    not_of_a_log = replace(thrice, source=DataOrigin("folder", "made", {}))
    assert not_of_a_log.independent_reference_rows() == len(thrice.reference)


def test_without_a_label_or_with_a_record_of_another_case_file_a_prediction_is_left_out() -> None:
    case = made_case()
    events = logged(case, made_rows(NEEDED + 2))
    assert isinstance(events[4], Prediction)
    events[4] = Prediction(**{**{name: getattr(events[4], name) for name in events[4].__struct_fields__}, "record": {}})
    retrieved = retrieve_from_log(case, log_of([*events[:3], *events[4:]]))  # r1 has no label
    assert len(retrieved.train) + len(retrieved.test) == NEEDED
    assert f"of {NEEDED + 2} in the log" in retrieved.source.sentence


def test_the_latest_label_is_trained_on() -> None:
    case = made_case()
    events = logged(case, made_rows(NEEDED))
    positive, negative = case.target.positive, case.target.negative
    turned = [
        Label(event.record_id, case.name, negative if event.label == positive else positive, "2026-04-01T00:00:00Z")
        for event in events
        if isinstance(event, Label)
    ]
    retrieved = retrieve_from_log(case, log_of([*events, *turned]))
    assert [*retrieved.train.labels, *retrieved.test.labels] == [label.label for label in turned]


def test_too_few_labels_are_said_with_how_many_it_takes() -> None:
    case = made_case()
    with pytest.raises(SettingsError, match=f"holds {NEEDED - 1} predictions with a label .* needs {NEEDED}"):
        retrieve_from_log(case, log_of(logged(case, made_rows(NEEDED - 1))))


def test_a_case_that_holds_test_rows_out_itself_gets_all_rows() -> None:
    case = regression_case()
    rows = made_rows(400)
    priced = LabelledRows(rows.records, [float(number) for number in range(400)])
    retrieved = retrieve_from_log(case, log_of(logged(case, priced)))
    assert (len(retrieved.train), len(retrieved.test)) == (400, 0)


def test_a_log_that_is_away_is_not_replaced_by_another_source(tmp_path: Path) -> None:
    log = log_of([])
    log.away = "cable cut"
    write_sample(made_case(), tmp_path / "samples" / "fruit.json")
    parts = made_parts(tmp_path)
    with pytest.raises(TryAgainLaterError, match="cable cut"):
        train(made_case(), TrainingPlan(7), replace(parts, places=replace(parts.places, log=log)), silent())


def test_the_command_reads_a_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = made_case()
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "fruit.yaml").write_text(case.model_dump_json(), encoding="utf-8")
    with closing(Journal(tmp_path / "journal.sqlite", max_bytes=2**30)) as journal:
        journal.append([entry_of(event) for event in logged(case, made_rows(20))])
    for name, value in {"CASE": "fruit", "CASES_DIR": tmp_path / "cases", "STATE_DIR": tmp_path / "var"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(sys, "argv", ["train-model", "--from-log", str(tmp_path / "journal.sqlite")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "holds 20 predictions with a label (20 in all); this case needs 476" in capsys.readouterr().err
