"""The journal's tables: one home for their names, and files of before that stay readable."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from event_backbone.events.schema import Erasure, FaultCount, Label, ModelRef, Prediction, Rejections, decode_event
from event_backbone.prediction_log import journal_layout as layout
from event_backbone.prediction_log.journal_layout import Entry, entry_of

ROOT = Path(__file__).parents[4]
PACKAGES = (
    *("event_backbone", "prediction_service", "monitoring_service", "stream_generator", "training", "local_stack"),
    "benchmarks",
)
THEN = "2026-01-01T00:00:00.000000Z"
PREDICTION = Prediction(
    record_id="a:b",
    case="shop",
    case_sha256="1" * 64,
    content_hash="abc",
    record={"price": 1.5},
    score=0.5,
    prediction="yes",
    model=ModelRef("model", "1"),
    bundle_sha256="0" * 64,
    predicted_at=THEN,
)


def test_nobody_else_spells_a_table_of_the_journal() -> None:
    spelled = re.compile(r"\b(FROM|INTO|UPDATE|TABLE|EXISTS)\s+(entries|identity)\b")
    files = {path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    users = {str(path.relative_to(ROOT)) for path in files if spelled.search(path.read_text())}
    assert users == {"event_backbone/prediction_log/journal_layout.py"}


def test_the_columns_are_those_of_files_that_are_there_already() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(layout.SCHEMA)
        columns = {
            table: [f"{name} {kind}" for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})")]
            for table in ("entries", "identity")
        }
    assert columns == {
        "entries": [
            *("seq INTEGER", "event_id TEXT", "kind TEXT", "record_id TEXT", "content_hash TEXT", "body BLOB"),
            "appended_at TEXT",
        ],
        "identity": ["journal_id TEXT", "given_seq INTEGER"],
    }


def test_a_prediction_is_kept_under_its_record() -> None:
    entry = entry_of(PREDICTION)
    assert entry == Entry("prediction:a:b", "prediction", "a:b", "abc", entry.body, THEN)
    assert decode_event(entry.body) == PREDICTION


def test_an_erasure_takes_the_place_of_the_prediction() -> None:
    entry = entry_of(Erasure(record_id="a:b", case="shop", erased_at=THEN))
    assert (entry.event_id, entry.kind, entry.content_hash) == (entry_of(PREDICTION).event_id, "erasure", "")


def test_rejections_belong_to_no_record() -> None:
    rejections = Rejections("x", "shop", THEN, THEN, 5, [FaultCount("price", "range", 5)])
    entry = entry_of(rejections)
    assert (entry.event_id, entry.kind, entry.record_id, entry.appended_at) == ("rejections:x", "rejections", "", THEN)


@pytest.mark.parametrize("record_id", ["a", "a:b", "a;", "label:a"])
def test_the_keys_of_a_record_find_its_rows_and_no_others(record_id: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(layout.SCHEMA)
        ids = ("a", "a:b", "a;", "label:a", "b")
        labels = [entry_of(Label(one, "shop", value, THEN)) for one in ids for value in ("x", "y")]
        erasures = [entry_of(Erasure(one, "shop", THEN)) for one in ids]
        numbered = list(enumerate([*labels, *erasures], 1))
        db.execute(layout.insert_statement(len(numbered)), layout.insert_values(numbered))
        assert len(db.execute(layout.SELECT_LABELS, layout.label_keys(record_id)).fetchall()) == 2
        assert db.execute(layout.DELETE_RECORD, layout.record_keys(record_id)).rowcount == 3
