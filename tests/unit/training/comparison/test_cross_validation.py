"""Candidates are compared on the same folds, and the one whose scores are true probabilities is chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_world import MemoryTracker, RawFiles, made_case, made_rows, priced_rows, regression_case, silent

from event_backbone.case.schema import Case
from training.comparison.cross_validation import CandidateComparison, CandidateMeasures, compare
from training.comparison.study import ComparisonPlan, Compiled, record_runs, rows_of, run_comparison, write_down
from training.data.raw import DataOrigin
from training.data.reading import Retrieved
from training.data.rows import LabelledRows
from training.fitting.candidates import FAMILY_NAMES, candidates_of, champion_candidates
from training.fitting.cross_validation import FOLDS, folds_of

CASE, ROWS = made_case(), made_rows(400)
TEST = made_rows(120, first=1000, seed=2)
RETRIEVED = Retrieved(DataOrigin("folder", "made", {"fruit.data": "0"}), train=ROWS, test=TEST)
PLAN = ComparisonPlan(seed=7, threads=1, protocol="split", candidates=list(candidates_of(CASE, ["linear"])))


def compared(case: Case, rows: LabelledRows, **only: Any) -> CandidateComparison:
    return compare(case, rows, list(candidates_of(case, **only)), seed=7, threads=1, done=lambda _: None)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return run_comparison(CASE, RETRIEVED, PLAN, silent())


def test_a_classification_compares_every_family_with_every_balancing() -> None:
    candidates = list(candidates_of(CASE))
    assert len(candidates) == 4 * 3
    assert len({one.name for one in candidates}) == len(candidates)


def test_a_regression_has_no_classes_to_balance() -> None:
    assert [(one.family, one.balance) for one in candidates_of(regression_case())] == [
        (family, "none") for family in FAMILY_NAMES
    ]


def test_the_smallest_log_loss_is_chosen_though_ranks_may_be_as_good() -> None:
    found = compared(CASE, ROWS, families=["linear"])
    assert found.chosen.candidate.balance == "none"
    losses = {one.candidate.balance: one.metrics["log_loss"] for one in found.compared}
    assert found.chosen.metrics["log_loss"] == min(losses.values())


def test_a_regression_is_chosen_by_its_error() -> None:
    found = compared(regression_case(), priced_rows(200), families=["linear", "forest"])
    assert found.chosen.metrics["rmse"] == min(one.metrics["rmse"] for one in found.compared)


def test_the_standard_error_is_that_of_the_folds_mean() -> None:
    found = compared(CASE, ROWS, families=["linear"], balances=["none"])
    from sklearn.metrics import roc_auc_score

    targets, scores = ROWS.targets(CASE), found.chosen.validated.scores
    folds = [roc_auc_score(targets[held], scores[held]) for _, held in folds_of(CASE, targets, 7)]
    assert found.chosen.standard_error == pytest.approx(np.std(folds, ddof=1) / np.sqrt(FOLDS))


def test_each_candidate_is_told_of_when_it_is_done() -> None:
    told: list[CandidateMeasures] = []
    found = compare(CASE, ROWS, PLAN.candidates, seed=7, threads=1, done=told.append)
    assert told == list(found.compared)


def test_labels_of_test_rows_change_nothing_but_what_is_said_of_them(compiled: Compiled) -> None:
    turned = LabelledRows(TEST.records, ["no" if label == "yes" else "yes" for label in TEST.labels])
    other = run_comparison(CASE, replace(RETRIEVED, test=turned), PLAN, silent())
    assert other.comparison.chosen.candidate == compiled.comparison.chosen.candidate
    np.testing.assert_array_equal(other.judged.scores, compiled.judged.scores)
    assert other.judged.test["auc"] == pytest.approx(1 - compiled.judged.test["auc"])


def test_the_official_protocol_uses_every_row_that_is_no_test_row() -> None:
    fitted, test = rows_of(CASE, RETRIEVED, "official", 7)
    assert sorted(record["number"] for record in fitted.records) == list(range(400))
    assert test == TEST


def test_by_default_the_rows_are_those_that_a_champion_is_fitted_to() -> None:
    fitted, _ = rows_of(CASE, RETRIEVED, "split", 7)
    assert len(fitted) == CASE.data.split.fit_and_validation


def test_the_held_out_share_is_no_part_of_the_official_rows_either() -> None:
    case, rows = regression_case(), priced_rows(400)
    fitted, test = rows_of(case, Retrieved(RETRIEVED.source, rows, LabelledRows([], [])), "official", 7)
    numbers = [{record["number"] for record in part.records} for part in (fitted, test)]
    assert [len(part) for part in numbers] == [320, 80]
    assert not numbers[0] & numbers[1]


def test_runs_are_nested_one_for_each_candidate(compiled: Compiled) -> None:
    tracker = MemoryTracker()
    parent = record_runs(CASE, PLAN, compiled, tracker)
    whole, *candidates = tracker.runs
    assert whole.parent is None
    assert {run.parent for run in candidates} == {parent}
    assert [run.parameters["candidate"] for run in candidates] == [one.name for one in PLAN.candidates]
    assert [run.tags["chosen"] for run in candidates].count("true") == 1
    assert {"auc", "log_loss", "calibration_error", "auc_standard_error"} <= candidates[0].metrics.keys()
    assert {"comparison.json", "comparison.md"} == whole.documents.keys()


def test_the_folder_holds_tables_and_pictures_of_all_candidates(compiled: Compiled, tmp_path: Path) -> None:
    write_down(compiled, tmp_path / "comparison")
    names = {path.name for path in (tmp_path / "comparison").iterdir()}
    assert {
        "comparison.json",
        "comparison.md",
        "comparison.png",
        "roc_curves.png",
        "precision_recall_curves.png",
        "calibration_curves.png",
        "permutation_importance.png",
        "shap_importance.png",
        "segments.png",
    } <= names
    document = json.loads((tmp_path / "comparison" / "comparison.json").read_bytes())
    assert [one["name"] for one in document["candidates"]] == [one.name for one in PLAN.candidates]
    assert "| logistic regression, SMOTE |" in (tmp_path / "comparison" / "comparison.md").read_text()


def test_nothing_that_is_written_names_a_path_of_this_machine(tmp_path: Path) -> None:
    RawFiles().write(tmp_path / "raw")
    source = DataOrigin("folder", f"the files in {tmp_path}", {})
    plan = replace(PLAN, candidates=PLAN.candidates[:1])
    run = run_comparison(CASE, replace(RETRIEVED, source=source), plan, silent())
    assert str(tmp_path) not in json.dumps(run.document)


def test_a_champion_is_of_the_asked_family_or_of_any_and_never_balanced() -> None:
    families = {family: {one.family for one in champion_candidates(CASE, family)} for family in FAMILY_NAMES}
    assert families == {family: {family} for family in FAMILY_NAMES}
    every = champion_candidates(CASE, "best")
    assert {one.family for one in every} == set(FAMILY_NAMES)
    assert {one.balance for one in every} == {"none"}
