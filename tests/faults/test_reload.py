"""Another champion while records are answered: nobody notices but by the version, and a broken one changes nothing."""

from __future__ import annotations

import os
import pickle
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from full_stack import LONG
from model_releases import Releases, flip_a_byte
from monitoring_process import poll_until
from monitoring_world import case_content
from replica import Replica, running_replica
from serving_world import install_champion
from steady_client import SteadyClient, percentile_s

from event_backbone.case.files import case_from_dict
from event_backbone.model.bundle import CHAMPION_ALIAS

CHANGES = 20 if LONG else 5
RATE_PER_S = 300.0
VISIBLE_WITHIN_S = 5.0


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "registry")


@pytest.fixture
def replica(tmp_path: Path, releases: Releases) -> Iterator[Replica]:
    """Version 1 of the registry serves."""
    install_champion(tmp_path / "state", tmp_path / "cases")
    releases.point(CHAMPION_ALIAS, releases.register())
    uri = releases.tracking_uri
    with running_replica(
        tmp_path / "state", tmp_path / "cases", names=("serving", "sidecar"), MLFLOW_TRACKING_URI=uri, SINKS=""
    ) as running:
        poll_until(lambda: reload(running).ok, 120, "the sidecar looks")
        assert running.status()["model"]["version"] == "1"
        yield running


def reload(replica: Replica) -> requests.Response:
    return requests.post(f"{replica.prediction_url}/admin/reload", timeout=60)


def predict(replica: Replica, **record: Any) -> dict[str, Any]:
    body = {"price": 50.0, "items": 1, "payment": "card", **record}
    return dict(requests.post(f"{replica.prediction_url}/predict", json=body, timeout=10).json())


def metric(replica: Replica, sample: str) -> float:
    lines = requests.get(f"{replica.prediction_url}/metrics", timeout=5).text.splitlines()
    values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample)]
    return values[0] if values else 0.0


@pytest.mark.alone
@pytest.mark.timeout(600 if LONG else 300)
def test_under_load_every_change_of_the_alias_is_soon_visible_and_no_request_fails(
    replica: Replica, releases: Releases
) -> None:
    versions = ["1", *(releases.register() for _ in range(3))]
    client, chance, seen_after_s = SteadyClient(replica.prediction_url, 7, rate_per_s=RATE_PER_S), random.Random(7), []
    client.start()
    serving = "1"
    try:
        for _ in range(CHANGES):
            time.sleep(chance.uniform(0.2, 1.0))
            serving = chance.choice([version for version in versions if version != serving])
            releases.point(CHAMPION_ALIAS, serving)
            seen_after_s.append(seconds_until_seen(client, serving))
    finally:
        client.finish()
    statuses = {one.status for one in client.timed}
    p99_ms = 1000 * percentile_s(client.timed, 0.99)
    slowest_s = max(seen_after_s)
    print(f"{len(client.timed)} requests, p99 {p99_ms:.1f} ms; {CHANGES} changes, each seen within {slowest_s:.2f} s")
    assert statuses == {200}
    assert slowest_s < VISIBLE_WITHIN_S
    assert len({answer["model"]["version"] for answers in client.answers.values() for answer in answers}) > 1
    assert metric(replica, f'prediction_model_info{{case="shop",name="{releases.name}",version="{serving}"}}') == 1


def seconds_until_seen(client: SteadyClient, version: str) -> float:
    """How long until a reply comes from this version."""
    started_at = time.monotonic()

    def is_seen() -> bool:
        newest = list(client.answers.values())[-5:]
        return any(answer["model"]["version"] == version for answers in newest for answer in answers)

    poll_until(is_seen, 30, f"version {version} answers")
    return time.monotonic() - started_at


def pickled(trace: Path) -> bytes:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return os.mkdir, (str(trace),)

    return pickle.dumps(Bomb())


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_broken_bundle_is_refused_by_name_runs_nothing_and_the_version_before_answers_on(
    replica: Replica, releases: Releases, tmp_path: Path
) -> None:
    trace = tmp_path / "executed"
    content = case_content()
    other_case = case_from_dict({**content, "title": "Another shop"}, subject="made case")

    def plant(folder: Path) -> None:
        (folder / "model.pkl").write_bytes(pickled(trace))

    broken = {
        "model.onnx: sha256 is": releases.register(damage=flip_a_byte),
        "encoder.json: is a pickle": releases.register(parts={"encoder.json": pickled(trace)}),
        "model.pkl: is not in the manifest": releases.register(damage=plant),
        "was made for another shop case file": releases.register(case=other_case),
        "golden rows": releases.register(parts={"golden.json": b'{"records": [], "scores": []}'}),
    }
    for fault, version in broken.items():
        releases.point(CHAMPION_ALIAS, version)
        refused = reload(replica)
        assert refused.status_code == 409
        assert f"version {version} was refused" in refused.json()["detail"]
        assert fault in refused.json()["detail"]
        assert predict(replica)["model"]["version"] == "1"
        assert fault in replica.status()["registry"]["fault"]
        assert metric(replica, 'prediction_model_reload_failed{case="shop",step="check"}') == 1
    assert not trace.exists()
    assert metric(replica, "prediction_model_load_failures_total") == len(broken)
    # A start with a broken champion in the registry serves what it had.
    replica.kill_worker("serving")
    replica.wait_until_ready()
    assert predict(replica)["model"]["version"] == "1"
    releases.point(CHAMPION_ALIAS, good := releases.register())
    assert reload(replica).json() == {
        "model": {"name": releases.name, "version": good},
        "previous": "1",
        "changed": True,
    }
    assert metric(replica, 'prediction_model_reload_failed{case="shop",step="check"}') == 0
