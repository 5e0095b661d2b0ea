"""Replays as processes, from and to running parts: gaps, order, and going on after SIGKILL."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from generator_process import (
    Generator,
    bursts,
    fill_kafka,
    fill_mongo,
    made_topics,
    read_json,
    recorded_labels,
    recorded_predictions,
    write_journal,
    write_lines,
)
from monitoring_process import poll_until
from prediction_process import PredictionProcess, running
from prediction_world import install_champion
from reconciliation import TopicReader

from event_backbone.events.schema import parse_utc

RECORDS = 600
BURSTS, BURST_SIZE = 10, 12


def _check_gaps(recorded: Sequence[float], arrived: Sequence[float], speed: float) -> None:
    """Between the beginnings of bursts: over all of them, and the middle one of the differences.

    What a busy machine does to one burst moves neither of them much.
    """
    starts = range(0, len(recorded), BURST_SIZE)
    expected = [(recorded[b] - recorded[a]) / speed for a, b in itertools.pairwise(starts)]
    found = [arrived[b] - arrived[a] for a, b in itertools.pairwise(starts)]
    assert sum(found) == pytest.approx(sum(expected), rel=0.05)
    assert statistics.median(abs(a / b - 1) for a, b in zip(found, expected, strict=True)) < 0.05


@pytest.mark.alone
@pytest.mark.parametrize("speed", [*(pytest.param(speed, marks=pytest.mark.long) for speed in (4, 10)), 20])
def test_a_running_service_meets_the_recorded_gaps(speed: int, tmp_path: Path) -> None:
    times = bursts(BURSTS, BURST_SIZE)
    path = write_lines(tmp_path / "night.jsonl", times)
    with running(tmp_path) as service:
        Generator(tmp_path).replay(path, "--speed", f"{speed}x", "--to", service.url)
        arrived = {one["record_id"]: parse_utc(one["predicted_at"]).timestamp() for one in service.stored()}
    _check_gaps(times, [arrived[f"r{index:04}"] for index in range(len(times))], speed)


@pytest.mark.alone
@pytest.mark.parametrize("speed", [pytest.param(4, marks=pytest.mark.long), 20])
def test_a_running_broker_meets_the_recorded_gaps_and_the_recorded_order(
    speed: int, tmp_path: Path, kafka_url: str, kafka_namespace: str
) -> None:
    url = f"{kafka_url}/{kafka_namespace}"
    made_topics(url)
    install_champion(tmp_path / "state", tmp_path / "cases")
    times = bursts(BURSTS, BURST_SIZE)
    path = write_lines(tmp_path / "night.jsonl", times)
    Generator(tmp_path).replay(path, "--speed", f"{speed}x", "--to", url)
    with contextlib.closing(TopicReader(url, "records", "garden")) as reader:
        messages = reader.read_to_the_end()
    by_partition: dict[int, list[str]] = {}
    for message in messages:
        by_partition.setdefault(message.partition, []).append(message.key.decode())
    assert all(keys == sorted(keys) for keys in by_partition.values())
    arrived = {message.key.decode(): message.timestamp / 1000 for message in messages}
    assert [arrived[name] for name in sorted(arrived)] == sorted(arrived.values())
    _check_gaps(times, [arrived[f"r{index:04}"] for index in range(len(times))], speed)


@pytest.fixture(params=["journal", "mongodb", "kafka"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same recording in each kind of place."""
    predictions = recorded_predictions(RECORDS)
    labels = recorded_labels(predictions)
    if request.param == "journal":
        return str(write_journal(tmp_path / "recorded" / "journal.sqlite", predictions, labels))
    if request.param == "mongodb":
        url = f"{request.getfixturevalue('mongo_url')}/{request.getfixturevalue('mongo_database')}"
        fill_mongo(url, predictions, labels)
        return url
    url = f"{request.getfixturevalue('kafka_url')}/{request.getfixturevalue('kafka_namespace')}"
    fill_kafka(url, predictions, labels)
    return url


def _stored_labels(service: PredictionProcess, folder: Path) -> list[str]:
    journal = folder / "state" / "garden" / "journals" / "00" / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        return [name for (name,) in database.execute("SELECT record_id FROM entries WHERE kind = 'label'")]


def _killed(generator: Generator, options: Sequence[object], far_enough: Callable[[], bool]) -> None:
    process = generator.start("replay", *options)
    try:
        poll_until(far_enough, 60)
    finally:
        process.kill()
        process.communicate()


def test_a_killed_replay_goes_on_without_leaving_out_or_doubling_a_record(source: str, tmp_path: Path) -> None:
    with running(tmp_path) as service:
        generator = Generator(tmp_path)
        state = tmp_path / "replay.state"
        options = ["--from", source, "--to", service.url, "--speed", "2x", "--label-delay", 0.2, "--state", state]
        _killed(generator, options, lambda: state.exists() and read_json(state)["mark"]["done"] >= RECORDS // 4)
        done = read_json(state)["mark"]["done"]
        before = len(service.stored())
        summary = tmp_path / "second.json"
        code, out, err = generator.run("replay", *options, "--resume", "--summary", summary)
        assert code == 0, out + err
        stored = [one["record_id"] for one in service.stored()]
        labels = _stored_labels(service, tmp_path)
        again = generator.run("replay", *options, "--resume")
    assert sorted(stored) == [f"r{index:04}" for index in range(RECORDS)]
    assert sorted(labels) == [f"r{index:04}" for index in range(0, RECORDS, 2)]
    sent = read_json(summary)["sent"]
    # It went on where the first one was, but for what was under way.
    assert RECORDS - before <= sent == RECORDS - done
    assert "finished" in out
    assert (again[0], "finished before" in again[1]) == (0, True)


def test_a_killed_replay_into_kafka_goes_on(tmp_path: Path, kafka_url: str, kafka_namespace: str) -> None:
    url = f"{kafka_url}/{kafka_namespace}"
    made_topics(url)
    install_champion(tmp_path / "state", tmp_path / "cases")
    predictions = recorded_predictions(RECORDS)
    journal = write_journal(tmp_path / "recorded" / "journal.sqlite", predictions, recorded_labels(predictions))
    generator, state = Generator(tmp_path), tmp_path / "replay.state"
    options = ["--from", journal, "--to", url, "--speed", "2x", "--label-delay", 0.2, "--state", state]
    _killed(generator, options, lambda: state.exists() and read_json(state)["mark"]["done"] >= RECORDS // 3)
    before = read_json(state)["mark"]["done"]
    summary = tmp_path / "second.json"
    code, out, err = generator.run("replay", *options, "--resume", "--summary", summary)
    assert code == 0, out + err
    assert read_json(summary)["sent"] == RECORDS - before
    for kind, ids in (("records", range(RECORDS)), ("labels", range(0, RECORDS, 2))):
        with contextlib.closing(TopicReader(url, kind, "garden")) as reader:
            assert set(reader.values_by_key()) == {f"r{index:04}" for index in ids}


def test_a_stream_can_be_sent_through_kafka(tmp_path: Path, kafka_url: str, kafka_namespace: str) -> None:
    url = f"{kafka_url}/{kafka_namespace}"
    made_topics(url)
    install_champion(tmp_path / "state", tmp_path / "cases")
    path = write_lines(tmp_path / "records.jsonl", [0.0] * 50)
    code, out, err = Generator(tmp_path).run(
        "send", "--records", path, "--count", 200, "--rate", "max", "--to", url, "--run-id", "t", "--label-share", 0
    )
    assert code == 0, out + err
    assert "200 sent, 200 answered, 0 failed" in out
    with contextlib.closing(TopicReader(url, "records", "garden")) as reader:
        values = reader.values_by_key()
    assert values.keys() == {f"t-{index}" for index in range(200)}
    assert all(found[0]["record_id"] == name for name, found in values.items())


def test_an_interrupted_replay_says_how_to_go_on_and_another_one_is_refused_its_state(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "night.jsonl", [index * 0.1 for index in range(RECORDS)])
    other = write_lines(tmp_path / "other.jsonl", [0.0])
    state = tmp_path / "replay.state"
    with running(tmp_path) as service:
        generator = Generator(tmp_path)
        process = generator.start("replay", "--from", path, "--to", service.url, "--state", state)
        poll_until(lambda: len(service.stored()) >= 5, 60)
        process.terminate()
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 143
        assert "--resume goes on" in out
        refused = generator.run("replay", "--from", other, "--to", service.url, "--state", state, "--resume")
        assert refused[0] == 2
        assert "is the state of another replay" in refused[2]
        assert "source: is" in refused[2]
        assert "Traceback" not in refused[2]


def _difference(generator: Generator, source: object, folder: Path, *options: object) -> Any:
    generator.replay(source, "--model", "7", "--summary", folder / "difference.json", *options)
    return read_json(folder / "difference.json")


def test_scoring_again_with_the_version_in_use_changes_nothing_and_is_kept_apart(
    tmp_path: Path, mongo_url: str, mongo_database: str
) -> None:
    url = f"{mongo_url}/{mongo_database}"
    predictions = recorded_predictions(RECORDS)
    fill_mongo(url, predictions, recorded_labels(predictions))
    install_champion(tmp_path / "state", tmp_path / "cases")
    from pymongo import MongoClient

    with MongoClient[dict[str, Any]](url) as client:
        database = client[mongo_database]
        live = list(database["garden.predictions"].find())
        report = _difference(Generator(tmp_path), url, tmp_path, "--keep", url)
        assert list(database["garden.predictions"].find()) == live
        kept = list(database["garden.rescored"].find())
    assert report["overall"]["flips"] == {"count": 0, "share": 0.0, "directions": {}}
    assert report["overall"]["records"] == report["kept"] == len(kept) == RECORDS
    assert report["overall"]["shift"]["max"] < 1e-5
    assert {document["_id"]["model_version"] for document in kept} == {"7"}


@pytest.mark.long
def test_a_real_champion_says_the_same_again(tmp_path: Path, census_champion_state: Path) -> None:
    import shutil

    state = tmp_path / "state"
    shutil.copytree(census_champion_state / "census", state / "census")
    cases = str(Path(__file__).parents[2] / "cases")
    settings = {"CASE": "census", "STATE_DIR": str(state), "CASES_DIR": cases}
    with running(tmp_path, **settings) as service:
        generator = Generator(tmp_path, **settings)
        code, out, err = generator.run(
            "send", "--count", 400, "--rate", "max", "--to", service.url, "--scenario", "none", "--label-share", 0
        )
        assert code == 0, out + err
        [version] = {one["model"]["version"] for one in service.stored()}
    journal = state / "census" / "journals" / "00" / "journal.sqlite"
    said = generator.replay(journal, "--model", version, "--summary", tmp_path / "difference.json")
    report = read_json(tmp_path / "difference.json")
    assert report["overall"]["flips"] == {"count": 0, "share": 0.0, "directions": {}}
    assert report["overall"]["records"] == 400
    assert report["overall"]["shift"]["max"] < 1e-5
    assert sum(one["difference"]["records"] for one in report["by_segment"] if one["column"] == "sex") == 400
    assert "flipped    0 (0.00%)" in said


def test_a_version_that_was_never_registered_is_told(tmp_path: Path) -> None:
    install_champion(tmp_path / "state", tmp_path / "cases")
    journal = write_journal(tmp_path / "recorded" / "journal.sqlite", recorded_predictions(3))
    started_at = time.monotonic()
    code, _, err = Generator(tmp_path).run("replay", "--from", journal, "--model", "99")
    assert (code, "there is no version '99'" in err, "Traceback" in err) == (2, True, False)
    assert time.monotonic() - started_at < 100
