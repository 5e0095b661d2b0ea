"""Drift at work on a stream: what is declared changes, and nothing else does."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from generator_world import CASES, made_rows, toy_case

from event_backbone.case.files import find_case
from event_backbone.case.records import faults_in
from event_backbone.case.schema import Case
from stream_generator.scenario.injection import Injector
from stream_generator.scenario.records import StreamRow
from stream_generator.scenario.scenarios import Scenario, Timing, load_scenarios, scenarios_from_dict

COUNT = 600
EVERY_SCENARIO = [
    (case_name, name)
    for case_name in ("census", "housing")
    for name in load_scenarios(find_case(case_name, CASES), CASES)
]


@functools.cache
def _declared(case_name: str, name: str) -> tuple[Case, Scenario]:
    case = find_case(case_name, CASES)
    return case, load_scenarios(case, CASES)[name]


def _scenario(case: Case, *changes: dict[str, Any]) -> Scenario:
    fields = {"name": "s", "title": "t", "description": "d", "of_count": {"start": 0.0}, "of_endless": {"start": 0}}
    return scenarios_from_dict({"scenarios": [{**fields, "changes": list(changes)}]}, case, subject="toy")["s"]


def _injected(
    case: Case, scenario: Scenario, rows: list[StreamRow], timing: Timing = Timing(0), seed: int = 0
) -> list[StreamRow]:
    injector = Injector(scenario, case, timing, seed)
    return [injector.apply(index, row) for index, row in enumerate(rows)]


def _one(value: Any, column: str, change: dict[str, Any]) -> Any:
    case = toy_case()
    row = StreamRow({"size": 50, "weight": 2.0, "colour": "red"} | {column: value}, "yes")
    (sent,) = _injected(case, _scenario(case, {"column": column, **change}), [row])
    return sent.record[column]


@pytest.mark.parametrize(("case_name", "name"), EVERY_SCENARIO)
def test_a_scenario_changes_its_columns_and_no_other(case_name: str, name: str) -> None:
    case, scenario = _declared(case_name, name)
    rows = made_rows(case, COUNT)
    sent = _injected(case, scenario, rows, scenario.timing(COUNT))
    changed = {
        column
        for before, after in zip(rows, sent, strict=True)
        for column in case.column_names
        if before.record[column] != after.record[column]
    }
    assert changed == set(scenario.columns)


@pytest.mark.parametrize(("case_name", "name"), EVERY_SCENARIO)
def test_nothing_changes_before_the_start_and_after_the_end(case_name: str, name: str) -> None:
    case, scenario = _declared(case_name, name)
    timing, rows = scenario.timing(COUNT), made_rows(case, COUNT)
    sent = _injected(case, scenario, rows, timing)
    assert sent[: timing.start] == rows[: timing.start]
    if timing.end is not None:
        assert sent[timing.end :] == rows[timing.end :]


@pytest.mark.parametrize(("case_name", "name"), EVERY_SCENARIO)
def test_every_injected_record_and_label_is_valid(case_name: str, name: str) -> None:
    case, scenario = _declared(case_name, name)
    sent = _injected(case, scenario, made_rows(case, COUNT))
    assert [faults for row in sent if (faults := faults_in(case, row.record))] == []
    assert all(case.is_label(row.label) for row in sent)


@pytest.mark.parametrize(("case_name", "name"), EVERY_SCENARIO)
def test_the_same_seed_injects_the_same(case_name: str, name: str) -> None:
    case, scenario = _declared(case_name, name)
    rows = made_rows(case, 300)
    assert _injected(case, scenario, rows, seed=5) == _injected(case, scenario, rows, seed=5)


def test_another_seed_hits_other_records() -> None:
    case, scenario = _declared("census", "sudden-shift")
    rows = made_rows(case, 300)
    assert _injected(case, scenario, rows, seed=5) != _injected(case, scenario, rows, seed=6)


@pytest.mark.parametrize(
    ("value", "column", "change", "expected"),
    [
        (50, "size", {"kind": "add", "amount": 7.6}, 58),
        (95, "size", {"kind": "add", "amount": 10}, 100),
        (5, "size", {"kind": "add", "amount": -10}, 0),
        (50, "size", {"kind": "scale", "factor": 12}, 100),
        (2.0, "weight", {"kind": "scale", "factor": 0.7}, 1.4),
        (2.0, "weight", {"kind": "add", "amount": -3}, 0),
        (50, "size", {"kind": "set", "value": 60}, 60),
        ("red", "colour", {"kind": "mix", "weights": {"blue": 1}}, "blue"),
        ("red", "colour", {"kind": "unseen", "value": "mauve"}, "mauve"),
        (2.0, "weight", {"kind": "missing"}, None),
        (None, "weight", {"kind": "add", "amount": 1}, None),
        (None, "weight", {"kind": "set", "value": 1.0}, None),
    ],
)
def test_each_kind_of_change(value: Any, column: str, change: dict[str, Any], expected: Any) -> None:
    assert (
        _one(value, column, change) == pytest.approx(expected)
        if expected is not None
        else _one(value, column, change) is None
    )


def test_whole_numbers_stay_whole() -> None:
    assert isinstance(_one(3, "size", {"kind": "scale", "factor": 1.5}), int)


def test_a_share_hits_that_share_of_the_records() -> None:
    case = toy_case()
    scenario = _scenario(case, {"kind": "unseen", "column": "colour", "value": "mauve", "share": 0.25})
    sent = _injected(case, scenario, made_rows(case, 4000))
    assert np.mean([row.record["colour"] == "mauve" for row in sent]) == pytest.approx(0.25, abs=0.03)


def test_a_mix_draws_by_weight() -> None:
    case = toy_case()
    scenario = _scenario(case, {"kind": "mix", "column": "colour", "weights": {"blue": 3, "red": 1}})
    sent = _injected(case, scenario, made_rows(case, 4000))
    assert np.mean([row.record["colour"] == "blue" for row in sent]) == pytest.approx(0.75, abs=0.03)


def test_a_ramp_changes_a_growing_share() -> None:
    case = toy_case()
    scenario = _scenario(case, {"kind": "unseen", "column": "colour", "value": "mauve"})
    sent = _injected(case, scenario, made_rows(case, 4000), Timing(start=1000, ramp=2000))
    shares = [np.mean([row.record["colour"] == "mauve" for row in sent[at : at + 500]]) for at in range(500, 4000, 500)]
    assert shares == pytest.approx([0, 0.125, 0.375, 0.625, 0.875, 1, 1], abs=0.07)


def test_one_more_change_leaves_the_others_draws_as_they_are() -> None:
    case, rows = toy_case(), made_rows(toy_case(), 500)
    unseen = {"kind": "unseen", "column": "colour", "value": "mauve", "share": 0.3}
    alone = _injected(case, _scenario(case, unseen), rows)
    together = _injected(case, _scenario(case, unseen, {"kind": "add", "column": "size", "amount": 9}), rows)
    assert [row.record["colour"] for row in alone] == [row.record["colour"] for row in together]


def test_labels_are_inverted_where_every_condition_holds() -> None:
    case = toy_case()
    where = [{"column": "size", "at_least": 50, "at_most": 60}, {"column": "colour", "one_of": ["red"]}]
    scenario = _scenario(case, {"kind": "invert_label", "where": where})
    rows = [*made_rows(case, 2000), StreamRow({"size": 55, "weight": None, "colour": "red"}, "no")]
    for before, after in zip(rows, _injected(case, scenario, rows), strict=True):
        concerned = 50 <= before.record["size"] <= 60 and before.record["colour"] == "red"
        assert (before.label != after.label) == concerned
        assert before.record == after.record


def test_a_condition_on_a_missing_value_does_not_hold() -> None:
    case = toy_case()
    scenario = _scenario(case, {"kind": "invert_label", "where": [{"column": "weight", "at_least": 0}]})
    row = StreamRow({"size": 1, "weight": None, "colour": "red"}, "yes")
    assert _injected(case, scenario, [row]) == [row]


def test_labels_of_a_regression_case_are_scaled() -> None:
    case = toy_case("regression")
    scenario = _scenario(case, {"kind": "scale_label", "factor": 1.5})
    (sent,) = _injected(case, scenario, [StreamRow({"size": 1, "weight": 1.0, "colour": "red"}, 100)])
    assert sent.label == 150.0


def test_a_row_without_a_label_gets_none() -> None:
    case = toy_case()
    row = StreamRow({"size": 1, "weight": 1.0, "colour": "red"}, None)
    assert _injected(case, _scenario(case, {"kind": "invert_label"}), [row]) == [row]
