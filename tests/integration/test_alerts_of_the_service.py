"""The service's own alerts through running processes, and beside those of a real Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from monitoring_process import MonitoringProcess, poll_until
from monitoring_world import body_of, predictions
from real_parts import RealPart
from real_parts_cache import part_or_skip
from webhook_receiver import WebhookReceiver

from event_backbone.events.schema import time_text
from monitoring_service.alerting.lifecycle import Alert, Notification, fingerprint, labels_of
from monitoring_service.alerting.views import AlertLinks, webhook_body
from monitoring_service.state.conditions import Condition

SCHEDULE: dict[str, Any] = {"window_rows": 200, "minimum_rows": 100, "check_every_rows": 20}
#: A minute is 0.6 seconds.
TIME_SCALE = "0.01"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    yield receiver
    receiver.close()


def started(folder: Path, receiver: WebhookReceiver) -> MonitoringProcess:
    """The webhook's address comes from a file, as a secret does."""
    secrets = folder / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "monitoring_webhook_url").write_text(receiver.url)
    settings = {
        "SECRETS_DIR": str(secrets),
        "MONITORING_ALERT_TIME_SCALE": TIME_SCALE,
        "MONITORING_STALE_AFTER_S": "600",  # a busy machine is not what this is about
    }
    monitoring = MonitoringProcess(folder, settings=settings, **SCHEDULE)
    monitoring.start()
    return monitoring


@pytest.fixture
def monitoring(tmp_path: Path, receiver: WebhookReceiver) -> Iterator[MonitoringProcess]:
    monitoring = started(tmp_path, receiver)
    yield monitoring
    monitoring.stop()


class Sender:
    """Sends rows on and on, in order."""

    def __init__(self, monitoring: MonitoringProcess) -> None:
        self._monitoring = monitoring
        self.row = 0

    def send(self, rows: int, price_shift: float = 0.0) -> None:
        for _ in range(rows // 20):
            made = predictions(
                20, first=self.row, bundle_sha256=self._monitoring.bundle_sha256, price_shift=price_shift
            )
            self._monitoring.post_until_taken(body_of(made, first_seq=self.row + 1))
            self.row += 20
        self._monitoring.wait_for_checks(self.row)


def test_confirmed_drift_is_told_with_its_column_and_later_resolved(
    monitoring: MonitoringProcess, receiver: WebhookReceiver
) -> None:
    sender = Sender(monitoring)
    sender.send(200)
    assert receiver.tried == []
    sender.send(200, price_shift=12.0)
    told = poll_until(lambda: receiver.about("FeatureDrift", "firing"), 60, "the drift is told")
    assert {one["labels"]["column"] for one in told} == {"price"}
    assert told[0]["labels"]["severity"] == "ticket"
    assert told[0]["annotations"]["runbook"].endswith("#featuredrift")
    assert "%" in told[0]["annotations"]["description"]
    assert poll_until(lambda: receiver.about("PredictionDrift", "firing"), 60)
    while monitoring.state()["episodes"][0]["ended_at_row"] is None:
        assert sender.row < 3000, "the drift does not end"
        sender.send(100)
    ended = poll_until(lambda: receiver.about("FeatureDrift", "resolved"), 60, "its end is told")
    assert ended[0]["fingerprint"] == told[0]["fingerprint"]
    assert ended[0]["endsAt"] > ended[0]["startsAt"]
    metrics = requests.get(f"{monitoring.url}/metrics", timeout=10).text
    assert 'monitoring_notifications_total{case="shop",outcome="sent"}' in metrics
    assert "a-secret" not in monitoring.log.read_text()


def test_a_kill_while_the_receiver_is_away_loses_no_notification(
    monitoring: MonitoringProcess, receiver: WebhookReceiver
) -> None:
    receiver.status = 503
    sender = Sender(monitoring)
    sender.send(200)
    sender.send(200, price_shift=12.0)
    poll_until(lambda: receiver.tried, 60, "the receiver is asked")
    monitoring.kill()
    receiver.status = 200
    monitoring.start()
    poll_until(lambda: receiver.about("FeatureDrift", "firing"), 60, "the drift is told after all")
    alerts = {one["name"]: one for one in monitoring.state()["alerts"]}
    assert alerts["FeatureDrift"]["state"] == "firing"


class OneAlertmanager(RealPart):
    """Sends everything to one webhook at once."""

    def __init__(self, folder: Path, webhook: str) -> None:
        part_or_skip("prometheus-alertmanager")
        super().__init__(folder)
        self._webhook = webhook

    def command(self) -> Sequence[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        route = {"receiver": "hook", "group_by": ["alertname", "case"], "group_wait": "0s", "group_interval": "1s"}
        hook = {"name": "hook", "webhook_configs": [{"url": self._webhook, "send_resolved": True}]}
        config = self.folder / "alertmanager.yml"
        config.write_text(json.dumps({"route": route, "receivers": [hook]}))
        return (
            "prometheus-alertmanager",
            f"--config.file={config}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        )

    def is_ready(self) -> bool:
        return super().is_ready() and requests.get(f"http://127.0.0.1:{self.port}/-/ready", timeout=5).ok

    def post(self, alerts: list[dict[str, Any]]) -> None:
        requests.post(f"http://127.0.0.1:{self.port}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()


def shape(value: Any) -> Any:
    """Names and kinds of everything in a document, without what it says."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value).__name__


def test_the_body_has_the_form_and_the_fingerprints_of_a_real_alertmanagers(
    tmp_path: Path, receiver: WebhookReceiver
) -> None:
    condition = Condition("drift", "price", "2026-01-01T00:00:00Z", 0.4, 0.05)
    labels = labels_of("shop", condition)
    since = 1_767_225_600.0
    alert = Alert(fingerprint(labels), condition, "firing", since, firing_since=since)
    ours = webhook_body("shop", Notification("FeatureDrift", (alert,)), AlertLinks(page="http://127.0.0.1:8085/"))
    alertmanager = OneAlertmanager(tmp_path / "alertmanager", receiver.url)
    alertmanager.start()
    try:
        annotations = ours["alerts"][0]["annotations"]
        alertmanager.post([{"labels": labels, "annotations": annotations, "startsAt": time_text(since)}])
        (theirs,) = poll_until(lambda: receiver.bodies, 30, "Alertmanager tells")
    finally:
        alertmanager.stop()
    assert shape(ours) == shape(theirs)
    same = ("version", "status", "truncatedAlerts", "groupLabels", "groupKey", "commonLabels", "commonAnnotations")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert ours["alerts"][0]["fingerprint"] == theirs["alerts"][0]["fingerprint"]
    assert ours["alerts"][0]["endsAt"] == theirs["alerts"][0]["endsAt"]
