"""The check at the end of a bounded run: every fault is found, and named as what it is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from event_backbone.errors import StopError
from local_stack.documents import Counted, GeneratorSummary, ReplicaStatusDocument, read_document
from local_stack.reconciliation import Check, reconcile

N = 6000


def _documents() -> dict[str, dict[str, Any]]:
    """What the three sides say after a run in which all went well."""
    return {
        "sent": {
            "sent": N,
            "answered": N,
            "failed": 0,
            "labels_sent": N,
            "labels_failed": 0,
            "faults": {},
            "scenario": {"name": "shift", "start_index": 3000, "columns": ["size", "colour"]},
        },
        "kept": {
            "journal": {"predictions": N, "labels": N, "rejections": 0},
            "sinks": {"monitoring": {"lag": 0, "parked": 0, "fault": None}},
        },
        "counted": {
            "totals": {"predictions": N, "labels": N, "rejected_records": 0, "unmatched_labels": 0, "duplicates": 40},
            "episodes": [
                {"column": "size", "confirmed_at_row": 3200, "ended_at_row": None},
                {"column": "colour", "confirmed_at_row": 3350, "ended_at_row": None},
            ],
            "next_check_row": N + 50,
        },
    }


def _faults(*changes: tuple[str, Any], enough_records: bool = True) -> list[tuple[str, str | None]]:
    """Faults after setting the values at some dotted places of the good documents."""
    documents = _documents()
    for place, value in changes:
        *path, last = place.split(".")
        part: Any = documents
        for step in path:
            part = part[int(step)] if isinstance(part, list) else part[step]
        part[int(last) if isinstance(part, list) else last] = value
    return [(check.what, check.fault) for check in _checks(documents, enough_records) if check.fault]


def _checks(documents: dict[str, dict[str, Any]], enough_records: bool) -> list[Check]:
    return reconcile(
        N,
        msgspec.convert(documents["sent"], GeneratorSummary),
        msgspec.convert(documents["kept"], ReplicaStatusDocument),
        msgspec.convert(documents["counted"], Counted),
        enough_records=enough_records,
    )


def test_a_good_run_has_no_fault() -> None:
    assert _faults() == []


@pytest.mark.parametrize(
    ("place", "value", "what", "fault"),
    [
        ("kept.journal.predictions", N - 1, "predictions in the journal", "lost"),
        ("kept.journal.predictions", N + 1, "predictions in the journal", "doubled"),
        ("counted.totals.predictions", N - 1, "predictions counted by monitoring", "lost"),
        ("counted.totals.predictions", N + 1, "predictions counted by monitoring", "doubled"),
        ("kept.journal.labels", N - 1, "labels in the journal", "lost"),
        ("kept.journal.labels", N + 1, "labels in the journal", "doubled"),
        ("counted.totals.labels", N - 1, "labels counted by monitoring", "lost"),
        ("counted.totals.labels", N + 1, "labels counted by monitoring", "doubled"),
        ("counted.totals.unmatched_labels", 2, "labels without a prediction", "unexplained"),
        ("counted.totals.rejected_records", 2, "rejected records counted", "unexplained"),
        ("kept.journal.rejections", 1, "rejections in the journal", "unexplained"),
        ("kept.sinks.monitoring.lag", 5, "rows not delivered to monitoring", "lost"),
        ("kept.sinks.monitoring.parked", 1, "rows refused by monitoring", "lost"),
        ("sent.labels_failed", 3, "labels failed", "lost"),
        ("counted.episodes.0.confirmed_at_row", 3000, "verdict on size", "unexplained"),
        ("sent.scenario.columns", ["size"], "columns with a drift verdict", "unexplained"),
    ],
)
def test_each_fault_is_named(place: str, value: Any, what: str, fault: str) -> None:
    assert _faults((place, value)) == [(what, fault)]


def test_records_that_were_not_answered_are_lost_with_the_reasons() -> None:
    documents = _documents()
    documents["sent"] |= {"answered": N - 3, "failed": 3, "faults": {"503": 2, "timeout": 1}}
    checks = {check.what: check for check in _checks(documents, True)}
    assert checks["records answered"].fault == "lost"
    assert checks["records failed"].found == "3 (2 with 503, 1 with timeout)"
    assert checks["predictions in the journal"].fault == "doubled"


def test_a_sink_that_is_behind_says_why() -> None:
    documents = _documents()
    documents["kept"]["sinks"]["monitoring"] = {"lag": 7, "parked": 0, "fault": "connection refused"}
    (check,) = (check for check in _checks(documents, True) if check.fault)
    assert check.found == "7 (connection refused)"


def test_a_column_of_the_scenario_without_a_verdict_is_a_fault() -> None:
    assert _faults(("counted.episodes", _documents()["counted"]["episodes"][:1])) == [
        ("columns with a drift verdict", "unexplained")
    ]


def test_with_too_few_records_only_a_wrong_column_is_a_fault() -> None:
    assert _faults(("counted.episodes", []), enough_records=False) == []
    wrong = [{"column": "weight", "confirmed_at_row": 3300}]
    assert _faults(("counted.episodes", wrong), enough_records=False) == [
        ("columns with a drift verdict", "unexplained")
    ]


def test_a_verdict_that_ended_and_came_back_is_no_fault_but_one_before_the_start_is() -> None:
    again = [*_documents()["counted"]["episodes"], {"column": "size", "confirmed_at_row": 4000}]
    assert _faults(("counted.episodes", again)) == []
    early = [*_documents()["counted"]["episodes"], {"column": "size", "confirmed_at_row": 500}]
    assert _faults(("counted.episodes", early)) == [("verdict on size", "unexplained")]


def test_without_drift_any_verdict_is_a_fault() -> None:
    nothing = ("sent.scenario", {"name": "none", "start_index": 0, "columns": []})
    assert _faults(nothing, ("counted.episodes", [])) == []
    assert _faults(nothing) == [("columns with a drift verdict", "unexplained")]


def test_a_document_of_another_shape_is_told_with_its_origin() -> None:
    with pytest.raises(StopError, match=r"/api/state is not what was agreed: .*totals"):
        read_document(Counted, b'{"episodes": []}', "http://localhost/api/state")
