"""An open-loop client: requests are due at a steady rate, and latency counts from when they were due."""

from __future__ import annotations

import gc
import http.client
import json
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from monitoring_world import made_record


@dataclass(frozen=True)
class Timed:
    """``due_at`` on the monotonic clock; ``status`` 0 for a connection that failed."""

    due_at: float
    latency_s: float
    status: int


def percentile_s(timed: list[Timed], share: float) -> float:
    ordered = sorted(one.latency_s for one in timed)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class SteadyClient:
    """Keeps the same books as the closed-loop client, and a time for each request.

    Fewer connections than a server works on at once: a machine that stalls makes us late, and nothing is shed.
    """

    def __init__(self, url: str, seed: int, *, rate_per_s: float, connections: int = 12) -> None:
        self._address = urlsplit(url).netloc
        self._rng = random.Random(seed)
        self._prefix = f"o{seed}"
        self._interval_s = 1 / rate_per_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._started_at = 0.0
        self.records: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.timed: list[Timed] = []
        self._threads = [threading.Thread(target=self._send_all, daemon=True) for _ in range(connections)]

    def start(self) -> None:
        # A full collection of all that a whole test run has imported takes tenths of a second, in which nothing is
        # sent: that would be counted as the server's. What is there already is left out until `finish`.
        gc.freeze()
        self._started_at = time.monotonic()
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        gc.unfreeze()

    def between(self, start_at: float, end_at: float) -> list[Timed]:
        return [one for one in list(self.timed) if start_at <= one.due_at < end_at]

    def _next(self) -> tuple[float, str, dict[str, Any]]:
        with self._lock:
            number = len(self.records)
            record_id, record = f"{self._prefix}-{number}", made_record(self._rng)
            self.records[record_id] = record
        return self._started_at + number * self._interval_s, record_id, record

    def _send_all(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        while not self._stop.is_set():
            due_at, record_id, record = self._next()
            time.sleep(max(0.0, due_at - time.monotonic()))
            status = self._send(connection, record_id, record)
            self.timed.append(Timed(due_at, time.monotonic() - due_at, status))
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, record_id: str, record: dict[str, Any]) -> int:
        try:
            body = json.dumps({"record_id": record_id, **record})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            print(f"{record_id}: {error!r}")
            connection.close()
            return 0
        if response.status == 200:
            self.answers[record_id].append(json.loads(content))
        return response.status
