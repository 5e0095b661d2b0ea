"""Erasing on real parts: afterwards nothing that was known about the record is anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from guarded_world import BEARER, MARKER, World, guarded_world
from monitoring_process import poll_until


@pytest.fixture
def world(tmp_path: Path, mongo_url: str, mongo_database: str, kafka_url: str, kafka_namespace: str) -> Iterator[World]:
    with guarded_world(tmp_path, f"{mongo_url}/{mongo_database}", f"{kafka_url}/{kafka_namespace}") as made:
        yield made


def test_after_erasing_a_record_nothing_of_it_is_anywhere(world: World) -> None:
    world.predict("ada-1", payment=MARKER)
    for number in range(5):
        world.predict(f"bob-{number}")
    world.wait_until_all_is_delivered()
    assert world.documents_with("ada-1") == {"predictions": 1, "labels": 1}
    assert world.last_message("predictions", "ada-1").value is not None
    assert world.files_with(MARKER)

    code, shown = world.erase("ada-1")
    assert code == 0, shown
    world.wait_until_all_is_delivered()
    poll_until(lambda: world.files_with(MARKER) == set(), 30, "no file below the state folder holds it")
    assert world.documents_with("ada-1") == {}
    for kind in ("predictions", "labels"):
        assert world.last_message(kind, "ada-1").value is None, f"no tombstone in {kind}"
    url = f"{world.replica.prediction_url}/predictions"
    assert requests.get(f"{url}/ada-1", headers=BEARER, timeout=5).status_code == 404
    assert requests.get(f"{url}/bob-1", headers=BEARER, timeout=5).status_code == 200
    assert world.documents_with("bob-1") == {"predictions": 1, "labels": 1}

    code, shown = world.erase("ada-1", "never-seen")
    assert code == 0, shown
    assert "NOT DONE" not in shown


@pytest.mark.long
def test_a_place_that_is_away_is_told_and_erased_by_the_next_run(world: World) -> None:
    world.predict("ada-1", payment=MARKER)
    world.wait_until_all_is_delivered()
    world.replica.processes["monitoring"].terminate()
    world.replica.processes["monitoring"].wait(20)
    code, shown = world.erase("ada-1")
    assert code == 1
    assert "NOT DONE  sink monitoring" in shown
    assert world.documents_with("ada-1") == {}
    world.replica.start("monitoring")
    world.replica.wait_until_ready()
    assert world.erase("ada-1")[0] == 0
    poll_until(lambda: world.files_with(MARKER) == set(), 30, "no file below the state folder holds it")


@pytest.mark.long
def test_a_replica_that_is_taken_away_leaves_no_record_behind(world: World) -> None:
    world.predict("ada-1", payment=MARKER)
    world.wait_until_all_is_delivered()
    world.replica.processes["serving"].terminate()
    world.replica.processes["serving"].wait(20)
    code, shown = world.erase("ada-1")
    assert code == 0, shown
    assert "1 journal, " in shown
    poll_until(lambda: world.files_with(MARKER) == set(), 30, "no file below the state folder holds it")


def test_a_wrong_key_is_told(world: World) -> None:
    world.settings["API_KEY"] = "not-this-one"
    code, shown = world.erase("ada-1")
    assert code == 1
    assert "wants a good API key" in shown
    assert "not-this-one" not in shown
