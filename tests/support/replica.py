"""A replica, its monitoring and workers as real processes that a test may kill, and a client with books of its own."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import requests
from monitoring_process import free_port, poll_until
from monitoring_world import made_class, made_record, made_score
from parent_death import die_with_the_parent

#: Kind of process → what is started. ``worker-2`` is another process of the kind ``worker``.
COMMANDS = {
    "serving": ["-m", "prediction_service"],
    "sidecar": ["-m", "prediction_service", "sidecar"],
    "monitoring": ["-m", "monitoring_service"],
    "worker": ["-m", "prediction_service", "worker"],
}
#: In a setting: where this replica's monitoring is.
OWN_MONITORING = "{monitoring}"
#: The embedded default: no Kafka, so no worker.
EMBEDDED = ("serving", "sidecar", "monitoring")


def direct_children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


class Replica:
    """Processes by name; every one that was started is gone after :meth:`stop`. Start them in the main thread."""

    def __init__(self, folder: Path, cases_dir: Path, *, names: Sequence[str] = EMBEDDED, **settings: str) -> None:
        self.names = names
        self.worker_ports = {name: free_port() for name in names if name.startswith("worker")}
        self.prediction_port, self.monitoring_port = free_port(), free_port()
        self.prediction_url = f"http://127.0.0.1:{self.prediction_port}"
        self.monitoring_url = f"http://127.0.0.1:{self.monitoring_port}"
        self.journal_path = folder / "shop" / "journals" / "00" / "journal.sqlite"
        self.monitoring_dir = folder / "shop" / "monitoring"
        self._log_dir = folder
        self._env = {
            **os.environ,
            "CASE": "shop",
            "CASES_DIR": str(cases_dir),
            "STATE_DIR": str(folder),
            "PREDICTION_PORT": str(self.prediction_port),
            "MONITORING_PORT": str(self.monitoring_port),
            "SINKS": self.monitoring_url,
            # Nothing answers there: a start needs no registry.
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            **{name: value.replace(OWN_MONITORING, self.monitoring_url) for name, value in settings.items()},
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Of a command that is run beside the processes."""
        return {**self._env, "PREDICTION_URL": self.prediction_url}

    def start(self, name: str, **changed: str) -> None:
        """Start it, with other settings than the rest where they are given."""
        kind = name.partition("-")[0]
        env = {**self._env, "WORKER_PORT": str(self.worker_ports.get(name, 0)), **changed}
        with (self._log_dir / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *COMMANDS[kind]],
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
            )

    def start_all(self) -> None:
        for name in self.names:
            self.start(name)
        self.wait_until_ready()

    def url_of(self, name: str) -> str | None:
        """Where a process answers probes; a sidecar answers none."""
        if name in self.worker_ports:
            return f"http://127.0.0.1:{self.worker_ports[name]}"
        return {"serving": self.prediction_url, "monitoring": self.monitoring_url}.get(name)

    def wait_until_ready(self) -> None:
        """Until every process that runs and answers probes is ready."""
        for name in self.processes:
            url = self.url_of(name)
            if url is not None and self.processes[name].poll() is None:
                poll_until(lambda url=url: requests.get(f"{url}/readyz", timeout=2).ok, 60, f"{name} is ready")

    def kill(self, name: str) -> None:
        """SIGKILL the process that was started."""
        self.processes[name].kill()
        self.processes[name].wait()

    def kill_all(self) -> None:
        for name in self.processes:
            self.kill(name)

    def kill_worker(self, name: str) -> None:
        """SIGKILL the worker of a server and leave its parent alone."""
        [worker] = direct_children_of(self.processes[name].pid)
        os.kill(worker, signal.SIGKILL)

    def freeze(self, name: str) -> None:
        """SIGSTOP: it is there and does nothing."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def status(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.prediction_url}/status", timeout=5).json())

    def monitoring_totals(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.monitoring_url}/api/state", timeout=5).json()["totals"])

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in self._log_dir.glob("*.log"))


@contextlib.contextmanager
def running_replica(
    folder: Path, cases_dir: Path, *, names: Sequence[str] = EMBEDDED, **settings: str
) -> Iterator[Replica]:
    replica = Replica(folder, cases_dir, names=names, **settings)
    try:
        replica.start_all()
        yield replica
    except BaseException:
        print(replica.logs())
        raise
    finally:
        replica.stop()


class Client:
    """Sends records until each is answered, and remembers every answer it ever got."""

    def __init__(self, url: str, seed: int, *, threads: int = 4, pause_s: float = 0.01) -> None:
        self._url = url
        self._rng = random.Random(seed)
        self._prefix = f"s{seed}"
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._number = 0
        self.records: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        #: Status and ``Retry-After`` of every other answer.
        self.refusals: list[tuple[int, str | None]] = []
        self._threads = [threading.Thread(target=self._send_all) for _ in range(threads)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Stop taking new records; return when the last one is answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _next(self) -> tuple[str, dict[str, Any]]:
        with self._lock:
            self._number += 1
            record_id, record = f"{self._prefix}-{self._number}", made_record(self._rng)
            self.records[record_id] = record
        return record_id, record

    def _send_all(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                record_id, record = self._next()
                self._send_until_answered(session, record_id, record)
                if self._number % 10 == 0:
                    self._send_once(session, record_id, record)  # a duplicate, now and then
                time.sleep(self._pause_s)

    def _send_until_answered(self, session: requests.Session, record_id: str, record: dict[str, Any]) -> None:
        deadline = time.monotonic() + 60
        while not self._send_once(session, record_id, record):
            assert time.monotonic() < deadline, f"{record_id} was never answered"
            time.sleep(0.1)

    def _send_once(self, session: requests.Session, record_id: str, record: dict[str, Any]) -> bool:
        try:
            response = session.post(f"{self._url}/predict", json={"record_id": record_id, **record}, timeout=5)
        except requests.RequestException:
            return False
        with self._lock:
            if response.status_code == 200:
                self.answers[record_id].append(response.json())
            else:
                self.refusals.append((response.status_code, response.headers.get("Retry-After")))
        return response.status_code == 200


def check_books(client: Client, replica: Replica) -> None:
    """Every answer ever given equals what is stored; stored once; counted once by monitoring."""
    sent = set(client.records)
    assert sent == set(client.answers), "some records were never answered"
    with contextlib.closing(sqlite3.connect(f"file:{replica.journal_path}?mode=ro", uri=True)) as journal:
        query = "SELECT body FROM entries WHERE kind = 'prediction'"
        stored = [json.loads(body) for (body,) in journal.execute(query)]
    by_id = {prediction["record_id"]: prediction for prediction in stored}
    assert len(by_id) == len(stored), "a prediction is stored twice"
    assert set(by_id) == sent, f"lost {sent - set(by_id)}, never sent {set(by_id) - sent}"
    for record_id, answers in client.answers.items():
        kept = by_id[record_id]
        assert kept["record"] == client.records[record_id]
        assert abs(kept["score"] - made_score(client.records[record_id])) < 1e-6
        assert kept["prediction"] == made_class(kept["score"])
        for answer in answers:
            assert answer == {name: kept[name] for name in answer}, f"{record_id}: an answer differs from what is kept"
    count = len(sent)
    poll_until(lambda: replica.monitoring_totals()["predictions"] == count, 60, f"monitoring counts {count}")


def check_counted(client: Client, replica: Replica) -> None:
    """The journal has forgotten what the sinks have, so monitoring is asked; every answer for an id is the same."""
    count = len(client.records)
    assert set(client.records) == set(client.answers)
    assert all(answer == answers[0] for answers in client.answers.values() for answer in answers)
    poll_until(lambda: replica.monitoring_totals()["predictions"] == count, 60, f"monitoring counts {count}")
    assert replica.monitoring_totals()["conflicts"] == 0
