"""Starting and stopping a real server."""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests
from monitoring_process import children_of, is_running, poll_until
from prediction_process import PredictionProcess, running
from prediction_world import made_case, made_record, shelve

from event_backbone.model.bundle import BundleStore
from prediction_service.journal.reader import JournalReader


class Load:
    """Clients that send until told to stop; every answer and every failure is kept."""

    def __init__(self, server: PredictionProcess, clients: int = 8) -> None:
        self.answered: dict[str, int] = {}
        self.failures: list[str] = []
        self.stop = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._send_all, args=(number,)) for number in range(clients)]
        # A full collection of all that a whole test run has imported may take longer than a server that stops is there.
        gc.freeze()
        for thread in self._threads:
            thread.start()

    def _send_all(self, client: int) -> None:
        with requests.Session() as session:
            number = 0
            while not self.stop.is_set() and self._may_send(session):
                number += 1
                self._send(session, f"c{client}-{number}", number)

    def _may_send(self, session: requests.Session) -> bool:
        return True

    def _send(self, session: requests.Session, record_id: str, seed: int) -> None:
        record = {"record_id": record_id, **made_record(seed)}
        try:
            self.answered[record_id] = session.post(f"{self._server.url}/predict", json=record, timeout=10).status_code
        except requests.RequestException as error:
            self.failures.append(f"{record_id}: {error!r}")

    def finish(self) -> None:
        self.stop.set()
        self.wait()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()
        gc.unfreeze()


class HeedingLoad(Load):
    """Clients that ask whether the server is ready before each record, as somebody who balances load does."""

    def __init__(self, server: PredictionProcess) -> None:
        self.faults: list[dict[str, str]] = []
        super().__init__(server)

    def _may_send(self, session: requests.Session) -> bool:
        try:
            answer = session.get(f"{self._server.url}/readyz", timeout=10)
        except requests.RequestException:
            return False
        if not answer.ok:
            self.faults.append(answer.json()["faults"])
        return answer.ok


def stored_ids(journal: Path) -> set[str]:
    with closing(JournalReader(journal)) as reader:
        return {logged.prediction.record_id for logged in reader.predictions(limit=1_000_000)}


@pytest.mark.alone
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_server_under_load_that_is_told_to_stop_fails_nobody_who_heeds_its_readiness(
    tmp_path: Path, by: signal.Signals
) -> None:
    with running(tmp_path) as server:
        load = HeedingLoad(server)
        try:
            poll_until(lambda: len(load.answered) > 200, 30)
            server.ask_to_stop(by)
            load.wait()
        finally:
            load.finish()
        assert server.exit_code() == 0
    assert {"draining": "the service is stopping"} in load.faults
    assert load.failures == []
    assert set(load.answered.values()) <= {200, 503}
    answered = {record_id for record_id, status in load.answered.items() if status == 200}
    assert answered
    assert stored_ids(tmp_path / "state" / "garden" / "journals" / "00" / "journal.sqlite") == answered


def test_a_batch_in_hand_is_answered_before_the_end(tmp_path: Path) -> None:
    with running(tmp_path, MAX_BATCH_RECORDS="20000", MAX_BODY_BYTES=str(2**23)) as server:
        batch = [made_record(number) for number in range(20_000)]
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(server.send_json, "POST", "/predict/batch", batch)
            poll_until(lambda: server.metric("prediction_requests_in_flight") >= 1, 10)
            server.ask_to_stop()
            answer = call.result(30)
        assert answer.status == 200
        assert len(answer.json()["results"]) == 20_000
        assert server.exit_code() == 0


def test_nothing_of_a_stopped_server_is_left(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        pids = [server.pid, *children_of(server.pid)]
        assert len(pids) > 1
        assert server.stop() == 0
        assert [pid for pid in pids if is_running(pid)] == []
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{server.url}/livez", timeout=2)
    journal = tmp_path / "state" / "garden" / "journals" / "00"
    assert sorted(path.name for path in journal.glob("journal.sqlite*")) == ["journal.sqlite"]


def test_a_restart_goes_on_with_what_was_kept(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        first = server.predict({"record_id": "r1", **made_record(1)})
        server.stop()
        server.start()
        assert server.predict({"record_id": "r1", **made_record(1)}).body == first.body
        assert server.status()["journal"]["predictions"] == 1


def started(server: PredictionProcess) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prediction_service"],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_in_use_is_named_and_the_start_fails(tmp_path: Path) -> None:
    server = PredictionProcess(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)):
        ended = started(server)
    assert ended.returncode == 2
    assert f"can't listen on 127.0.0.1:{server.port}: address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_server_on_the_same_port_leaves_the_first_one_alone(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert started(server).returncode == 2
        assert server.predict(made_record()).status == 200


def test_two_servers_on_one_folder_keep_journals_of_their_own(tmp_path: Path) -> None:
    with running(tmp_path / "one") as first:
        places = {name: first.environment[name] for name in ("CASE", "STATE_DIR", "CASES_DIR")}
        with running(tmp_path / "two", **places) as second:
            first.predict({"record_id": "a", **made_record()})
            second.predict({"record_id": "b", **made_record()})
            assert first.status()["journal"]["id"] != second.status()["journal"]["id"]
    journals = tmp_path / "one" / "state" / "garden" / "journals"
    assert stored_ids(journals / "00" / "journal.sqlite") == {"a"}
    assert stored_ids(journals / "01" / "journal.sqlite") == {"b"}


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("PREDICTION_HOST", "0.0.0.0", "is not a loopback address"),
        ("CASE", "unheard-of", "no such case"),
        ("MAX_IN_FLIGHT", "many", "MAX_IN_FLIGHT"),
    ],
)
def test_a_start_that_makes_no_sense_fails_with_one_clear_text(
    tmp_path: Path, setting: str, value: str, message: str
) -> None:
    server = PredictionProcess(tmp_path)
    server.environment[setting] = value
    ended = started(server)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_journal_that_is_no_journal_stops_the_start(tmp_path: Path) -> None:
    server = PredictionProcess(tmp_path)
    journal = tmp_path / "state" / "garden" / "journals" / "00" / "journal.sqlite"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"this is no database, but it is long enough to be looked at" * 100)
    ended = started(server)
    assert ended.returncode == 1
    assert "can't be used as a journal" in ended.stdout + ended.stderr


# A start needs nobody else, and a new champion interrupts nobody ------------------------------------------------------


def test_without_a_champion_it_starts_and_says_so_and_takes_the_first_that_comes(tmp_path: Path) -> None:
    server = PredictionProcess(tmp_path)
    bundles = tmp_path / "state" / "garden" / "bundles"
    pointer = (bundles / "current").read_bytes()
    (bundles / "current").unlink()
    try:
        server.launch()
        poll_until(lambda: requests.get(f"{server.url}/livez", timeout=1).ok, 20)
        refused = server.predict(made_record())
        assert (refused.status, refused.headers["retry-after"]) == (503, "2")
        assert "model" in server.send("GET", "/readyz").json()["faults"]
        (bundles / "current").write_bytes(pointer)
        poll_until(lambda: server.predict(made_record()).status == 200, 10)
    finally:
        assert server.stop() == 0


def test_a_new_champion_takes_over_with_no_failed_request_and_a_broken_one_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "garden" / "bundles"
    bundles = BundleStore(folder)
    with running(tmp_path) as server:
        load = Load(server, clients=4)
        try:
            bundles.repoint(shelve(folder, made_case(), version="8"))
            poll_until(lambda: server.status()["model"]["version"] == "8", 10)
            bundles.repoint(shelve(folder, made_case(), version="9", model_onnx=b"broken"))
            poll_until(lambda: server.metric("prediction_model_load_failures_total") == 1, 10)
            seen = len(load.answered)
            poll_until(lambda: len(load.answered) > seen + 100, 10)
        finally:
            load.finish()
        assert server.status()["model"]["version"] == "8"
        assert server.predict(made_record(leaves=30)).json()["score"] == pytest.approx(0.3, abs=1e-6)
    assert load.failures == []
    assert set(load.answered.values()) == {200}


# Overload -------------------------------------------------------------------------------------------------------------


def test_above_the_limit_only_200_and_503_are_answered_and_probes_always(tmp_path: Path) -> None:
    with running(tmp_path, MAX_IN_FLIGHT="2") as server:
        load = Load(server, clients=16)
        try:
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:
                assert server.send("GET", "/livez").status == 200
                assert server.send("GET", "/readyz").status == 200
        finally:
            load.finish()
        answered = {record_id for record_id, status in load.answered.items() if status == 200}
        assert {prediction["record_id"] for prediction in server.stored()} == answered
    assert load.failures == []
    assert set(load.answered.values()) == {200, 503}
