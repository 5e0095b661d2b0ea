"""Monitoring, Prometheus, Alertmanager and a webhook's receiver as real processes, with short times."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from monitoring_process import MonitoringProcess, poll_until
from monitoring_world import install_bundle, made_case
from real_parts import RealPart
from real_parts_cache import part_or_skip

ROOT = Path(__file__).parents[2]
#: A minute is 1.2 seconds.
TIME_SCALE = 0.02


@dataclass(frozen=True)
class Told:
    """One alert of one message to the webhook, and when it came."""

    at: float
    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        return self.labels["alertname"]


class Receiver:
    """A small HTTP server that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.told += [
                    Told(time.time(), message["receiver"], one["status"], one["labels"], one["annotations"])
                    for one in message["alerts"]
                ]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests say what went wrong."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def about(self, name: str, status: str = "firing", *, after: float = 0.0) -> list[Told]:
        return [one for one in self.told if (one.name, one.status) == (name, status) and one.at > after]

    def wait_for(self, name: str, status: str = "firing", *, after: float = 0.0, timeout_s: float = 120) -> Told:
        first: Told = poll_until(
            lambda: next(iter(self.about(name, status, after=after)), None), timeout_s, f"{name} is told as {status}"
        )
        return first

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Configured(RealPart):
    """A part that is told what ``prometheus/render.py`` wrote into a folder beside its own."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        """The folder."""
        return self.folder.parent / "config"

    def is_ready(self) -> bool:
        return super().is_ready() and requests.get(f"{self.url}/-/ready", timeout=5).ok


class Prometheus(Configured):
    def command(self) -> Sequence[str]:
        return (
            "prometheus",
            f"--config.file={self.config / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )

    def value(self, expression: str) -> float | None:
        """The first value of an expression now."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        results = answer["data"]["result"]
        return float(results[0]["value"][1]) if results else None

    def firing(self) -> set[str]:
        """Names of the alerts that fire, whoever is told."""
        alerts = requests.get(f"{self.url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


class Alertmanager(Configured):
    def command(self) -> Sequence[str]:
        return (
            "prometheus-alertmanager",
            f"--config.file={self.config / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        )

    def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{self.url}/api/v2/alerts", timeout=10).json()
        return found


class AlertingStack:
    """Everything between an event and the message about it."""

    def __init__(self, folder: Path, **monitoring: Any) -> None:
        part_or_skip("prometheus", "prometheus-alertmanager")
        # A machine with much to do makes checks late; that is none of what is tested here.
        patience = {"MONITORING_STALE_AFTER_S": "120"}
        self.monitoring = MonitoringProcess(folder / "monitoring", settings=patience, **monitoring)
        bundles = folder / "monitoring" / "var" / "shop" / "bundles"
        self.bundle_sha256 = install_bundle(bundles, made_case(**monitoring), performance=True)
        self.receiver = Receiver()
        self.prometheus, self.alertmanager = Prometheus(folder / "prometheus"), Alertmanager(folder / "alertmanager")
        self._config = folder / "config"

    def start(self) -> None:
        self._render()
        self.monitoring.start()
        self.alertmanager.start()
        self.prometheus.start()

    def _render(self) -> None:
        itself = f"127.0.0.1:{self.prometheus.port}"
        # Prometheus stands in for the services that this test does without, so that nobody misses them.
        places = {"monitoring": f"127.0.0.1:{self.monitoring.port}", "prediction": itself, "worker": itself}
        targets = [word for job, place in places.items() for word in ("--target", f"{job}={place}")]
        command = [sys.executable, "-m", "prometheus.render", "all", str(self._config), "--time-scale", str(TIME_SCALE)]
        command += [*targets, "--alertmanager", f"127.0.0.1:{self.alertmanager.port}"]
        environment = {**os.environ, "ALERT_WEBHOOK_URL": self.receiver.url}
        subprocess.run(command, check=True, timeout=60, env=environment)

    def stop(self) -> None:
        """Whatever of it was started."""
        self.prometheus.stop()
        self.alertmanager.stop()
        with contextlib.suppress(AssertionError):
            self.monitoring.stop()
        self.receiver.close()


@contextlib.contextmanager
def alerting_stack(folder: Path, **monitoring: Any) -> Iterator[AlertingStack]:
    stack = AlertingStack(folder, **monitoring)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
