"""What will be sent."""

from __future__ import annotations

from itertools import islice
from typing import Any

import msgspec
import pytest
from generator_world import made_rows, toy_case

from event_backbone.case.records import RecordDecoder
from stream_generator.scenario.scenarios import NO_DRIFT
from stream_generator.sending.planning import Outgoing, Plan

CASE = toy_case()
ROWS = made_rows(CASE, 40)


def _plan(**fields: Any) -> Plan:
    defaults: dict[str, Any] = {
        "run_id": "run",
        "seed": 3,
        "count": 100,
        "rate": 50.0,
        "label_share": 1.0,
        "scenario": NO_DRIFT,
    }
    return Plan(**(defaults | fields))


def _items(**fields: Any) -> list[Outgoing]:
    return list(_plan(**fields).items(ROWS, CASE))


def test_as_many_as_asked_for_are_planned_with_ids_by_index() -> None:
    assert [item.record_id for item in _items(count=100)] == [f"run-{index}" for index in range(100)]


def test_without_a_count_there_is_no_end() -> None:
    assert len(list(islice(_plan(count=None).items(ROWS, CASE), 1000))) == 1000


def test_every_body_is_a_valid_request_with_its_id_and_without_the_label() -> None:
    decoder = RecordDecoder(CASE)
    for item in _items():
        assert decoder.decode(item.body).record_id == item.record_id
        assert CASE.target.name not in msgspec.json.decode(item.body)


def test_records_are_due_at_the_rate() -> None:
    assert [item.due_s for item in _items(rate=50.0, count=3)] == [0.0, 0.02, 0.04]


def test_the_same_seed_plans_the_same_whatever_the_rate() -> None:
    fast = [(item.body, item.label) for item in _items(rate=None, label_share=0.5)]
    assert fast == [(item.body, item.label) for item in _items(rate=10.0, label_share=0.5)]
    assert fast != [(item.body, item.label) for item in _items(seed=4, label_share=0.5)]


def test_a_share_of_the_records_gets_a_label() -> None:
    labelled = sum(item.label is not None for item in _items(count=2000, label_share=0.3))
    assert labelled == pytest.approx(600, abs=80)
    assert all(item.label is None for item in _items(label_share=0.0))
    assert all(item.label is not None for item in _items(label_share=1.0))
