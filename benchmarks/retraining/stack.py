"""The services of one run as processes on free ports, and a client that sends records with their labels."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import requests

from benchmarks.processes import free_port, running
from training.data.rows import Floats, LabelledRows

BATCH_ROWS = 50
#: Records on their way to monitoring, or waiting there for their check.
MOST_ROWS_BEHIND = 500
#: A minute of an alert is three seconds.
ALERT_TIME_SCALE = 0.05
#: Much shorter than the rest of a run, so that what keeps a second retraining away is the episode alone.
COOLDOWN_S = 5.0
_TIMEOUT_S = 30.0
#: On a busy machine checks may be late.
_FIRST_CHECK_WITHIN_S = 180.0
Found = TypeVar("Found")


def poll_until(condition: Callable[[], Found | None], timeout_s: float, what: str) -> Found:
    """The first answer of ``condition`` that is true; raises :class:`TimeoutError` naming ``what``."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise TimeoutError(f"not within {timeout_s:g} s: {what}")


@dataclass
class Stack:
    """Where the services answer; :meth:`send` gives every record an id of its own."""

    prediction_url: str
    monitoring_url: str
    training_url: str
    records_per_s: float
    sent: int = 0
    _due_at: float = field(default_factory=time.monotonic)
    _session: requests.Session = field(default_factory=requests.Session)

    def send(self, rows: LabelledRows) -> Floats:
        """Predict a batch and label it, no faster than the rate; the scores."""
        poll_until(self._monitoring_keeps_up, _FIRST_CHECK_WITHIN_S, "monitoring keeps up with the records")
        time.sleep(max(0.0, self._due_at - time.monotonic()))
        self._due_at = max(self._due_at, time.monotonic() - 1.0) + len(rows) / self.records_per_s
        ids = [f"row-{self.sent + place}" for place in range(len(rows))]
        self.sent += len(rows)
        records = [{"record_id": id_, **record} for id_, record in zip(ids, rows.records, strict=True)]
        results = self._post("/predict/batch", records)["results"]
        self._post("/labels", [{"record_id": id_, "label": label} for id_, label in zip(ids, rows.labels, strict=True)])
        return np.array([result["answer"]["score"] for result in results], dtype=np.float64)

    def _monitoring_keeps_up(self) -> bool:
        """A slow machine must not make an alert come late in rows, of which there are only so many."""
        evaluation = self._get(f"{self.monitoring_url}/api/state")["evaluation"]
        return self.sent - (evaluation["at_row"] if evaluation else 0) < MOST_ROWS_BEHIND

    def _post(self, path: str, content: Any) -> Any:
        answer = self._session.post(f"{self.prediction_url}{path}", json=content, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()

    def runs(self) -> list[dict[str, Any]]:
        """Retrainings, newest first."""
        found: list[dict[str, Any]] = self._get(f"{self.training_url}/train")["runs"]
        return found

    def serving_version(self) -> str:
        return str(self._get(f"{self.prediction_url}/status")["model"]["version"])

    def monitored_version(self) -> str | None:
        """Whose predictions monitoring has evaluated last."""
        evaluation = self._get(f"{self.monitoring_url}/api/state")["evaluation"]
        return evaluation and evaluation["model"] and str(evaluation["model"]["version"])

    def _get(self, url: str) -> Any:
        answer = self._session.get(url, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()


@contextlib.contextmanager
def running_stack(env: Mapping[str, str], log: Path, *, records_per_s: float) -> Iterator[Stack]:
    """A replica, monitoring and the training server, wired as ``make run RETRAINING=on`` wires them."""
    ports = {name: free_port() for name in ("PREDICTION_PORT", "MONITORING_PORT", "TRAINING_PORT")}
    prediction, monitoring, training = (f"http://127.0.0.1:{port}" for port in ports.values())
    wired = {
        **env,
        **{name: str(port) for name, port in ports.items()},
        "SINKS": monitoring,
        "TRAINING_URL": training,
        "RETRAIN_ON_ALERTS": "true",
        "RETRAINING_COOLDOWN_S": f"{COOLDOWN_S:g}",
        "MONITORING_ALERT_TIME_SCALE": f"{ALERT_TIME_SCALE:g}",
    }
    with (
        running(["-m", "training", "serve"], wired, f"{training}/readyz", log),
        running(["-m", "monitoring_service"], wired, f"{monitoring}/readyz", log),
        running(["-m", "prediction_service"], wired, f"{prediction}/readyz", log),
        running(["-m", "prediction_service", "sidecar"], wired, f"{prediction}/readyz", log),
    ):
        yield Stack(prediction, monitoring, training, records_per_s)
