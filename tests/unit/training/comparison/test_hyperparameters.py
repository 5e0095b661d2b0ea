"""A search goes on where it was stopped, gives hopeless trials up, and never ends worse than by hand."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from training_world import made_case, made_rows

from event_backbone.errors import SettingsError
from training.comparison.hyperparameters import (
    BestParameters,
    Range,
    SearchPlan,
    search,
    searched_candidate,
    space_of,
    study_name,
)
from training.families.catalog import FAMILIES
from training.families.family import Family
from training.fitting.candidates import FAMILY_NAMES, candidates_of, default_parameters

CASE, ROWS = made_case(), made_rows(250)
PLAN = SearchPlan(seed=7, threads=1, trials=3)
NAME = study_name(CASE, "linear", {"fruit.data": "0"}, "split", 7)


def searched(folder: Path, plan: SearchPlan = PLAN) -> BestParameters:
    return search(CASE, ROWS, "linear", plan, folder / "search.db", NAME)


def trials_in(folder: Path) -> int:
    with sqlite3.connect(folder / "search.db") as database:
        return int(database.execute("select count(*) from trials where state in ('COMPLETE', 'PRUNED')").fetchone()[0])


@pytest.fixture(scope="module")
def three_trials(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BestParameters]:
    """A search that has ended, and what it found. It is shared: copy the folder before searching on."""
    folder = tmp_path_factory.mktemp("three-trials")
    return folder, searched(folder)


@pytest.fixture
def ended(three_trials: tuple[Path, BestParameters], tmp_path: Path) -> BestParameters:
    """Such a search in this test's own folder."""
    folder, found = three_trials
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return found


@pytest.mark.usefixtures("ended")
def test_a_search_that_was_stopped_goes_on(tmp_path: Path) -> None:
    assert trials_in(tmp_path) == 3
    found = searched(tmp_path, replace(PLAN, trials=5))
    assert trials_in(tmp_path) == 5
    assert found.complete + found.pruned == 5


def test_a_search_that_is_finished_does_nothing_more(ended: BestParameters, tmp_path: Path) -> None:
    assert searched(tmp_path) == ended


def test_no_trial_begins_after_the_time(tmp_path: Path) -> None:
    found = searched(tmp_path, replace(PLAN, trials=500, seconds=0.5))
    assert 1 <= found.complete + found.pruned < 500


def test_the_first_trial_is_what_was_set_by_hand(tmp_path: Path) -> None:
    found = searched(tmp_path, replace(PLAN, trials=1))
    assert found.parameters == default_parameters(CASE, "linear")


def test_hopeless_trials_are_given_up(tmp_path: Path) -> None:
    found = searched(tmp_path, replace(PLAN, trials=25))
    assert found.pruned > 0


def test_what_was_found_becomes_a_candidate(ended: BestParameters, tmp_path: Path) -> None:
    candidate = searched_candidate(CASE, "linear", tmp_path / "search.db", NAME)
    assert candidate.parameters == ended.parameters
    assert candidate.name not in {one.name for one in candidates_of(CASE)}


@pytest.mark.parametrize("begun", [False, True])
def test_a_search_that_never_was_is_said_so(begun: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if begun:
        request.getfixturevalue("ended")
    with pytest.raises(SettingsError, match="train-model search --family forest"):
        searched_candidate(CASE, "forest", tmp_path / "search.db", "another")


def test_other_rows_protocols_and_seeds_are_other_studies() -> None:
    names = {
        study_name(CASE, "linear", {"fruit.data": digest}, protocol, seed)
        for digest in ("0", "1")
        for protocol in ("split", "official")
        for seed in (7, 8)
    }
    assert len(names) == 8


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_what_is_set_by_hand_lies_in_the_space(name: str) -> None:
    by_hand = default_parameters(CASE, name)
    for parameter, limits in space_of(CASE, name).items():
        assert isinstance(limits, Range)
        if parameter in by_hand:
            assert limits.low <= by_hand[parameter] <= limits.high


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_family_is_seeded(family: Family) -> None:
    assert 7 in family.parameters(CASE, {}, 7).values()
