"""A start needs nobody: without Kafka, MongoDB and MLflow the last good bundle serves, and all arrives later."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from full_stack import EVERYTHING, Urls, make_topics, settings_for
from monitoring_process import poll_until
from monitoring_world import made_case
from real_parts import KafkaBroker, MlflowServer, MongoServer, remove_folder
from reconciliation import check_kept
from replica import Client, Replica, running_replica
from serving_world import install_champion, servable_parts

from event_backbone.model.bundle import CHAMPION_ALIAS, registered_name, write_bundle
from event_backbone.model.mlflow_registry import MlflowRegistry, mlflow_client

READY_WITHIN_S = 5.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    part = KafkaBroker(tmp_path / "kafka")
    yield part
    remove_folder(part)


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[MongoServer]:
    part = MongoServer(tmp_path / "mongo")
    yield part
    remove_folder(part)


@pytest.fixture
def replica(broker: KafkaBroker, mongo: MongoServer, tmp_path: Path) -> Iterator[Replica]:
    install_champion(tmp_path / "state", tmp_path / "cases")
    made = Replica(
        tmp_path / "state", tmp_path / "cases", names=EVERYTHING, **settings_for(Urls(broker.url, mongo.url))
    )
    yield made
    made.stop()
    print(made.logs())


@pytest.mark.alone
@pytest.mark.timeout(60)
def test_a_start_needs_nobody_and_takes_seconds(replica: Replica) -> None:
    started_at = time.monotonic()
    replica.start("serving")
    poll_until(lambda: requests.get(f"{replica.prediction_url}/readyz", timeout=2).ok, 30, "the server is ready")
    assert time.monotonic() - started_at < READY_WITHIN_S


@pytest.mark.long
@pytest.mark.timeout(180)
def test_everything_arrives_when_they_come(broker: KafkaBroker, mongo: MongoServer, replica: Replica) -> None:
    for name in EVERYTHING:
        replica.start(name)
    replica.wait_until_ready()
    client = Client(replica.prediction_url, seed=1)
    client.start()
    try:
        poll_until(lambda: all(who_is_away(replica).values()), 60, "/status names who is away")
        assert set(who_is_away(replica)) == {"mongodb", "kafka", "registry"}
        assert requests.get(f"{replica.prediction_url}/readyz", timeout=2).ok
        mongo.start()
        broker.start()
        make_topics(broker.url)
        poll_until(lambda: not who_is_away(replica)["kafka"], 60, "the sidecar reaches Kafka")
    finally:
        client.finish()
    check_kept(replica, Urls(broker.url, f"{mongo.url}/streamgauge"), client)
    assert not who_is_away(replica)["mongodb"]


def who_is_away(replica: Replica) -> dict[str, Any]:
    status = replica.status()
    sinks = {name: sink["fault"] for name, sink in status["sinks"].items()}
    return {**sinks, "registry": status["registry"]["fault"]}


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[MlflowServer]:
    part = MlflowServer(tmp_path / "mlflow")
    yield part
    remove_folder(part)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_the_champion_of_a_registry_that_comes_later_is_fetched_and_serves(
    mlflow: MlflowServer, tmp_path: Path
) -> None:
    install_champion(tmp_path / "state", tmp_path / "cases")
    with running_replica(
        tmp_path / "state", tmp_path / "cases", names=("serving", "sidecar"), MLFLOW_TRACKING_URI=mlflow.url
    ) as replica:
        poll_until(lambda: mlflow.url in (replica.status()["registry"]["fault"] or ""), 60, "/status names MLflow")
        mlflow.start()
        for _ in range(2):
            version = release(mlflow.url, tmp_path / "bundle")
        assert version == "2"
        poll_until(lambda: replica.status()["model"]["version"] == version, 60, "the registry's champion serves")
        assert replica.status()["registry"]["fault"] is None


def release(tracking_uri: str, folder: Path) -> str:
    """Register a bundle as the champion; its version."""
    case = made_case()
    sha256 = write_bundle(folder, case, servable_parts(case))
    run_id = mlflow_client(tracking_uri).create_run("0").info.run_id
    registry = MlflowRegistry(tracking_uri)
    model = registry.register(folder, sha256, name=registered_name(case), alias=CHAMPION_ALIAS, run_id=run_id)
    shutil.rmtree(folder)
    return model.version
