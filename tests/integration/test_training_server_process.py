"""The training server as a process: runs of its own, deaths of either, keys, and a real Alertmanager that asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from alerting_stack import Alertmanager
from monitoring_process import is_running, poll_until
from real_parts_cache import part_or_skip
from training_server_process import TrainingServerProcess, training_server

from event_backbone.events.schema import time_text
from event_backbone.guards.api_keys import line_for
from event_backbone.model.bundle import BundleStore

KEY = "the-one-good-key"
TOLD_WITHIN_S = 60


def alert(name: str, began: float, **labels: str) -> dict[str, Any]:
    """As Prometheus sends it to Alertmanager."""
    known = {"alertname": name, "case": "shop", "severity": "page", **labels}
    return {"labels": known, "annotations": {}, "startsAt": time_text(began)}


def message(server: TrainingServerProcess, began: float) -> Any:
    """As Alertmanager sends it on."""
    fired = {**alert("ConceptDrift", began), "status": "firing", "fingerprint": "70e7cdea37e3c9ba"}
    return requests.post(f"{server.url}/alerts", json={"version": "4", "alerts": [fired]}, timeout=10)


@pytest.mark.long
def test_a_run_trains_on_the_newest_labelled_records_and_its_model_becomes_current(tmp_path: Path) -> None:
    with training_server(tmp_path, RETRAINING_ROWS="900") as server:
        server.fill_journal(1000)
        id_ = server.train()
        ended = poll_until(lambda: (run := server.run(id_))["state"] != "running" and run, 170, "the run ends")
        assert ended["state"] == "promoted", ended
        assert ended["decision"]["numbers"]["challenger_auc"] > 0.9
        current = BundleStore(server.bundles_dir).current()
        assert current is not None
        assert current.model.version == ended["decision"]["challenger"]["version"]


def test_a_run_that_is_killed_has_failed_and_the_server_goes_on(tmp_path: Path) -> None:
    with training_server(tmp_path, RETRAINING_COOLDOWN_S="0") as server:
        server.fill_journal(10)
        (started,) = message(server, time.time()).json()["started"]
        poll_until(lambda: server.run(started["id"])["stage"].startswith("collecting"), 60, "it collects")
        os.kill(server.run_pid(), signal.SIGKILL)
        failed = poll_until(lambda: (run := server.run(started["id"]))["state"] == "failed" and run)
        assert failed["decision"]["reasons"] == ["its process ended with -9 and said nothing"]
        assert requests.get(f"{server.url}/readyz", timeout=5).ok


def test_a_run_does_not_outlive_its_server_and_its_episode_stays_open(tmp_path: Path) -> None:
    with training_server(tmp_path, RETRAINING_COOLDOWN_S="0") as server:
        server.fill_journal(10)
        began = time.time()
        message(server, began)
        run_pid = server.run_pid()
        os.kill(server.worker_pid(), signal.SIGKILL)
        poll_until(lambda: not is_running(run_pid), 20, "the run is gone")
        poll_until(lambda: (run := server.newest()) and run["state"] == "failed", 30, "a new worker says so")
        assert message(server, began).json()["started"] != []
        run_pid = server.run_pid()
        assert server.stop() == 0
        assert not is_running(run_pid)


def test_too_few_labels_are_told_as_the_reason(tmp_path: Path) -> None:
    with training_server(tmp_path) as server:
        server.fill_journal(10)
        id_ = server.train()
        failed = poll_until(lambda: (run := server.run(id_))["state"] == "failed" and run, 90, "the run ends")
        assert "10 labelled records" in failed["decision"]["reasons"][0]


class RoutedAlertmanager(Alertmanager):
    """A real one, routed as ``prometheus/routing.py`` says."""

    def configure(self, **settings: str) -> None:
        part_or_skip("prometheus-alertmanager")
        command = [sys.executable, "-m", "prometheus.render", "all", str(self.config), "--time-scale", "0.02"]
        subprocess.run(command, check=True, timeout=60, env={**os.environ, **settings})

    def post(self, alerts: Sequence[dict[str, Any]]) -> None:
        requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()


def test_alertmanager_asks_with_its_key_and_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{line_for('alertmanager', KEY)}\n")
    (tmp_path / "key").write_text(KEY)
    alertmanager = RoutedAlertmanager(tmp_path / "alertmanager")
    with training_server(tmp_path / "training", API_KEYS_FILE=str(tmp_path / "keys")) as server:
        for method, path in (("POST", "/train"), ("GET", "/train"), ("POST", "/alerts"), ("GET", "/train/x")):
            assert requests.request(method, server.url + path, json={"reason": "x"}, timeout=5).status_code == 401
        url = f"{server.url}/alerts"
        alertmanager.configure(ALERT_TRAINING_URL=url, ALERT_TRAINING_KEY_FILE=str(tmp_path / "key"))
        alertmanager.start()
        try:
            began = time.time()
            alertmanager.post([alert("FeatureDrift", began), alert("ConceptDrift", began)])
            headers = {"Authorization": f"Bearer {KEY}"}

            def runs() -> Any:
                return requests.get(f"{server.url}/train", headers=headers, timeout=5).json()["runs"]

            (run,) = poll_until(runs, TOLD_WITHIN_S, "Alertmanager asks for a retraining")
        finally:
            alertmanager.stop()
        assert run["reason"] == "alert ConceptDrift"
        assert run["episode"].partition("@")[2][:19] == time_text(began)[:19]
        assert KEY not in server.log.read_text()
