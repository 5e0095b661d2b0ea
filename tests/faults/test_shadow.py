"""The shadow beside a stream: whatever is killed, every record has both predictions, and the comparison is right."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from full_stack import LONG, SEEDS
from model_releases import Releases
from monitoring_process import poll_until
from monitoring_world import made_case, made_class
from reconciliation import collection, stored_predictions
from replica import OWN_MONITORING, Client, Replica, running_replica
from serving_world import install_champion, scaled_score, servable_parts
from sklearn.metrics import accuracy_score, roc_auc_score

from event_backbone.model.bundle import CHAMPION_ALIAS

SCALE = 1.1
KILLS = 20 if LONG else 2


@pytest.fixture
def mongo(mongo_url: str, mongo_database: str) -> str:
    return f"{mongo_url}/{mongo_database}"


@pytest.fixture
def replica(tmp_path: Path, mongo: str) -> Iterator[Replica]:
    """Version 1 answers and version 2, which says more than it, is the challenger; MongoDB and monitoring are told."""
    install_champion(tmp_path / "state", tmp_path / "cases")
    releases = Releases(tmp_path / "registry")
    releases.point(CHAMPION_ALIAS, releases.register())
    releases.point("challenger", releases.register(parts=servable_parts(made_case(), SCALE)))
    settings = {
        "MLFLOW_TRACKING_URI": releases.tracking_uri,
        "SHADOW_ALIAS": "challenger",
        "SINKS": f"{mongo},{OWN_MONITORING}",
    }
    with running_replica(tmp_path / "state", tmp_path / "cases", **settings) as running:
        yield running


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(1800 if LONG else 400)
def test_every_record_has_both_predictions_and_the_comparison_equals_one_made_offline(
    replica: Replica, mongo: str, seed: int
) -> None:
    chance = random.Random(seed)
    # Once the sidecar has looked, the shadow is known as well.
    poll_until(lambda: requests.post(f"{replica.prediction_url}/admin/reload", timeout=60).ok, 120, "the sidecar looks")
    client = Client(replica.prediction_url, seed, pause_s=0.02)
    client.start()
    try:
        for number in range(KILLS):
            time.sleep(chance.uniform(0.5, 2.0))
            replica.kill("monitoring" if number % 3 == 2 else "sidecar")
            replica.start("monitoring" if number % 3 == 2 else "sidecar")
            poll_until(lambda count=len(client.answers): len(client.answers) > count + 50, 60, "records are answered")
    finally:
        client.finish()
    labels = label_half(replica, client, chance)
    champion = wait_for_pairs(replica, mongo, set(client.records), labels)
    check_stored(mongo, client)
    check_comparison(champion, client, labels)


def label_half(replica: Replica, client: Client, chance: random.Random) -> dict[str, str]:
    labels = {
        record_id: made_class(scaled_score(record, 1.0) + chance.gauss(0, 0.1))
        for record_id, record in list(client.records.items())[::2]
    }
    sent = [{"record_id": record_id, "label": value} for record_id, value in labels.items()]
    assert requests.post(f"{replica.prediction_url}/labels", json=sent[:1000], timeout=30).status_code == 202
    return dict(list(labels.items())[:1000])


def wait_for_pairs(replica: Replica, mongo: str, sent: set[str], labels: dict[str, str]) -> dict[str, Any]:
    """The comparison once everything came."""

    def found() -> dict[str, Any] | None:
        comparisons = requests.get(f"{replica.monitoring_url}/api/shadow", timeout=10).json()["comparisons"]
        complete = [one for one in comparisons if (one["pairs"], one["labelled"]) == (len(sent), len(labels))]
        return complete[0] if complete else None

    with collection(mongo, "rescored") as rescored:
        poll_until(lambda: rescored.count_documents({}) >= len(sent), 90, "MongoDB has every second opinion")
    return dict(poll_until(found, 90, f"{len(sent)} pairs are compared, {len(labels)} with a label"))


def check_stored(mongo: str, client: Client) -> None:
    answered = stored_predictions(mongo)
    with collection(mongo, "rescored") as rescored:
        said = {document["_id"]["record_id"]: document for document in rescored.find(batch_size=1000)}
        assert rescored.count_documents({}) == len(said), "a record has two second opinions"
    assert set(said) == set(answered) == set(client.records)
    for record_id, document in said.items():
        assert document["_id"]["model_version"] == document["model"]["version"] == "2"
        assert document["score"] == pytest.approx(scaled_score(client.records[record_id], SCALE), abs=1e-6)
        assert document["content_hash"] == answered[record_id]["content_hash"]
        assert answered[record_id]["model"]["version"] == "1"


def check_comparison(found: dict[str, Any], client: Client, labels: dict[str, str]) -> None:
    ids = list(client.records)
    answered = {record_id: client.answers[record_id][0] for record_id in ids}
    said = {record_id: scaled_score(client.records[record_id], SCALE) for record_id in ids}
    flips = sum(answered[record_id]["prediction"] == "no" and said[record_id] > 0.50005 for record_id in ids)
    shift = np.array([said[record_id] - answered[record_id]["score"] for record_id in ids])
    assert (found["champion"]["version"], found["challenger"]["version"]) == ("1", "2")
    assert found["answered"] == found["pairs"] == len(ids)
    assert found["flipped"] == {"no → yes": flips, "yes → no": 0}
    assert found["agreement"]["value"] == pytest.approx(1 - flips / len(ids))
    assert found["shift"]["mean"] == pytest.approx(shift.mean(), abs=1e-6)
    assert found["shift"]["p95"] == pytest.approx(np.quantile(shift, 0.95), abs=1e-6)
    truth = [labels[record_id] == "yes" for record_id in labels]
    for metrics, scores in (
        (found["champion_figures"], [answered[record_id]["score"] for record_id in labels]),
        (found["challenger_figures"], [said[record_id] for record_id in labels]),
    ):
        assert metrics["auc"]["value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
        decided = [score > 0.50005 for score in scores]
        assert metrics["accuracy"]["value"] == pytest.approx(accuracy_score(truth, decided))
