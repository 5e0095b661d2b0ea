"""Messages to the webhook: their form, what happens when nobody takes them, and what is never said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from webhook_receiver import WebhookReceiver

from event_backbone.errors import TryAgainLaterError
from event_backbone.web.http_client import outside_client
from monitoring_service.alerting.lifecycle import Notification, Rules
from monitoring_service.alerting.service import AlertService
from monitoring_service.alerting.views import AlertLinks, webhook_body
from monitoring_service.alerting.webhook import LONGEST_PAUSE_S, Notifier, NotTakenError, Webhook
from monitoring_service.state.conditions import Condition

THEN = "2026-01-01T00:00:00Z"
LINKS = AlertLinks("https://runbooks.example/monitoring", "http://127.0.0.1:8085/")
DRIFTS = (Condition("drift", "price", THEN, 0.4, 0.05), Condition("drift", "items", THEN, 0.1, 0.05))


class Documents:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.full = False

    def keep_document(self, name: str, body: bytes) -> None:
        if self.full:
            raise TryAgainLaterError("the disk is full")
        self.kept[name] = body

    def document(self, name: str) -> bytes | None:
        return self.kept.get(name)


class Outbox:
    """Takes what it is given, but for the alert names it refuses."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.tried = 0
        self.refused: set[str] = set()

    def send(self, body: bytes) -> None:
        self.tried += 1
        message = msgspec.json.decode(body)
        if message["groupLabels"]["alertname"] in self.refused:
            raise NotTakenError("status 500")
        self.taken.append(message)

    def names(self) -> list[str]:
        return [message["groupLabels"]["alertname"] for message in self.taken]


class World:
    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.documents = Documents()
        self.outbox = Outbox()
        self.counted: list[str] = []
        rules = Rules("shop", 0.001)
        self.service = AlertService(rules, LINKS, self.documents, clock=lambda: self.now)
        self.notifier = Notifier(self.service, self.outbox, count=self.counted.append, clock=lambda: self.now)

    def after(self, seconds: int, *conditions: Condition) -> None:
        for _ in range(seconds):
            self.now += 1
            self.service.watch(conditions)
            self.notifier.step(threading.Event())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    yield receiver
    receiver.close()


def webhook(url: str) -> Webhook:
    return Webhook(url, outside_client(timeout_s=5))


def firing_message(world: World) -> dict[str, Any]:
    world.after(3, *DRIFTS)
    (message,) = world.outbox.taken
    return message


def test_a_message_has_every_field_that_alertmanager_sends(world: World) -> None:
    message = firing_message(world)
    assert set(message) == {
        *("receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations", "externalURL"),
        *("version", "groupKey", "truncatedAlerts"),
    }
    fields = {"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"}
    assert [set(alert) for alert in message["alerts"]] == [fields, fields]
    assert (message["version"], message["status"], message["truncatedAlerts"]) == ("4", "firing", 0)
    assert message["groupKey"] == '{}:{alertname="FeatureDrift", case="shop"}'
    assert message["externalURL"] == LINKS.page


def test_a_message_says_what_why_and_where_to_read_on_worst_first(world: World) -> None:
    message = firing_message(world)
    first, second = message["alerts"]
    assert (first["labels"]["column"], second["labels"]["column"]) == ("price", "items")
    assert first["annotations"]["summary"] == "shop: price has drifted."
    assert "40.0%" in first["annotations"]["description"]
    assert "price (40.0%), items (10.0%)" in second["annotations"]["description"]
    assert first["annotations"]["runbook"] == "https://runbooks.example/monitoring#featuredrift"
    common = {"alertname": "FeatureDrift", "case": "shop", "condition": "drift", "severity": "ticket"}
    assert message["commonLabels"] == common
    assert set(message["commonAnnotations"]) == {"runbook"}


def test_an_alert_ends_in_the_message_that_resolves_it(world: World) -> None:
    begun = firing_message(world)["alerts"]
    assert {alert["endsAt"] for alert in begun} == {"0001-01-01T00:00:00Z"}
    world.after(3)
    resolved = world.outbox.taken[-1]
    assert (resolved["status"], {alert["status"] for alert in resolved["alerts"]}) == ("resolved", {"resolved"})
    assert all(alert["endsAt"] > alert["startsAt"] for alert in resolved["alerts"])
    assert {alert["fingerprint"] for alert in resolved["alerts"]} == {alert["fingerprint"] for alert in begun}


def test_what_was_not_taken_is_tried_again_at_growing_distances(world: World) -> None:
    world.outbox.refused = {"FeatureDrift"}
    world.after(1000, *DRIFTS)
    assert world.outbox.taken == []
    assert 8 <= world.outbox.tried <= 12, "1 s, 2 s, 4 s …, not every second"
    assert set(world.counted) == {"failed"}
    world.outbox.refused = set()
    world.after(int(LONGEST_PAUSE_S) + 1, *DRIFTS)
    assert world.outbox.names()[0] == "FeatureDrift"
    assert world.counted[-1] == "sent"


def test_no_alert_waits_for_another_that_is_refused(world: World) -> None:
    world.outbox.refused = {"FeatureDrift"}
    world.after(10, *DRIFTS, Condition("stream_away", None, THEN))
    assert world.outbox.names() == ["StreamAway"]


def test_a_message_whose_note_could_not_be_kept_is_sent_again(world: World) -> None:
    world.after(2, *DRIFTS)
    world.documents.full = True
    world.now += 1
    with pytest.raises(TryAgainLaterError):
        world.notifier.step(threading.Event())
    world.documents.full = False
    world.after(3, *DRIFTS)
    assert world.outbox.names() == ["FeatureDrift", "FeatureDrift"]


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_only_a_good_answer_means_that_it_was_taken(receiver: WebhookReceiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(NotTakenError, match=f"status {status}"):
        webhook(receiver.url).send(b"{}")
    assert len(receiver.tried) == 1, "no redirect is followed"
    receiver.status = 200
    webhook(receiver.url).send(b"{}")
    assert len(receiver.bodies) == 1


def test_a_receiver_that_is_not_there_is_told_without_its_address(world: World) -> None:
    url = "http://user:password@127.0.0.1:1/hook?token=secret"
    with pytest.raises(NotTakenError) as failed:
        webhook(url).send(b"{}")
    assert str(failed.value) == "the connection failed"
    notifier = Notifier(world.service, webhook(url), count=world.counted.append, clock=lambda: world.now)
    with capture_logs() as logs:
        for _ in range(3):
            world.now += 1
            world.service.watch(DRIFTS)
            notifier.step(threading.Event())
    assert any(entry["event"] == "notification_not_taken" for entry in logs)
    assert "secret" not in repr(logs)
    assert "password" not in repr(logs)


def test_a_message_of_one_alert_has_all_of_it_in_common(world: World) -> None:
    world.after(3, DRIFTS[0])
    (alert,) = world.service.states.present
    body = webhook_body("shop", Notification("FeatureDrift", (alert,)), LINKS)
    assert body["commonAnnotations"] == body["alerts"][0]["annotations"]
    assert body["commonLabels"] == body["alerts"][0]["labels"]
