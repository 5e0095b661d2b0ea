"""Refused records as counts, whose labels come from closed sets."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from prediction_world import Service, made_record

from event_backbone.errors import Fault
from event_backbone.events.schema import FaultCount, Rejections, encode_json
from prediction_service.inference.metrics import NO_COLUMN, REASONS
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import Journal
from prediction_service.serving.journal_maintenance import flush_rejections


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def counted(service: Service) -> dict[tuple[str, str], float]:
    """``prediction_rejected_faults_total`` above zero, by column and reason."""
    samples = [sample for family in service.metrics.rejected.collect() for sample in family.samples]
    return {
        (sample.labels["column"], sample.labels["reason"]): sample.value
        for sample in samples
        if sample.name.endswith("_total") and sample.value
    }


def test_faults_are_counted_by_column_and_reason_and_records_once(service: Service) -> None:
    service.rejections.count([Fault("leaves", "range", "…"), Fault("soil", "missing", "…")])
    service.rejections.count([Fault("leaves", "range", "…")])
    assert counted(service) == {("leaves", "range"): 2, ("soil", "missing"): 1}
    assert service.value("prediction_rejected_records_total") == 2


def test_labels_come_from_closed_sets_whatever_is_sent(service: Service) -> None:
    service.rejections.count([Fault(f"field-{number}", "unknown", "…") for number in range(50)])
    service.rejections.count([Fault("leaves", "reason of the month", "…"), Fault("flowers", "target", "…")])
    assert counted(service) == {
        ("(unknown)", "unknown"): 50,
        ("leaves", "invalid"): 1,
        ("(unknown)", "target"): 1,
    }
    columns = {*service.case.column_names, *NO_COLUMN}
    assert {column for column, _ in counted(service)} <= columns
    assert {reason for _, reason in counted(service)} <= set(REASONS)


def test_every_reason_a_record_can_have_is_in_the_closed_set(service: Service) -> None:
    bodies = [
        b"{",
        b"[]",
        b"{}",
        b'{"leaves": NaN, "plot": "x", "height": 0, "soil": "", "flowers": 1, "extra": 1, "record_id": ""}',
        b'{"leaves": null}',
    ]
    for body in bodies:
        service.handlers.predict(body)
    reasons = {reason for _, reason in counted(service)}
    assert reasons == set(REASONS) - {"invalid"}


def test_what_was_refused_becomes_one_event_since_the_last_one(service: Service) -> None:
    assert service.rejections.take() is None
    service.rejections.count([Fault("soil", "missing", "…"), Fault("leaves", "range", "…")])
    service.rejections.count([Fault("leaves", "range", "…")])
    event = service.rejections.take()
    assert event is not None
    assert (event.records, event.faults) == (2, [FaultCount("leaves", "range", 2), FaultCount("soil", "missing", 1)])
    assert event.since < event.until
    assert service.rejections.take() is None


def test_what_could_not_be_kept_is_counted_again(service: Service) -> None:
    service.rejections.count([Fault("leaves", "range", "…")])
    first = service.rejections.take()
    assert first is not None
    service.rejections.count([Fault("leaves", "range", "…"), Fault("soil", "null", "…")])
    service.rejections.put_back(first)
    second = service.rejections.take()
    assert second is not None
    assert (second.records, second.faults) == (2, [FaultCount("leaves", "range", 2), FaultCount("soil", "null", 1)])
    assert second.since == first.since
    assert counted(service)["leaves", "range"] == 2


def test_the_journal_keeps_them_and_none_when_nothing_was_refused(service: Service) -> None:
    flush_rejections(service.rejections, service.journal)
    assert service.journal.row_counts() == {}
    service.handlers.predict(b"{}")
    flush_rejections(service.rejections, service.journal)
    with closing(JournalReader(service.journal.path)) as reader:
        (row,) = reader.after(0, limit=10)
    assert isinstance(row.event, Rejections)
    assert row.event.records == 1


def test_a_full_journal_keeps_them_for_the_next_time(service: Service, tmp_path: Path) -> None:
    service.handlers.predict(b"{}")
    with closing(Journal(tmp_path / "full.sqlite", max_bytes=1)) as full:
        flush_rejections(service.rejections, full)
    event = service.rejections.take()
    assert event is not None
    assert event.records == 1


def test_no_event_holds_anything_of_the_record(tmp_path: Path) -> None:
    service = Service(tmp_path / "one")
    service.handlers.predict(encode_json(made_record(soil="secret" * 9, secret="secret", record_id="secret !")))
    assert "secret" not in repr(service.rejections.take())
