"""A real Prometheus with the project's own configuration, pointed at local processes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml
from monitoring_process import poll_until
from real_parts import RealPart
from real_parts_cache import part_or_skip

CONFIG_DIR = Path(__file__).parents[1] / "prometheus"

Sample = tuple[Mapping[str, str], float]


def local_configuration(targets: Mapping[str, Sequence[str]], *, interval_s: int = 1) -> dict[str, Any]:
    """Jobs that are not named in ``targets`` (``host:port`` each) are left out, and so is Alertmanager."""
    config: dict[str, Any] = yaml.safe_load((CONFIG_DIR / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": f"{interval_s}s", "evaluation_interval": f"{interval_s}s"}
    config["rule_files"] = [str(CONFIG_DIR / pattern) for pattern in config["rule_files"]]
    config["scrape_configs"] = [
        {**job, "static_configs": [{"targets": list(targets[job["job_name"]])}]}
        for job in config["scrape_configs"]
        if job["job_name"] in targets
    ]
    config.pop("alerting", None)
    return config


class PrometheusServer(RealPart):
    """Scrapes and evaluates rules every second."""

    def __init__(self, folder: Path, targets: Mapping[str, Sequence[str]]) -> None:
        part_or_skip("prometheus")
        super().__init__(folder)
        self._targets = targets

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        path = self.folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(local_configuration(self._targets)))
        return (
            "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn",
        )

    def is_ready(self) -> bool:
        return super().is_ready() and requests.get(f"{self.url}/-/ready", timeout=5).ok

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
