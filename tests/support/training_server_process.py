"""The training server as a real process on a free port, and a journal of labelled predictions for it."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from monitoring_process import children_of, command_of, free_port, poll_until, stop
from monitoring_world import label, made_record, prediction, write_case
from parent_death import die_with_the_parent

from event_backbone.prediction_log.journal_layout import entry_of
from prediction_service.journal.writer import Journal


class TrainingServerProcess:
    """One server of the made shop case; ``settings`` are environment variables."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "training.log"
        self.journal_path = folder / "var" / "shop" / "journals" / "00" / "journal.sqlite"
        self.bundles_dir = folder / "var" / "shop" / "bundles"
        write_case(folder / "cases")
        self._env = {
            **os.environ,
            "CASE": "shop",
            "CASES_DIR": str(folder / "cases"),
            "STATE_DIR": str(folder / "var"),
            "TRAINING_PORT": str(self.port),
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "training", "serve"]
            self._process = subprocess.Popen(
                command,
                env=self._env,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
            )
        poll_until(lambda: requests.get(f"{self.url}/readyz", timeout=1).ok)

    def worker_pid(self) -> int:
        """The process that answers requests."""
        assert self._process is not None
        return int(poll_until(lambda: next(iter(children_of(self._process.pid)), None)))  # type: ignore[union-attr]

    def run_pid(self) -> int:
        """The process of the run that is at work."""
        assert self._process is not None
        pid = self._process.pid
        return int(
            poll_until(lambda: next((one for one in children_of(pid) if "server.run_main" in command_of(one)), None))
        )

    def stop(self) -> int:
        assert self._process is not None
        return stop(self._process)

    def train(self, **body: Any) -> str:
        answer = requests.post(f"{self.url}/train", json={"reason": "a test", **body}, timeout=10)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def run(self, id_: str) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/train/{id_}", timeout=10).json())

    def newest(self) -> dict[str, Any] | None:
        return next(iter(requests.get(f"{self.url}/train", timeout=10).json()["runs"]), None)

    def fill_journal(self, rows: int) -> None:
        """Predictions with labels that follow from their price, and some luck."""
        self.journal_path.parent.mkdir(parents=True, exist_ok=True)
        rng = random.Random(5)
        with contextlib.closing(Journal(self.journal_path, max_bytes=2**30)) as journal:
            for number in range(rows):
                record = made_record(rng)
                truth = "yes" if record["price"] + rng.gauss(0, 3) < 50 else "no"
                journal.append([entry_of(prediction(f"r{number}", record)), entry_of(label(f"r{number}", truth))])


@contextlib.contextmanager
def training_server(folder: Path, **settings: str) -> Iterator[TrainingServerProcess]:
    """From ready to stopped; what it logged is shown when the test fails."""
    server = TrainingServerProcess(folder, **settings)
    try:
        server.start()
        yield server
    except BaseException:
        print(server.log.read_text()[-5000:])
        raise
    finally:
        server.stop()
