"""The weekly flow from end to end, as its command runs it: without a Prefect server and with one, on both cases."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from monitoring_process import free_port, poll_until
from parent_death import die_with_the_parent
from prediction_process import running
from pyarrow import parquet
from recording_proxy import RecordingProxy
from weekly_world import environment_of, train_model, write_small_cases

STAGES = ["retrieve", "validate", "analyse", "train", "evaluate", "promote", "predict new data"]
BATCH = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_small_cases(tmp_path / "cases")
    return tmp_path


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    recording = RecordingProxy()
    yield recording
    recording.close()


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real server's API."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
        )
    try:
        url = f"http://127.0.0.1:{port}/api"
        poll_until(lambda: requests.get(f"{url}/health", timeout=1).ok, 120)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _asked(url: str, kind: str) -> list[dict[str, Any]]:
    answer = requests.post(f"{url}/{kind}/filter", json={}, timeout=10)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def _check_predictions(case: str, folder: Path) -> None:
    """The predictions file has what the service answers for the same records."""
    [run] = (folder / "state" / case / "weekly").iterdir()
    written = parquet.read_table(run / "predictions.parquet").to_pylist()
    lines = (folder / "state" / case / "splits" / "stream.jsonl").read_text().splitlines()
    records = [json.loads(line)["record"] for line in lines]
    assert len(written) == len(records) > 0
    places = {"CASE": case, "STATE_DIR": str(folder / "state"), "CASES_DIR": str(folder / "cases")}
    with running(folder / "service", **places) as service:
        for start in range(0, len(records), BATCH):
            answered = service.send_json("POST", "/predict/batch", records[start : start + BATCH]).json()["results"]
            for row, one in zip(written[start : start + BATCH], answered, strict=True):
                assert row["prediction"] == pytest.approx(one["answer"]["prediction"])
                assert row["score"] == pytest.approx(one["answer"]["score"], rel=1e-6)
                assert row["model_version"] == one["answer"]["model"]["version"]


@pytest.mark.long
@pytest.mark.parametrize("case", ["census", pytest.param("housing", marks=pytest.mark.long)])
def test_a_week_without_a_server_reaches_nothing_but_this_machine(
    case: str, folder: Path, proxy: RecordingProxy
) -> None:
    environment = environment_of(folder, **proxy.environment)
    ended = train_model("weekly", "--case", case, "--synthetic", environment=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"champion streamgauge-{case} version 1 registered" in ended.stdout
    assert proxy.asked == []
    [run] = (folder / "state" / case / "weekly").iterdir()
    left = {path.name for path in run.iterdir()}
    assert left == {"profile.json", "analysis.html", "model_card.md", "quality", "predictions.parquet"}
    _check_predictions(case, folder)


@pytest.mark.long
def test_a_week_that_is_asked_to_stop_takes_the_server_with_it(folder: Path) -> None:
    log = folder / "week.log"
    with log.open("wb") as file:
        week = subprocess.Popen(
            [sys.executable, "-m", "training", "weekly", "--case", "census", "--synthetic"],
            env=environment_of(folder),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        poll_until(lambda: b"Beginning flow run" in log.read_bytes(), 200)
        week.terminate()
        assert week.wait(60) == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.killpg(week.pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(week.pid, signal.SIGKILL)


@pytest.mark.long
def test_a_week_is_on_the_pages_of_a_server(folder: Path, prefect_server: str) -> None:
    environment = environment_of(folder, PREFECT_API_URL=prefect_server)
    ended = train_model("weekly", "--case", "housing", "--synthetic", environment=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [run] = [one for one in _asked(prefect_server, "flow_runs") if one["name"] == "housing"]
    assert run["state_type"] == "COMPLETED"
    assert run["parameters"]["order"]["case"] == "housing"
    tasks = [one for one in _asked(prefect_server, "task_runs") if one["flow_run_id"] == run["id"]]
    assert {one["name"].rpartition("-")[0] for one in tasks} == set(STAGES)
    assert {one["state_type"] for one in tasks} == {"COMPLETED"}
    logged = [one["message"] for one in _asked(prefect_server, "logs")]
    assert any(message.startswith("gate: promoted") for message in logged)
    artifacts = {one["key"]: one["data"] for one in _asked(prefect_server, "artifacts")}
    assert "**Promoted**" in artifacts["model-card"]
    assert requests.get(prefect_server.removesuffix("/api"), timeout=10).headers["content-type"].startswith("text/html")
    _check_predictions("housing", folder)


@pytest.mark.long
def test_a_schedule_is_kept_by_the_server_and_what_falls_due_is_run(folder: Path, prefect_server: str) -> None:
    environment = environment_of(folder, PREFECT_API_URL=prefect_server, PREFECT_RUNNER_POLL_FREQUENCY="1")
    command = [sys.executable, "-m", "training", "weekly", "--case", "census", "--synthetic", "--serve"]
    with (folder / "served.log").open("wb") as log:
        serving = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
        )
    try:
        [deployment] = poll_until(lambda: _asked(prefect_server, "deployments"), 120)
        assert deployment["name"] == "census"
        schedule = deployment["schedules"][0]["schedule"]
        assert (schedule["cron"], schedule["timezone"]) == ("0 6 * * 1", "UTC")
        due = requests.post(f"{prefect_server}/deployments/{deployment['id']}/create_flow_run", json={}, timeout=10)
        run_url = f"{prefect_server}/flow_runs/{due.json()['id']}"

        def ended() -> str:
            state: str = requests.get(run_url, timeout=10).json()["state_type"]
            return state if state in ("COMPLETED", "FAILED", "CRASHED") else ""

        assert poll_until(ended, 250) == "COMPLETED", (folder / "served.log").read_text()[-5000:]
        _check_predictions("census", folder)
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(30)


def test_a_server_that_does_not_answer_is_one_clear_line(folder: Path) -> None:
    environment = environment_of(folder, PREFECT_API_URL="http://127.0.0.1:9/api")
    ended = train_model("weekly", "--case", "census", "--synthetic", environment=environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("train-model: Prefect's server at http://127.0.0.1:9/api doesn't answer")
    assert len(ended.stderr.splitlines()) == 1


def test_a_schedule_without_a_server_is_one_clear_line(folder: Path) -> None:
    ended = train_model("weekly", "--case", "census", "--serve", environment=environment_of(folder))
    assert ended.returncode == 2
    assert "PREFECT_API_URL: is not set" in ended.stderr


@pytest.mark.long
def test_bad_data_stop_the_week_with_their_faults_and_nothing_is_registered(folder: Path) -> None:
    raw = folder / "raw"
    raw.mkdir()
    for name in ("adult.data", "adult.test"):
        (raw / name).write_text("not, the, right, file\n")
    environment = environment_of(folder)
    ended = train_model("weekly", "--case", "census", "--data-dir", str(raw), environment=environment)
    assert ended.returncode == 2
    assert "train-model: validate: the data are not what the case file says" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (folder / "state" / "census" / "bundles").exists()
