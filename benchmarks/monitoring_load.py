"""The whole service as its real processes, fed over HTTP: what it takes of a core, and how much memory."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.monitoring_stream import Stream
from benchmarks.processes import command_of, cpu_seconds, free_port, resident_mb, running
from event_backbone.process.progress import UnstarvedClock, descendants_of
from event_backbone.settings import Settings

READY_WITHIN_S = 180
#: A full service says when to come again.
FULL_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class CpuShares:
    """Of one core, over the time of the load; ``reports`` are those of the evaluator's children."""

    ingest: float
    evaluator: float
    reports: float

    @property
    def whole(self) -> float:
        return self.ingest + self.evaluator


class RunningMonitor:
    """The service's processes and a connection to them."""

    def __init__(self, pid: int, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._pid = pid

    def feed(self, body: bytes) -> None:
        """Until it is taken: a full service is asked again."""
        while True:
            self._connection.request("POST", "/events", body)
            response = self._connection.getresponse()
            response.read()
            if response.status == 200:
                return
            if response.status != 503:
                raise RuntimeError(f"/events answered {response.status}")
            time.sleep(FULL_PAUSE_S)

    def wait_until_checked(self, *, within_s: float = READY_WITHIN_S) -> None:
        """No check is due any more, and the evaluator is there: its start is no part of any load."""
        clock = UnstarvedClock(lambda: descendants_of(self._pid))
        while clock.now() < within_s:
            lines = self._get("/metrics").decode().splitlines()
            shown = {line.split("{")[0]: line.rsplit(" ", 1)[1] for line in lines if line.startswith("monitoring_")}
            checked = "monitoring_last_check_timestamp_seconds" in shown
            waiting = json.loads(self._get("/status")).get("waiting", {})
            if checked and float(shown["monitoring_backlog_rows"]) == 0 and not waiting:
                return
            time.sleep(0.5)
        raise TimeoutError(f"checks and evaluator were not there within {within_s:g} s")

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path)
        return self._connection.getresponse().read()

    @property
    def evaluator_pid(self) -> int:
        """The oldest of those that look like it: reports are forks of it."""
        return min(
            pid for pid in descendants_of(self._pid) if "monitoring_service.evaluation.process" in command_of(pid)
        )

    @property
    def ingest_pids(self) -> list[int]:
        return [self._pid, *(pid for pid in descendants_of(self._pid) if "evaluation.process" not in command_of(pid))]

    @property
    def resident_mb(self) -> float:
        """Of the process that takes events, the largest that is not the evaluator."""
        return max(resident_mb(pid) for pid in self.ingest_pids)

    def _cpu(self) -> tuple[float, float, float]:
        evaluator, reports = cpu_seconds(self.evaluator_pid)
        return sum(cpu_seconds(pid)[0] for pid in self.ingest_pids), evaluator, reports

    def cpu_shares(self, stream: Stream, seconds: float, rate_per_s: int, batches_per_s: int) -> CpuShares:
        """Feed at this rate; whether or not it keeps up, a batch is due at its time."""
        bodies = stream.bodies(rate_per_s // batches_per_s)
        before, started = self._cpu(), time.monotonic()
        for number in range(int(seconds * batches_per_s)):
            body = next(bodies)
            time.sleep(max(0.0, started + number / batches_per_s - time.monotonic()))
            self.feed(body)
        self.wait_until_checked()
        took, after = time.monotonic() - started, self._cpu()
        return CpuShares(*((end - begin) / took for begin, end in zip(before, after, strict=True)))


@contextlib.contextmanager
def running_monitor(settings: Settings, folder: Path) -> Iterator[RunningMonitor]:
    """With the settings' bundle, and a folder of its own for everything it keeps."""
    port = free_port()
    env = {"CASE": settings.case, "STATE_DIR": str(settings.state_dir.resolve()), "RUN_DIR": str(folder)}
    env |= {"MONITORING_PORT": str(port), "LOG_LEVEL": "ERROR", "MONITORING_EVENTS": "http"}
    with running(["-m", "monitoring_service"], env, f"http://127.0.0.1:{port}/livez") as process:
        yield RunningMonitor(process.pid, port)
