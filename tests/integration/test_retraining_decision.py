"""What the gate says to a retraining: a new world that can be learned, one that can't, and the old one."""

from __future__ import annotations

import copy
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from training_world import PLAN, made_parts, silent

import training.fitting.challenger
import training.flow.training_flow
from event_backbone.case.files import find_case
from event_backbone.errors import SettingsError
from event_backbone.events.schema import content_hash
from event_backbone.model.reference_profile import PROFILE_FILE, decode_profile
from stream_generator.scenario.injection import Injector
from stream_generator.scenario.records import StreamRow
from stream_generator.scenario.scenarios import Timing, find_scenario
from training.data.rows import LabelledRows
from training.data.synthetic import load_sample
from training.fitting.challenger import Challenger
from training.flow.training_flow import FlowOutcome, FlowParts, retrain

CASES = Path(__file__).parents[2] / "cases"
CASE = find_case("census", CASES)
ROWS = 3000


def drawn(seed: int, rows: int = ROWS) -> LabelledRows:
    return load_sample(CASES / "samples" / "census.json", CASE).draw(rows, seed)


def changed(rows: LabelledRows, scenario: str, seed: int) -> LabelledRows:
    injector = Injector(find_scenario(scenario, CASE, CASES), CASE, Timing(0), seed)
    pairs = zip(rows.records, rows.labels, strict=True)
    made = [injector.apply(place, StreamRow(dict(record), label)) for place, (record, label) in enumerate(pairs)]
    return LabelledRows([row.record for row in made], [row.label for row in made if row.label is not None])


@pytest.fixture(scope="module")
def first_champion(tmp_path_factory: pytest.TempPathFactory) -> FlowParts:
    """A champion of the undrifted world. It is shared: take a copy."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training.fitting.challenger, "draw_pictures", lambda *_: {})
        parts = made_parts(tmp_path_factory.mktemp("state"))
        assert retrain(CASE, PLAN, parts, drawn(1), silent()).state == "promoted"
    return parts


@pytest.fixture
def parts(first_champion: FlowParts, monkeypatch: pytest.MonkeyPatch) -> FlowParts:
    monkeypatch.setattr(training.fitting.challenger, "draw_pictures", lambda *_: {})
    return replace(first_champion, registry=copy.deepcopy(first_champion.registry))


def retrained(parts: FlowParts, rows: LabelledRows, seed: int) -> FlowOutcome:
    return retrain(CASE, replace(PLAN, seed=seed), parts, rows, silent())


def champion_version(parts: FlowParts) -> str:
    found = parts.registry.resolve("streamgauge-census", "champion")
    assert found is not None
    return found.model.version


def test_a_world_whose_labels_follow_another_rule_is_learned_and_the_challenger_promoted(parts: FlowParts) -> None:
    outcome = retrained(parts, changed(drawn(2), "concept-drift", 2), seed=2)
    assert outcome.decision is not None
    assert outcome.state == "promoted", outcome.decision.reasons
    assert champion_version(parts) == "2"
    assert parts.bundles.current() == outcome.champion
    numbers = outcome.decision.numbers
    assert numbers["challenger_auc"] > numbers["champion_auc"] + 0.05


def test_labels_that_are_wrong_at_random_are_nothing_to_learn_and_the_champion_stays(parts: FlowParts) -> None:
    outcome = retrained(parts, changed(drawn(3), "label-noise", 3), seed=3)
    assert outcome.decision is not None
    assert outcome.state == "refused"
    assert champion_version(parts) == "1"
    assert "the margin is" in outcome.decision.reasons[0]


def test_the_undrifted_world_again_is_no_reason_for_another_champion(parts: FlowParts) -> None:
    assert retrained(parts, drawn(4), seed=4).state == "refused"


def test_fit_reference_and_gate_are_disjoint_parts_of_the_newest_records(
    parts: FlowParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_judge = training.flow.training_flow.judge
    challengers: list[Challenger] = []

    def spying_judge(challenger: Challenger, *others: Any) -> Any:
        challengers.append(challenger)
        return real_judge(challenger, *others)

    monkeypatch.setattr(training.flow.training_flow, "judge", spying_judge)
    repeated = drawn(5, 400)
    rows = LabelledRows([*repeated.records] * 2, [*repeated.labels] * 2)
    retrained(parts, rows, seed=5)
    data = challengers[0].data
    contents = [{content_hash(dict(one)) for one in part.records} for part in (data.fit, data.reference, data.gate)]
    assert sum(map(len, contents)) == len(set().union(*contents)) == 400


def test_too_few_records_are_said(parts: FlowParts) -> None:
    with pytest.raises(SettingsError, match="there are 199 labelled records; a retraining needs 200"):
        retrained(parts, drawn(6, 199), seed=6)


def test_records_that_were_sent_again_make_the_reference_no_larger_for_monitoring(parts: FlowParts) -> None:
    once = drawn(3, 500)
    rows = LabelledRows([*once.records] * 4, [*once.labels] * 4)
    outcome = retrained(parts, rows, seed=3)
    assert outcome.challenger is not None
    bundle = parts.bundles.install(outcome.challenger, parts.registry)
    counted = decode_profile(bundle.read(PROFILE_FILE)).rows
    kept = parquet.read_table(BytesIO(bundle.read("reference.parquet"))).num_rows
    assert counted == pytest.approx(kept / 4, rel=0.05)
