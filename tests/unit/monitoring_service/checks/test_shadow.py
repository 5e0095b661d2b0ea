"""What a shadow said beside what was answered: kept once, joined in any order, and equal to a computation offline."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from monitoring_bench import Bench
from monitoring_world import MODEL, enveloped, label, made_case, made_class, made_record, prediction
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from event_backbone.events.schema import Erasure, Event, ModelRef, Prediction, Shadow
from monitoring_service.checks.shadow_comparison import (
    COMPARED_EVERY_S,
    ShadowComparison,
    ShadowComparisons,
    shift_between,
)
from monitoring_service.evaluation.measuring import Measurer
from monitoring_service.inbox.store import Inbox
from monitoring_service.inbox.totals import InboxTotals
from monitoring_service.references.store import References

CASE = made_case()
CHALLENGER = ModelRef(MODEL.name, "2")
NOW = "2026-01-01T00:00:00.000000Z"


class Service:
    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.inbox = Inbox(folder / "inbox.sqlite", CASE, clock=lambda: self.now)
        references = References(CASE, folder / "bundles", folder / "accepted")
        self.comparisons = ShadowComparisons(CASE, self.inbox, Measurer(CASE, references), clock=lambda: self.now)

    def store(self, events: Sequence[Event]) -> None:
        self.inbox.store(enveloped(events))

    def compared(self) -> list[ShadowComparison]:
        self.now += COMPARED_EVERY_S
        self.comparisons.step()
        return self.comparisons.newest()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.inbox.close()


def shadow_of(made: Prediction, shift: float = 0.0, model: ModelRef = CHALLENGER) -> Shadow:
    score = min(1.0, max(0.0, made.score + shift))
    return Shadow(
        made.record_id,
        made.case,
        made.case_sha256,
        made_class(score),
        score,
        model,
        "d" * 64,
        made.predicted_at,
        made.content_hash,
    )


def world(count: int = 200, seed: int = 3) -> tuple[list[Prediction], list[Shadow], dict[str, str]]:
    """Answers, what a shadow says about them, and labels for half of them."""
    rng = random.Random(seed)
    made = [prediction(f"r{number}", made_record(rng)) for number in range(count)]
    shadows = [shadow_of(one, rng.gauss(0.02, 0.05)) for one in made]
    labels = {one.record_id: made_class(one.score + rng.gauss(0, 0.1)) for one in made[::2]}
    return made, shadows, labels


def test_without_a_shadow_there_is_nothing_to_compare(service: Service) -> None:
    service.store(world()[0])
    assert service.compared() == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_comparison_equals_one_made_offline_whatever_came_first(service: Service, seed: int) -> None:
    made, shadows, labels = world(seed=seed)
    events: list[Event] = [*made, *shadows, *(label(record_id, value) for record_id, value in labels.items())]
    random.Random(seed).shuffle(events)
    for start in range(0, len(events), 50):
        service.store(events[start : start + 50])
    [found] = service.compared()

    assert (found.champion, found.challenger) == (MODEL, CHALLENGER)
    assert (found.pairs, found.answered, found.labelled) == (200, 200, 100)
    answered, said = [one.prediction for one in made], [one.prediction for one in shadows]
    assert found.agreement is not None
    assert found.agreement.value == accuracy_score(answered, said)
    assert found.flipped == {
        "no → yes": sum(pair == ("no", "yes") for pair in zip(answered, said, strict=True)),
        "yes → no": sum(pair == ("yes", "no") for pair in zip(answered, said, strict=True)),
    }
    shift = np.array([one.score for one in shadows]) - np.array([one.score for one in made])
    assert found.shift.mean == pytest.approx(shift.mean())
    assert found.shift.mean_absolute == pytest.approx(np.abs(shift).mean())
    assert found.shift.p95 == pytest.approx(np.quantile(shift, 0.95))
    for metric_values, side in ((found.champion_metrics, made), (found.challenger_metrics, shadows)):
        rows = [one for one in side if one.record_id in labels]
        actual = [labels[one.record_id] == "yes" for one in rows]
        scores = [one.score for one in rows]
        assert metric_values["auc"].value == pytest.approx(roc_auc_score(actual, scores))
        assert metric_values["log_loss"].value == pytest.approx(log_loss(actual, np.clip(scores, 2.3e-16, 1 - 2.3e-16)))
        assert metric_values["accuracy"].value == accuracy_score(
            [labels[one.record_id] for one in rows], [o.prediction for o in rows]
        )


def test_what_a_shadow_says_again_is_kept_once(service: Service) -> None:
    made, shadows, _ = world(40)
    for _ in range(2):
        service.store([*shadows, *made])
    assert service.inbox.totals == InboxTotals(predictions=40, shadows=40, duplicates=80)
    assert service.compared()[0].pairs == 40


def test_a_pair_that_is_missing_shows(service: Service) -> None:
    made, shadows, _ = world(60)
    service.store([*made, *shadows[:20], *shadows[25:]])
    [found] = service.compared()
    assert (found.pairs, found.answered) == (55, 60)


def test_another_content_under_the_same_id_is_no_pair(service: Service) -> None:
    made, shadows, _ = world(2)
    other = shadow_of(prediction("r0", made_record(random.Random(99))))
    service.store([*made, other, shadows[1]])
    assert service.compared()[0].pairs == 1


def test_an_erased_record_is_in_no_pair_and_its_shadow_is_gone(service: Service) -> None:
    made, shadows, _ = world(40)
    service.store([*made, *shadows])
    service.store([Erasure("r1", "shop", NOW), Erasure("r40", "shop", NOW)])
    service.store([shadows[1], shadow_of(prediction("r40", made_record(random.Random(5))))])
    [found] = service.compared()
    assert (found.pairs, found.answered) == (39, 39)
    with service.inbox.exclusive() as db:
        assert db.execute("SELECT count(*) FROM shadows WHERE record_id IN ('r1', 'r40')").fetchone() == (0,)


def test_versions_that_answered_are_compared_apart_the_newest_first(service: Service) -> None:
    made, shadows, _ = world(80)
    newer = [
        prediction(f"n{number}", one.record, model=ModelRef(MODEL.name, "3")) for number, one in enumerate(made[:10])
    ]
    service.store([*made, *shadows, *newer, *(shadow_of(one, 0.1) for one in newer)])
    assert [(found.champion.version, found.pairs) for found in service.compared()] == [("3", 10), ("1", 80)]


def test_only_the_newest_shadow_is_compared(service: Service) -> None:
    made, shadows, _ = world(40)
    newest = ModelRef(MODEL.name, "4")
    service.store([*made, *shadows, *(shadow_of(one, model=newest) for one in made[:5])])
    assert [(found.challenger, found.pairs) for found in service.compared()] == [(newest, 5)]


def test_labels_that_come_later_change_the_metrics(service: Service) -> None:
    made, shadows, labels = world(100)
    service.store([*made, *shadows])
    assert service.compared()[0].champion_metrics == {}
    service.store([label(record_id, value) for record_id, value in labels.items()])
    assert service.compared()[0].labelled == 50
    assert "auc" in service.comparisons.newest()[0].challenger_metrics


def test_old_shadows_are_forgotten_with_the_ids(service: Service) -> None:
    made, shadows, _ = world(10)
    service.store([*made, *shadows])
    service.inbox.trim(first_row_needed=11, received_before=1.0, limit=100)
    with service.inbox.exclusive() as db:
        assert db.execute("SELECT count(*) FROM shadows").fetchone() == (0,)


def test_the_shift_of_one_pair_is_its_own() -> None:
    shift = shift_between([0.25], [0.5])
    assert (shift.mean, shift.mean_absolute, shift.largest_absolute, shift.p05, shift.p95) == (0.25,) * 5


def test_the_api_tells_the_newest_comparison(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.client.get("/api/shadow").json == {"most_pairs": 50_000, "comparisons": []}
    made, shadows, _ = world(40)
    bench.inbox.store(enveloped([*made, *shadows]))
    bench.shadow.step()
    [found] = bench.client.get("/api/shadow").json["comparisons"]
    assert found["challenger"] == {"name": CHALLENGER.name, "version": "2"}
    assert (found["pairs"], found["labelled"]) == (40, 0)
