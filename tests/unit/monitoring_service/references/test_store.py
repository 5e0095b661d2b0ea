"""What windows are compared with: a bundle's own reference, and windows that a person accepted in its place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monitoring_bench import Bench
from monitoring_world import (
    MODEL,
    enveloped,
    install_bundle,
    label,
    made_case,
    made_profile,
    made_reference,
    predictions,
)
from msgspec.structs import replace

from event_backbone.errors import ConflictError
from event_backbone.model.bundle import BrokenBundleError
from event_backbone.model.reference_profile import Calibration, CategoryProfile, NumberProfile
from monitoring_service.drift.verdict import CheckTime
from monitoring_service.messages import ColumnMeasure, PredictionMix, WindowMeasures
from monitoring_service.references.accepted import (
    KEPT,
    AcceptanceDecision,
    AcceptedReferences,
    read_accepted,
    write_accepted,
)
from monitoring_service.references.store import References, columns_of, instead_of
from monitoring_service.state.monitor_state import MonitorState, StateChange, WindowInfo, after_evaluation

CASE = made_case()
BUNDLE = "b" * 64
BY = {"by": "Ada", "note": "The new shop opened."}


class Documents:
    """Kept in memory; ``broken`` fails like a full disk."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.broken = False

    def keep_document(self, name: str, body: bytes) -> None:
        if self.broken:
            raise OSError("disk full")
        self.kept[name] = body

    def document(self, name: str) -> bytes | None:
        return self.kept.get(name)


def decided(row: int) -> AcceptanceDecision:
    return AcceptanceDecision(f"at {row}", "Ada", "", row)


def accept(references: AcceptedReferences, row: int, *, seed: int = 1, bundle_sha256: str = BUNDLE) -> str:
    profile = made_profile(CASE, made_reference(100, seed))
    return references.accept(
        profile, bundle_sha256=bundle_sha256, version="1", labelled_rows=0, decision=decided(row)
    ).sha256


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


# The bundle's own -----------------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_a_profile_is_read_in_milliseconds_and_small(tmp_path: Path) -> None:
    sha256 = install_bundle(tmp_path, CASE, made_reference(5000))
    assert (tmp_path / sha256 / "reference_profile.json").stat().st_size < 2_000_000
    took = []
    for _ in range(5):
        started = time.perf_counter()
        assert References(CASE, tmp_path, tmp_path).find(sha256).reference is not None
        took.append(time.perf_counter() - started)
    assert min(took) < 0.05


def test_rows_are_read_when_a_report_needs_them_and_not_before(tmp_path: Path) -> None:
    sha256 = install_bundle(tmp_path, CASE)
    (tmp_path / sha256 / "reference.parquet").write_bytes(b"others")
    reference = References(CASE, tmp_path, tmp_path).find(sha256).reference
    assert reference is not None
    assert reference.profile.rows == 1000
    with pytest.raises(BrokenBundleError, match=r"reference\.parquet"):
        _ = reference.rows


def test_bundles_with_the_same_reference_rows_have_one_id_and_others_another(tmp_path: Path) -> None:
    rows = made_reference()
    other_scores = {**rows, "score": [score / 2 for score in rows["score"]]}
    found = References(CASE, tmp_path, tmp_path)
    ids = []
    for columns in (rows, other_scores, made_reference(seed=2)):
        reference = found.find(install_bundle(tmp_path, CASE, columns)).reference
        assert reference is not None
        ids.append(reference.id)
    assert ids[0] == ids[1] != ids[2]


def test_the_values_of_a_profile_are_those_it_was_made_of() -> None:
    rows = made_reference(300)
    columns = columns_of(made_profile(CASE, rows))
    assert {name: sorted(map(str, values)) for name, values in columns.items()} == {
        name: sorted(str(float(value)) if isinstance(value, int) else str(value) for value in rows[name])
        for name in CASE.column_names
    }


# Accepted ones --------------------------------------------------------------------------------------------------------


def test_what_is_accepted_is_in_force_until_it_is_reverted_and_then_what_was_before(tmp_path: Path) -> None:
    accepted = AcceptedReferences(Documents(), tmp_path)
    assert (accepted.in_force(BUNDLE).sha256, accepted.in_force(BUNDLE).since_row) == (None, 0)
    first, second = accept(accepted, 100, seed=1), accept(accepted, 200, seed=2)
    assert (accepted.in_force(BUNDLE).sha256, accepted.in_force(BUNDLE).since_row) == (second, 200)
    accepted.revert(BUNDLE, decided(300))
    assert (accepted.in_force(BUNDLE).sha256, accepted.in_force(BUNDLE).since_row) == (first, 300)
    accepted.revert(BUNDLE, decided(400))
    assert (accepted.in_force(BUNDLE).sha256, accepted.in_force(BUNDLE).since_row) == (None, 400)
    with pytest.raises(ConflictError):
        accepted.revert(BUNDLE, decided(500))


def test_another_bundle_has_its_own_reference_and_the_first_finds_its_accepted_one_again(tmp_path: Path) -> None:
    accepted = AcceptedReferences(Documents(), tmp_path)
    sha256 = accept(accepted, 100)
    assert accepted.in_force("c" * 64).sha256 is None
    assert accepted.in_force(BUNDLE).sha256 == sha256


def test_the_same_window_accepted_again_after_a_revert_is_in_force(tmp_path: Path) -> None:
    accepted = AcceptedReferences(Documents(), tmp_path)
    sha256 = accept(accepted, 100)
    accepted.revert(BUNDLE, decided(110))
    assert accept(accepted, 120) == sha256
    assert (accepted.in_force(BUNDLE).sha256, accepted.in_force(BUNDLE).since_row) == (sha256, 120)


def test_decisions_and_profiles_survive_a_restart(tmp_path: Path) -> None:
    documents = Documents()
    sha256 = accept(AcceptedReferences(documents, tmp_path), 100)
    again = AcceptedReferences(documents, tmp_path)
    assert again.in_force(BUNDLE).sha256 == sha256
    assert read_accepted(tmp_path, sha256) == made_profile(CASE, made_reference(100, 1))


def test_a_decision_that_can_not_be_kept_is_none(tmp_path: Path) -> None:
    documents = Documents()
    accepted = AcceptedReferences(documents, tmp_path)
    documents.broken = True
    with pytest.raises(OSError, match="disk full"):
        accept(accepted, 100)
    assert accepted.in_force(BUNDLE).sha256 is None


def test_a_history_of_another_version_leaves_each_bundle_its_own(tmp_path: Path) -> None:
    documents = Documents()
    documents.keep_document("accepted_references", b'{"other": 1}')
    assert AcceptedReferences(documents, tmp_path).history == ()


def test_the_history_is_bounded_and_forgotten_profiles_are_removed(tmp_path: Path) -> None:
    accepted = AcceptedReferences(Documents(), tmp_path)
    for row in range(KEPT + 3):
        accept(accepted, row, seed=row)
    assert len(accepted.history) == len(list(tmp_path.glob("*.json"))) == KEPT
    assert accepted.history[0].accepted.row == 3


@pytest.mark.parametrize("damage", ["other bytes", "no profile", "gone", "no digest"])
def test_an_accepted_reference_that_is_damaged_is_said_and_nothing_is_raised(tmp_path: Path, damage: str) -> None:
    bundle = install_bundle(tmp_path, CASE)
    sha256 = write_accepted(tmp_path, made_profile(CASE, made_reference(100)))
    path = tmp_path / f"{sha256}.json"
    if damage == "other bytes":
        path.write_bytes(path.read_bytes() + b" ")
    elif damage == "no profile":
        path.write_bytes(b"{}")
    elif damage == "gone":
        path.unlink()
    name = "../secret" if damage == "no digest" else sha256
    lookup = References(CASE, tmp_path, tmp_path).find(bundle, name)
    assert (lookup.state, lookup.reference) == ("broken", None)
    assert "accepted reference" in (lookup.fault or "")


def test_an_accepted_window_takes_the_columns_and_leaves_the_model_its_expectation() -> None:
    own = replace(made_profile(CASE), performance={"accuracy": 0.9}, expectation=Calibration([0.0, 1.0], [0.1, 0.9]))
    window = replace(made_profile(CASE, made_reference(100, 2)), labels=None)
    both = instead_of(own, window)
    assert (both.columns, both.scores, both.rows) == (window.columns, window.scores, 100)
    assert (both.labels, both.performance, both.expectation) == (own.labels, own.performance, own.expectation)
    labelled = replace(window, labels=CategoryProfile({"yes": 100}, 0), performance={"accuracy": 0.8})
    assert instead_of(own, labelled).performance == {"accuracy": 0.8}
    assert instead_of(own, labelled).labels == labelled.labels


# Over HTTP ------------------------------------------------------------------------------------------------------------


def document(bench: Bench) -> Any:
    return bench.client.get("/api/reference").get_json()


def test_before_the_first_row_there_is_nothing_to_accept_or_to_take_back(bench: Bench) -> None:
    assert document(bench) == {"current": None, "history": []}
    assert bench.client.post("/api/reference/accept", json=BY).status_code == 409
    assert bench.client.post("/api/reference/revert", json=BY).status_code == 409


def test_a_window_below_the_minimum_is_refused_with_both_numbers(bench: Bench) -> None:
    bench.receive(49)
    reply = bench.client.post("/api/reference/accept", json=BY)
    assert reply.status_code == 409
    assert reply.content_type == "application/problem+json"
    assert "49 rows" in reply.get_json()["detail"]
    assert "50" in reply.get_json()["detail"]


def test_a_window_is_accepted_once_until_it_moves_on_or_is_taken_back(bench: Bench) -> None:
    bench.receive(60)
    assert bench.client.post("/api/reference/accept", json=BY).status_code == 200
    assert bench.client.post("/api/reference/accept", json=BY).status_code == 409
    bench.client.post("/api/reference/revert", json=BY)
    assert bench.client.post("/api/reference/accept", json=BY).status_code == 200
    bench.receive(1, first=60)
    assert bench.client.post("/api/reference/accept", json=BY).status_code == 200
    assert len(document(bench)["history"]) == 3


def test_the_window_as_it_is_becomes_the_reference_of_its_bundle(bench: Bench, tmp_path: Path) -> None:
    bundle = install_bundle(tmp_path / "bundles", bench.case)
    events = predictions(120, bundle_sha256=bundle)
    bench.windows.add(bench.inbox.store(enveloped(events)).rows, [], 120)
    assert document(bench)["current"] == {
        **{"kind": "bundle", "bundle_sha256": bundle, "rows": 1000, "can_revert": False},
        **dict.fromkeys(["at", "by", "note", "row"]),
    }
    found = bench.client.post("/api/reference/accept", json=BY).get_json()
    current, (entry,) = found["current"], found["history"]
    assert (current["kind"], current["rows"], current["row"], current["can_revert"]) == ("accepted", 100, 120, True)
    assert (current["by"], current["note"]) == ("Ada", "The new shop opened.")
    assert (entry["active"], entry["reverted"], entry["labelled_rows"]) == (True, None, 0)
    profile = read_accepted(tmp_path / "references", entry["sha256"])
    records = [event.record for event in events[-100:]]
    assert profile.columns["price"] == NumberProfile(sorted(record["price"] for record in records), 0)
    cards = sum(record["payment"] == "card" for record in records)
    assert isinstance(profile.columns["payment"], CategoryProfile)
    assert profile.columns["payment"].counts["card"] == cards
    assert profile.scores.sorted_values == sorted(event.score for event in events[-100:])
    assert (profile.labels, profile.performance) == (None, {})


def test_nothing_in_an_accepted_reference_names_a_record(bench: Bench, tmp_path: Path) -> None:
    bench.receive(60)
    bench.client.post("/api/reference/accept", json=BY)
    (path,) = (tmp_path / "references").glob("*.json")
    assert b"r59" not in path.read_bytes()


def test_checks_after_it_are_made_against_it_also_after_a_restart(bench: Bench, tmp_path: Path) -> None:
    bench.receive(60)
    bench.run_all()
    sha256 = bench.client.post("/api/reference/accept", json=BY).get_json()["history"][0]["sha256"]
    bench.receive(10, first=60)
    bench.run_all()
    assert bench.measurer.compared == [None, None, sha256]
    bench.close()
    again = Bench(tmp_path)
    again.receive(10, first=70)
    again.run_all()
    assert again.measurer.compared == [sha256]
    again.client.post("/api/reference/revert", json=BY)
    again.receive(10, first=80)
    again.run_all()
    assert again.measurer.compared == [sha256, None]
    entry = document(again)["history"][0]
    assert (entry["active"], entry["reverted"]["row"]) == (False, 80)
    again.close()


def test_labels_of_the_window_count_when_there_are_enough(bench: Bench, tmp_path: Path) -> None:
    bench.case.monitoring.quality.__dict__["minimum_labelled_rows"] = 30
    bench.receive(100)
    bench.inbox.store(enveloped([label(f"r{number}") for number in range(40)], source="labels"))
    entry = bench.client.post("/api/reference/accept", json=BY).get_json()["history"][0]
    profile = read_accepted(tmp_path / "references", entry["sha256"])
    assert profile.labels == CategoryProfile({"yes": 40}, 0)
    assert entry["labelled_rows"] == 40
    assert 0 < profile.performance["accuracy"] < 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b"{}", 422),
        (b'{"by": ""}', 422),
        (b'{"by": 1}', 422),
        (b'{"by": "a", "x": 1}', 422),
    ],
)
def test_a_decision_without_a_name_changes_nothing(bench: Bench, body: bytes, status: int) -> None:
    bench.receive(60)
    reply = bench.client.post("/api/reference/accept", data=body)
    assert (reply.status_code, reply.content_type) == (status, "application/problem+json")
    assert document(bench)["history"] == []


def test_a_note_of_megabytes_is_refused(bench: Bench) -> None:
    bench.receive(60)
    reply = bench.client.post("/api/reference/accept", json={"by": "Ada", "note": "x" * 10_000})
    assert reply.status_code == 413


# What a change of reference means for verdicts ------------------------------------------------------------------------


def check(before: MonitorState, row: int, reference_id: str | None, *, drifting: bool = True) -> StateChange:
    p_value = 1e-9 if drifting else 0.9
    measures = [ColumnMeasure(name, "ok", effect=0.5, p_value=p_value) for name in (*CASE.column_names, "score")]
    answer = WindowMeasures(
        row, "ok" if reference_id else "missing", None, measures[:-1], measures[-1], PredictionMix({}, {}), reference_id
    )
    window_info = WindowInfo(200, "", "", MODEL, BUNDLE, 0.01)
    return after_evaluation(CASE, before, window_info, answer, CheckTime(row, f"at {row}"))


def drifted(checked: StateChange) -> set[str]:
    assert checked.state.check_result is not None
    column_verdict = [*checked.state.check_result.columns, checked.state.check_result.prediction]
    return {one.measure.name for one in column_verdict if one.verdict_state.drifted}


def test_a_new_reference_ends_verdicts_and_takes_a_whole_run_of_checks_for_new_ones() -> None:
    state = MonitorState()
    for row in (20, 40, 60):
        checked = check(state, row, "old")
        state = checked.state
    assert drifted(checked) == {"price", "items", "payment", "score"}
    checked = check(state, 80, "new")
    assert drifted(checked) == set()
    assert {(one.name, one.ended_at_row) for one in checked.episodes} == {
        (name, 80) for name in ("price", "items", "payment", "score")
    }
    assert drifted(check(checked.state, 100, "new")) == set()
    checked = check(check(checked.state, 100, "new").state, 120, "new")
    assert {one.suspected_at_row for one in checked.episodes} == {80}


def test_two_checks_against_the_old_reference_and_one_against_the_new_make_no_verdict() -> None:
    state = check(check(MonitorState(), 20, "old").state, 40, "old").state
    assert drifted(check(state, 60, "new")) == set()


def test_a_reference_that_is_away_for_a_check_is_no_new_one() -> None:
    state = MonitorState()
    for row in (20, 40, 60):
        state = check(state, row, "old").state
    state = check(state, 80, None).state
    assert drifted(check(state, 100, "old")) == {"price", "items", "payment", "score"}
    assert drifted(check(state, 100, "new")) == set()
