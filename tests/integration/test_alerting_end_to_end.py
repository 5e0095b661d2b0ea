"""From a drifted record to the message that somebody reads, through the real parts."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alerting_stack import AlertingStack, Told, alerting_stack
from monitoring_process import poll_until
from monitoring_world import body_of, label, made_class, made_record, prediction

from event_backbone.events.schema import Event

SCHEDULE: dict[str, Any] = {
    "window_rows": 200,
    "minimum_rows": 100,
    "check_every_rows": 20,
    "quality": {"minimum_labelled_rows": 100},
}
ROWS_A_BODY = 20

#: A minute is 1.2 seconds here: a process that has to wait for its turn would be told as one that is behind.
pytestmark = pytest.mark.alone


class Stream:
    """Records with their labels, in order; what it is told to change is in all records from then on."""

    def __init__(self, stack: AlertingStack) -> None:
        self._stack = stack
        self._rng = random.Random(5)
        self.sent = self._seq = 0
        self.items_added = 0
        self.is_inverted = False

    def send(self, rows: int) -> None:
        for _ in range(0, rows, ROWS_A_BODY):
            events = [event for _ in range(ROWS_A_BODY) for event in self._next()]
            self._stack.monitoring.post_until_taken(body_of(events, first_seq=self._seq + 1))
            self._seq += len(events)

    def send_for_a_while(self) -> None:
        """A few records in a short time: performance is measured once a second, and conditions need some in a row."""
        self.send(ROWS_A_BODY)
        time.sleep(0.3)

    def _next(self) -> Sequence[Event]:
        """Labels follow the score with some noise, as in the reference; inverted for most records if told so."""
        record = made_record(self._rng)
        if record["items"] is not None:
            record["items"] += self.items_added
        made = prediction(f"r{self.sent}", record, self._stack.bundle_sha256)
        truth = made_class(made.score + self._rng.gauss(0, 0.1))
        if self.is_inverted and record["payment"] != "transfer":
            truth = "no" if truth == "yes" else "yes"
        self.sent += 1
        return made, label(made.record_id, truth)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[AlertingStack]:
    with alerting_stack(tmp_path, **SCHEDULE) as stack:
        yield stack


@pytest.fixture
def stream(stack: AlertingStack) -> Stream:
    """After a first window like the reference, of which nobody is told anything."""
    stream = Stream(stack)
    stream.send(400)
    stack.monitoring.wait_for_checks(400)
    poll_until(lambda: stack.prometheus.value("monitoring_window_rows") == 200, 30, "Prometheus has scraped monitoring")
    assert stack.receiver.told == []
    return stream


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def since(stack: AlertingStack, name: str) -> float:
    """When a condition began."""
    found = [one["since"] for one in stack.monitoring.state()["conditions"] if one["name"] == name and one["active"]]
    return seconds(found[0])


def test_a_harmless_shift_opens_a_ticket_that_is_closed_again_and_a_dead_monitor_mutes_it(
    stack: AlertingStack, stream: Stream
) -> None:
    receiver, prometheus = stack.receiver, stack.prometheus

    stream.items_added = 4
    began = time.time()
    stream.send(300)
    drifted = 'monitoring_column_condition{condition="drift",column="items"} == 1'
    poll_until(lambda: prometheus.value(drifted) == 1, 60, "the verdict is a metric")
    measured = time.time()
    told = receiver.wait_for("FeatureDrift")
    print(f"\nfrom the first drifted record to the metric {measured - began:.1f} s")
    print(f"from the verdict to the webhook {told.at - since(stack, 'drift'):.1f} s, a minute being 1.2 s")

    assert (told.receiver, told.labels["severity"]) == ("tickets", "ticket")
    assert (told.labels["case"], told.labels["column"]) == ("shop", "items")
    assert told.annotations["runbook"] == "docs/runbook.md#featuredrift"
    assert "worst first: items (" in told.annotations["description"]
    assert "% of its values moved" in told.annotations["description"]
    assert {one.labels["severity"] for one in receiver.told} == {"ticket"}, "nothing of it hurts users"

    stack.monitoring.kill()
    absent = receiver.wait_for("MonitorAbsent")
    assert (absent.receiver, absent.labels["case"], absent.labels["job"]) == ("pages", "shop", "monitoring")
    assert absent.annotations["runbook"] == "docs/runbook.md#monitorabsent"
    poll_until(lambda: muted_alerts(stack) >= {"FeatureDrift"}, 30, "the drift of a dead monitor is muted")
    poll_until(lambda: "FeatureDrift" not in prometheus.firing(), 60, "what it said last is forgotten")
    assert receiver.about("FeatureDrift", "resolved") == [], "nobody is told that all is well"
    others = {one.name for one in receiver.told if one.at > absent.at}
    assert others <= {"MonitorAbsent"}

    stack.monitoring.start()
    receiver.wait_for("MonitorAbsent", "resolved")
    poll_until(lambda: "FeatureDrift" in prometheus.firing(), 60, "the drift is still there")
    stream.items_added = 0
    # What the stream detector found stands until the window holds only later rows; it finds the way back as well.
    stream.send(800)
    stack.monitoring.wait_for_checks(stream.sent)
    resolved = receiver.wait_for("FeatureDrift", "resolved")
    assert resolved.labels["column"] == "items"
    assert {one.name for one in receiver.told if one.labels["severity"] == "page"} == {"MonitorAbsent"}


def send_until_told(stack: AlertingStack, stream: Stream, name: str) -> Told:
    def told() -> Told | None:
        stream.send_for_a_while()
        return next(iter(stack.receiver.about(name)), None)

    first: Told = poll_until(told, 120, f"{name} is told")
    return first


def muted_alerts(stack: AlertingStack) -> set[str]:
    """Those that Alertmanager keeps quiet because of another."""
    return {one["labels"]["alertname"] for one in stack.alertmanager.alerts() if one["status"]["inhibitedBy"]}


@pytest.mark.long
def test_a_harmful_change_of_what_follows_from_the_records_pages_although_no_column_drifted(
    stack: AlertingStack, stream: Stream
) -> None:
    stream.is_inverted = True
    began = time.time()
    told = send_until_told(stack, stream, "ConceptDrift")
    print(f"\nfrom the first record of another world to the page {told.at - began:.1f} s")
    assert (told.receiver, told.labels["severity"], told.labels["case"]) == ("pages", "page", "shop")
    assert told.annotations["runbook"] == "docs/runbook.md#conceptdrift"
    assert "accuracy of version 1" in told.annotations["description"]
    loss = send_until_told(stack, stream, "RealisedLoss")
    assert "on the reference it was" in loss.annotations["description"]
    assert {one.name for one in stack.receiver.told} <= {"ConceptDrift", "RealisedLoss"}
