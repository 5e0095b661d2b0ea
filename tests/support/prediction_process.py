"""The prediction service as a real process on a free port and a folder of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import requests
from monitoring_process import free_port, poll_until
from parent_death import die_with_the_parent
from prediction_world import install_champion

#: Nobody listens there: a server needs neither registry nor monitoring.
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer; header names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class PredictionProcess:
    """One server. ``settings`` are environment variables; without CASE the made garden case is installed and served."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "prediction.log"
        folder.mkdir(parents=True, exist_ok=True)
        places = {"CASE": "garden", "STATE_DIR": str(folder / "state"), "CASES_DIR": str(folder / "cases")}
        if "CASE" not in settings:
            install_champion(folder / "state", folder / "cases")
        self.environment = {
            **os.environ,
            **places,
            "PREDICTION_PORT": str(self.port),
            "SINKS": NOBODY,
            "MLFLOW_TRACKING_URI": NOBODY,
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it is ready."""
        self.launch()
        poll_until(lambda: requests.get(f"{self.url}/readyz", timeout=1).ok, 30)

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "prediction_service"],
                env=self.environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ask_to_stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(by)

    def exit_code(self, timeout_s: float = 20) -> int:
        """Wait for the end; a process that does not end is killed and fails the test."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def stop(self) -> int:
        if self._process is not None and self._process.poll() is None:
            self.ask_to_stop()
        return self.exit_code()

    def send(
        self, method: str, path: str, body: bytes | Iterable[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own; a body that is no bytes is sent in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            chunked = not isinstance(body, bytes)
            connection.request(method, path, body, dict(headers or {}), encode_chunked=chunked)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def send_json(self, method: str, path: str, content: Any) -> Answer:
        return self.send(method, path, msgspec.json.encode(content), {"Content-Type": "application/json"})

    def predict(self, record: Mapping[str, Any]) -> Answer:
        return self.send_json("POST", "/predict", record)

    def status(self) -> Any:
        return self.send("GET", "/status").json()

    def stored(self) -> list[Any]:
        """Every stored prediction, page by page."""
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.send("GET", f"/predictions?limit=1000&since={cursor}").json()
            found += page["predictions"]
            cursor = page["next"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """A sample of ``/metrics``; 0 when there is none."""
        for line in self.send("GET", "/metrics").body.decode().splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == name and all(f'{key}="{label}"' in sample for key, label in labels.items()):
                return float(value)
        return 0.0


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[PredictionProcess]:
    """A server from ready to stopped; what it logged is shown when the test fails."""
    process = PredictionProcess(folder, **settings)
    try:
        process.start()
        yield process
    except BaseException:
        print(process.log.read_text()[-5000:])
        raise
    finally:
        process.stop()
