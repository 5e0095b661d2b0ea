"""A real Prometheus with the project's own configuration, with short times and pointed at local processes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests
from alerting_stack import Prometheus
from monitoring_process import poll_until
from real_parts_cache import part_or_skip

#: Five seconds between two scrapes become one, and an alert's minute twelve.
TIME_SCALE = 0.2

Sample = tuple[Mapping[str, str], float]


class PrometheusServer(Prometheus):
    """Scrapes ``targets`` (``host:port`` by job) and evaluates rules every second."""

    def __init__(self, folder: Path, targets: Mapping[str, Sequence[str]]) -> None:
        part_or_skip("prometheus")
        super().__init__(folder)
        self._targets = targets

    def command(self) -> Sequence[str]:
        targets = [f"--target={job}={place}" for job, places in self._targets.items() for place in places]
        render = [sys.executable, "-m", "prometheus.render", "all", str(self.config), f"--time-scale={TIME_SCALE}"]
        subprocess.run([*render, *targets], check=True, timeout=60)
        return super().command()

    def wait_for_targets(self, timeout_s: float = 30) -> None:
        """Until every target was scraped well."""
        count = sum(len(addresses) for addresses in self._targets.values())
        poll_until(lambda: len(self.numbers("up == 1")) == count, timeout_s, f"{count} targets are up")

    def query(self, expr: str) -> list[Sample]:
        """Labels and value of each series as they are now. Raises for what Prometheus refuses."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=10).json()
        assert answer["status"] == "success", f"{expr}: {answer}"
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def numbers(self, expr: str) -> list[Sample]:
        """Without what is not a number, such as a share of nothing."""
        return [sample for sample in self.query(expr) if not math.isnan(sample[1])]
