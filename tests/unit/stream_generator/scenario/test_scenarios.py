"""Scenario files: what they may say, and when a scenario acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from generator_world import CASES, toy_case

from event_backbone.case.files import find_case
from event_backbone.errors import SettingsError
from stream_generator.scenario.scenarios import NO_DRIFT, Timing, find_scenario, load_scenarios, scenarios_from_dict

DECLARED = {
    "sudden-shift",
    "gradual-shift",
    "category-mix",
    "missing-burst",
    "unseen-category",
    "unit-error",
    "concept-drift",
    "label-noise",
}


def _file(*changes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    scenario = {
        "name": "shift",
        "title": "t",
        "description": "d",
        "of_count": {"start": 0.5},
        "of_endless": {"start": 10},
        "changes": list(changes),
    }
    return {"scenarios": [scenario | fields]}


def _faults(content: dict[str, Any], task: str = "binary") -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as raised:
        scenarios_from_dict(content, toy_case(task), subject="toy")
    return [(fault.place, fault.message) for fault in raised.value.faults]


@pytest.mark.parametrize("case_name", ["census", "housing"])
def test_the_files_beside_the_cases_declare_every_kind_of_drift(case_name: str) -> None:
    scenarios = load_scenarios(find_case(case_name, CASES), CASES)
    assert set(scenarios) == DECLARED | {"none"}
    assert len(scenarios["sudden-shift"].columns) >= 2
    assert scenarios["concept-drift"].columns == []
    assert scenarios["missing-burst"].of_count.end is not None
    assert scenarios["gradual-shift"].of_count.ramp > 0


def test_all_faults_are_listed_with_their_places() -> None:
    changes: list[dict[str, Any]] = [
        {"kind": "add", "column": "height", "amount": 1},
        {"kind": "add", "column": "colour", "amount": 1},
        {"kind": "scale", "column": "colour", "factor": 2},
        {"kind": "set", "column": "size", "value": 101},
        {"kind": "set", "column": "colour", "value": 3},
        {"kind": "mix", "column": "colour", "weights": {"blue": 1, "green": 1, "mauve": 2}},
        {"kind": "mix", "column": "size", "weights": {"1": 1}},
        {"kind": "missing", "column": "size"},
        {"kind": "unseen", "column": "colour", "value": "red"},
        {"kind": "unseen", "column": "colour", "value": ""},
        {"kind": "scale_label", "factor": 2},
        {"kind": "invert_label", "where": [{"column": "height", "at_least": 1}, {"column": "size", "one_of": ["x"]}]},
    ]
    places = [place.removeprefix("scenarios[0].changes") for place, _ in _faults(_file(*changes))]
    assert places == [
        "[0].column",
        "[1].column",
        "[2].column",
        "[3].value",
        "[4].value",
        "[5].weights",
        "[5].weights",
        "[6].column",
        "[7].column",
        "[8].value",
        "[9].value",
        "[10].kind",
        "[11].where[0]",
        "[11].where[1]",
    ]


def test_a_label_can_be_inverted_in_binary_cases_only() -> None:
    (fault,) = _faults(_file({"kind": "invert_label"}), task="regression")
    assert fault == ("scenarios[0].changes[0].kind", "only a binary case has labels to invert")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"scenarios": [{"name": "shift"}]},
        _file({"kind": "explode", "column": "size"}),
        _file({"kind": "add", "column": "size", "amount": float("nan")}),
        _file({"kind": "add", "column": "size", "amount": 1, "share": 1.5}),
        _file({"kind": "mix", "column": "colour", "weights": {}}),
        _file({"kind": "invert_label", "where": [{"column": "size"}]}),
        _file(of_count={"start": 0.5, "ramp": 0.4, "end": 0.8}),
        _file(of_endless={"start": -1}),
        _file(colour="red"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_places(content: dict[str, Any]) -> None:
    assert all(place for place, _ in _faults(content))


def test_a_name_may_be_taken_once_and_none_is_taken() -> None:
    twice = {"scenarios": _file()["scenarios"] * 2}
    assert _faults(twice) == [("scenarios[1].name", "'shift' is taken")]
    assert _faults(_file(name="none")) == [("scenarios[0].name", "'none' is taken")]


def test_an_unknown_scenario_is_answered_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="there are: none, sudden-shift"):
        find_scenario("shft", find_case("census", CASES), CASES)


def test_a_case_without_a_file_has_no_drift_to_offer(tmp_path: Path) -> None:
    assert load_scenarios(toy_case(), tmp_path) == {"none": NO_DRIFT}


def test_a_file_that_is_no_yaml_is_told(tmp_path: Path) -> None:
    (tmp_path / "toy.scenarios.yaml").write_text("scenarios: [")
    with pytest.raises(SettingsError, match=r"toy\.scenarios\.yaml"):
        load_scenarios(toy_case(), tmp_path)


def test_strength_jumps_without_a_ramp_and_falls_at_the_end() -> None:
    timing = Timing(start=10, end=20)
    assert [timing.strength(index) for index in (0, 9, 10, 19, 20)] == [0, 0, 1, 1, 0]


def test_strength_grows_evenly_over_a_ramp() -> None:
    timing = Timing(start=10, ramp=4)
    assert [timing.strength(index) for index in range(9, 16)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])


def test_timing_is_in_shares_of_a_count_and_in_records_without_one() -> None:
    content = _file(of_count={"start": 0.25, "ramp": 0.1, "end": 0.75}, of_endless={"start": 7, "ramp": 2, "end": 11})
    scenario = scenarios_from_dict(content, toy_case(), subject="toy")["shift"]
    assert scenario.timing(1000) == Timing(250, 100, 750)
    assert scenario.timing(None) == Timing(7, 2, 11)
