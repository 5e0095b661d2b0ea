"""Prometheus and Alertmanager with the arguments, login and configuration of docker-compose.yml, on this machine."""

from __future__ import annotations

import contextlib
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml
from real_parts import RealPart
from real_parts_cache import part_or_skip

ROOT = Path(__file__).parents[2]
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
STAND_INS: Mapping[str, Any] = yaml.safe_load((ROOT / "containers" / "local" / "compose.yml").read_text("utf-8"))
MAKE_SECRETS = runpy.run_path(str(ROOT / "containers" / "make_secrets.py"))
LOGIN_NAME: str = MAKE_SECRETS["LOGIN_NAME"]
#: Alerts that always fire; the second starts a retraining.
ALWAYS = ("FeatureDrift", "ConceptDrift")


def make_secrets(root: Path) -> None:
    """As the service ``secrets`` does; what is there already is kept."""
    for folder in ("master", *MAKE_SECRETS["files_for"]({name: make() for name, make in MAKE_SECRETS["MADE"].items()})):
        (root / folder).mkdir(parents=True, exist_ok=True)
    assert MAKE_SECRETS["main"](["--root", str(root), "make"]) == 0


class ComposedPart(RealPart):
    """One of the two; ``places`` are paths and addresses of containers, and what stands for each here."""

    service: str
    program: str
    container_port: int

    def __init__(self, folder: Path, secrets: Path) -> None:
        super().__init__(folder)
        self.secrets = secrets
        self.places = {
            MAKE_SECRETS["MOUNTED"]: str(secrets / self.service),
            f"127.0.0.1:{self.container_port}": f"127.0.0.1:{self.port}",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def login(self) -> tuple[str, str]:
        return LOGIN_NAME, (self.secrets / "master" / f"{self.service}_password").read_text()

    def here(self, text: str) -> str:
        for there, here in self.places.items():
            text = text.replace(there, here)
        return text

    def command(self) -> Sequence[str]:
        given = [self.here(word) for word in COMPOSE["services"][self.service]["command"]]
        return (self.program, *given, f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=debug")

    def health_check(self, compose: Mapping[str, Any] = COMPOSE) -> int:
        """Exit code of the container's health check."""
        _, *command = compose["services"][self.service]["healthcheck"]["test"]
        client = self.folder / "client.yml"
        client.write_text(self.here((self.secrets / self.service / "client.yml").read_text()))
        mounted = f"{MAKE_SECRETS['MOUNTED']}/client.yml"
        words = [self.here(word.replace(mounted, str(client))).replace("$$", "$") for word in command]
        return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode

    def get(self, path: str, **options: Any) -> Any:
        answer = requests.get(self.url + path, auth=self.login, timeout=10, **options)
        answer.raise_for_status()
        return answer.json()


class ComposedAlertmanager(ComposedPart):
    service, program, container_port = "alertmanager", "prometheus-alertmanager", 9093

    def __init__(self, folder: Path, secrets: Path, config: Path) -> None:
        super().__init__(folder, secrets)
        self.places |= {"/etc/streamgauge": str(config), "=/alertmanager": f"={folder / 'data'}"}


class ComposedPrometheus(ComposedPart):
    service, program, container_port = "prometheus", "prometheus", 9090

    def __init__(self, folder: Path, secrets: Path, config: Path) -> None:
        super().__init__(folder, secrets)
        self.places |= {"/etc/prometheus": str(config), "=/prometheus": f"={folder / 'data'}"}

    def command(self) -> Sequence[str]:
        # The first message is lost when an alert fires before Alertmanager is known; the next would come in a minute.
        return (*super().command(), "--rules.alert.resend-delay=1s")

    def up(self) -> set[str]:
        """Jobs that are scraped well."""
        found = self.get("/api/v1/query", params={"query": "up == 1"})["data"]["result"]
        return {one["metric"]["job"] for one in found}


class ComposedAlerting:
    """Both of them; ``training_url`` is who is asked to retrain from the next start on."""

    def __init__(self, folder: Path) -> None:
        part_or_skip("prometheus", "prometheus-alertmanager", "amtool", "wget")
        self.secrets, self._config = folder / "secrets", folder / "config"
        self.training_url = ""
        make_secrets(self.secrets)
        self.alertmanager = ComposedAlertmanager(folder / "am", self.secrets, self._config)
        self.prometheus = ComposedPrometheus(folder / "prom", self.secrets, self._config)

    @property
    def parts(self) -> tuple[ComposedPart, ComposedPart]:
        return self.alertmanager, self.prometheus

    def start(self) -> None:
        self._render()
        for part in self.parts:
            part.start()

    def _render(self) -> None:
        key = self.secrets / "alertmanager" / "alert_training_key"
        routes = {"ALERT_TRAINING_URL": self.training_url, "ALERT_TRAINING_KEY_FILE": str(key)}
        command = [sys.executable, "-m", "prometheus.render", "all", str(self._config), "--time-scale", "0.1"]
        subprocess.run(command, check=True, timeout=60, env={**os.environ, **routes}, cwd=ROOT)
        path = self._config / "prometheus.yml"
        address = f"127.0.0.1:{self.alertmanager.port}"
        config = yaml.safe_load(self.prometheus.here(path.read_text()).replace("alertmanager:9093", address))
        known = {part.service for part in self.parts}
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in known]
        path.write_text(yaml.safe_dump({**config, "rule_files": ["always.yml"]}))
        rules = [
            {"alert": name, "expr": "vector(1)", "labels": {"severity": "page", "case": "shop"}} for name in ALWAYS
        ]
        (self._config / "always.yml").write_text(yaml.safe_dump({"groups": [{"name": "always", "rules": rules}]}))

    def stop(self) -> None:
        for part in self.parts:
            part.stop()


@contextlib.contextmanager
def composed_alerting(folder: Path) -> Iterator[ComposedAlerting]:
    alerting = ComposedAlerting(folder)
    try:
        alerting.start()
        yield alerting
    finally:
        alerting.stop()
