"""Pending, firing, resolved: what an alert goes through, who is told, and what a restart must not lose."""

from __future__ import annotations

import random

import pytest

from monitoring_service.alerting.lifecycle import (
    GROUP_INTERVAL_S,
    GROUP_WAIT_S,
    PAST_KEPT,
    REPEAT_S,
    Notification,
    Rules,
    fingerprint,
)
from monitoring_service.alerting.service import DOCUMENT, AlertService
from monitoring_service.alerting.views import AlertLinks
from monitoring_service.state.conditions import Condition

FOR_S = 60.0
THEN = "2026-01-01T00:00:00Z"


def drift(column: str = "price", value: float = 0.2) -> Condition:
    return Condition("drift", column, THEN, value, 0.05)


def missing(column: str = "price") -> Condition:
    return Condition("missing", column, THEN, 0.3, 0.05)


STALE = Condition("stale", None, THEN, 30.0, 15.0)


class KeptDocuments:
    """The inbox's part in it: what was kept last."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.writes = 0

    def keep_document(self, name: str, body: bytes) -> None:
        self.kept[name] = body
        self.writes += 1

    def document(self, name: str) -> bytes | None:
        return self.kept.get(name)


class World:
    """One service, its clock and a receiver that takes everything unless it is away."""

    def __init__(self, *, notifying: bool = True, time_scale: float = 1.0) -> None:
        self.now = 1_000_000.0
        self.documents = KeptDocuments()
        self.rules = Rules("shop", time_scale, notifying=notifying)
        self.sent: list[tuple[str, tuple[tuple[str, str], ...]]] = []
        self.restart()

    def restart(self) -> None:
        self.service = AlertService(self.rules, AlertLinks(), self.documents, clock=lambda: self.now)

    def after(self, seconds: float, *conditions: Condition, away: bool = False) -> World:
        """Second by second, so that nothing depends on when one looks."""
        for _ in range(int(seconds)):
            self.now += 1
            self.service.watch(conditions)
            if not away:
                self.deliver()
        return self

    def deliver(self) -> None:
        while notification := self.service.due():
            self.receive(notification)
            self.service.mark_notified(notification)

    def receive(self, notification: Notification) -> None:
        alerts = tuple((alert.condition.column or alert.condition.name, alert.state) for alert in notification.alerts)
        self.sent.append((notification.name, alerts))

    def states(self) -> dict[str, str]:
        return {view.labels.get("column", view.name): view.state for view in self.service.views()}

    def id_of(self, condition: Condition) -> str:
        return next(alert.id for alert in self.service.states.present if alert.condition.key == condition.key)


@pytest.fixture
def world() -> World:
    return World()


def test_an_alert_is_pending_then_firing_then_resolved_and_told_twice(world: World) -> None:
    world.after(1, drift())
    assert world.states() == {"price": "pending"}
    world.after(FOR_S - 1, drift())
    assert world.states() == {"price": "pending"}
    world.after(1, drift())
    assert world.states() == {"price": "firing"}
    assert world.sent == []
    world.after(GROUP_WAIT_S, drift())
    assert world.sent == [("FeatureDrift", (("price", "firing"),))]
    world.after(1)
    assert world.states() == {"price": "resolved"}
    world.after(GROUP_INTERVAL_S)
    assert world.sent[1:] == [("FeatureDrift", (("price", "resolved"),))]


def test_what_ends_before_its_time_leaves_no_trace(world: World) -> None:
    world.after(FOR_S - 1, drift()).after(200)
    assert world.states() == {}
    assert world.sent == []


def test_an_alert_that_comes_back_goes_through_it_all_again(world: World) -> None:
    for _ in range(2):
        world.after(FOR_S + GROUP_INTERVAL_S + 20, drift()).after(GROUP_INTERVAL_S + 20)
    assert [alerts for _, alerts in world.sent] == [
        (("price", "firing"),),
        (("price", "resolved"),),
        (("price", "firing"),),
        (("price", "resolved"),),
    ]


def test_one_message_names_all_columns_the_worst_first(world: World) -> None:
    columns = [drift("items", 0.1), drift("price", 0.5), drift("payment", 0.3)]
    world.after(FOR_S + GROUP_WAIT_S + 5, *columns)
    assert world.sent == [("FeatureDrift", (("price", "firing"), ("payment", "firing"), ("items", "firing")))]
    body = world.service.views()[0].description
    assert body.index("price (50.0%)") < body.index("payment (30.0%)") < body.index("items (10.0%)")


def test_flapping_faster_than_its_time_is_never_told(world: World) -> None:
    for _ in range(20):
        world.after(30, drift()).after(5)
    assert world.sent == []


def test_flapping_slower_is_told_at_most_once_in_an_interval(world: World) -> None:
    for _ in range(10):
        world.after(FOR_S + 15, drift()).after(5)
    assert 2 <= len(world.sent) <= 10 * 80 / GROUP_INTERVAL_S + 1
    world.after(GROUP_INTERVAL_S * 2)
    assert world.sent[-1] == ("FeatureDrift", (("price", "resolved"),))


def test_nobody_is_told_the_same_again_before_the_repeat_is_due() -> None:
    world = World(time_scale=0.01)
    world.after(REPEAT_S * 0.01 - 1, drift())
    assert len(world.sent) == 1
    world.after(10, drift())
    assert world.sent == [("FeatureDrift", (("price", "firing"),))] * 2


def test_who_acknowledged_is_told_no_repeat_but_the_end() -> None:
    world = World(time_scale=0.01)
    world.after(5, drift())
    assert world.service.acknowledge(world.id_of(drift()), "ada", "looking at it")
    world.after(3 * REPEAT_S * 0.01, drift())
    (view,) = world.service.views()
    assert (view.acknowledged_by, view.acknowledged_note) == ("ada", "looking at it")
    world.after(5)
    assert [alerts for _, alerts in world.sent] == [(("price", "firing"),), (("price", "resolved"),)]


def test_an_acknowledgement_ends_with_its_alert(world: World) -> None:
    world.after(FOR_S + 15, drift())
    world.service.acknowledge(world.id_of(drift()), "ada", "")
    world.after(100).after(FOR_S + 100, drift())
    assert world.service.views()[0].acknowledged_by is None
    assert world.sent[-1] == ("FeatureDrift", (("price", "firing"),))


def test_a_silenced_alert_is_shown_and_told_only_when_the_silence_is_over(world: World) -> None:
    world.after(1, drift())
    assert world.service.silence(world.id_of(drift()), "ada", "planned", 300)
    world.after(298, drift())
    assert world.states() == {"price": "firing"}
    assert world.service.views()[0].silenced_by == "ada"
    assert world.sent == []
    world.after(20, drift())
    assert world.sent == [("FeatureDrift", (("price", "firing"),))]


def test_a_silence_outlives_its_alert_and_can_be_taken_back(world: World) -> None:
    world.after(FOR_S + 20, drift())
    id_ = world.id_of(drift())
    world.service.silence(id_, "ada", "", 10_000)
    world.after(200).after(FOR_S + 100, drift())
    assert [alerts[0][1] for _, alerts in world.sent] == ["firing", "resolved"]
    assert world.service.unsilence(id_)
    assert not world.service.unsilence(id_)
    world.after(20, drift())
    assert world.sent[-1] == ("FeatureDrift", (("price", "firing"),))


def test_nobody_deals_with_an_alert_that_is_not_there(world: World) -> None:
    assert not world.service.acknowledge("0" * 16, "ada", "")
    assert not world.service.silence("0" * 16, "ada", "", 60)
    assert not world.service.unsilence("0" * 16)


def test_broken_data_mutes_the_drift_of_its_own_column(world: World) -> None:
    world.after(FOR_S + 20, drift("price"), missing("price"), drift("items"))
    assert sorted(world.sent) == [("BrokenData", (("price", "firing"),)), ("FeatureDrift", (("items", "firing"),))]
    muted = {view.labels["column"]: view.muted_by for view in world.service.views() if view.name == "FeatureDrift"}
    assert muted == {"price": "BrokenData", "items": None}
    world.after(100, drift("price"), drift("items"))
    assert ("FeatureDrift", (("price", "firing"), ("items", "firing"))) in world.sent


def test_a_monitor_that_is_behind_mutes_what_follows_from_checks(world: World) -> None:
    missing_reference = Condition("reference_missing", since=THEN)
    world.after(FOR_S + 20, STALE, drift(), missing(), missing_reference)
    assert {name for name, _ in world.sent} == {"MonitorStale", "ReferenceMissing"}


def test_a_muted_alert_that_ends_muted_is_never_told(world: World) -> None:
    world.after(FOR_S + 20, drift(), missing()).after(200, missing())
    assert {name for name, _ in world.sent} == {"BrokenData"}


def test_while_the_receiver_is_away_nothing_is_lost_and_the_newest_is_told(world: World) -> None:
    world.after(FOR_S + 20, drift(), drift("items"), away=True).after(100, drift("items"), away=True)
    world.after(1, drift("items"))
    assert world.sent == [("FeatureDrift", (("items", "firing"), ("price", "resolved")))]


def test_a_receiver_that_is_away_for_long_costs_no_more_memory(world: World) -> None:
    for _ in range(2 * PAST_KEPT):
        world.after(FOR_S + 2, drift(), away=True).after(1, away=True)
    assert len(world.service.states.past) == PAST_KEPT
    assert len(world.documents.kept[DOCUMENT]) < 64 * 1024
    world.after(1)
    assert world.sent == [("FeatureDrift", (("price", "resolved"),))]
    assert world.service.due() is None


def test_what_changes_while_a_message_is_on_its_way_is_told_in_the_next(world: World) -> None:
    world.after(FOR_S + GROUP_WAIT_S + 1, drift(), away=True)
    notification = world.service.due()
    assert notification is not None
    world.after(1, away=True)
    world.receive(notification)
    world.service.mark_notified(notification)
    world.after(GROUP_INTERVAL_S + 1)
    assert [alerts for _, alerts in world.sent] == [(("price", "firing"),), (("price", "resolved"),)]


def test_without_a_receiver_alerts_are_shown_and_none_is_owed_later() -> None:
    world = World(notifying=False)
    world.after(FOR_S + 100, drift("items")).after(10, drift("price"))
    assert world.service.due() is None
    world.rules = Rules("shop", notifying=True)
    world.restart()
    world.after(FOR_S + 100, drift("price"))
    assert world.sent == [("FeatureDrift", (("price", "firing"),))]


#: Two alerts, one of which is muted, silenced or acknowledged for a while.
STORY = [
    (90, (drift(),)),
    (70, (drift(), drift("items", 0.4))),
    (80, (drift("items", 0.4), missing("items"))),
    (90, (missing("items"),)),
    (150, ()),
    (90, (drift(),)),
    (100, ()),
]


def notified_state(world: World) -> set[tuple[str, str, str]]:
    return {(name, column, state) for name, alerts in world.sent for column, state in alerts}


@pytest.mark.parametrize("seed", range(5))
def test_a_restart_between_any_two_steps_loses_nothing_and_repeats_nothing(seed: int) -> None:
    calm, restarted, rng = World(), World(), random.Random(seed)
    for seconds, conditions in STORY:
        calm.after(seconds, *conditions)
        for _ in range(seconds):
            restarted.after(1, *conditions)
            if rng.random() < 0.3:
                restarted.restart()
    assert restarted.sent == calm.sent


@pytest.mark.parametrize("seed", range(5))
def test_a_death_between_the_answer_and_the_note_of_it_only_repeats(seed: int) -> None:
    calm, dying, rng = World(), World(), random.Random(seed)
    for seconds, conditions in STORY:
        calm.after(seconds, *conditions)
        for _ in range(seconds):
            dying.after(1, *conditions, away=True)
            while notification := dying.service.due():
                dying.receive(notification)
                if rng.random() < 0.5:
                    dying.restart()
                    break
                dying.service.mark_notified(notification)
    assert notified_state(dying) >= notified_state(calm)
    assert dying.sent[-1] == calm.sent[-1]


def test_metrics_alone_are_not_written(world: World) -> None:
    world.after(FOR_S + 20, drift())
    writes = world.documents.writes
    for step in range(50):
        world.after(1, drift(value=0.2 + step / 100))
    assert world.documents.writes == writes
    assert world.service.views()[0].value == pytest.approx(0.69)


def test_a_book_that_is_not_understood_starts_afresh(world: World) -> None:
    world.documents.kept[DOCUMENT] = b'{"present": 7}'
    world.restart()
    assert world.service.views() == []


def test_an_alert_of_a_condition_that_is_no_more_is_forgotten(world: World) -> None:
    world.after(FOR_S + 1, drift())
    world.documents.kept[DOCUMENT] = world.documents.kept[DOCUMENT].replace(b'"drift"', b'"gone"')
    world.restart()
    assert world.service.views() == []


def test_a_short_time_scale_shortens_every_time() -> None:
    world = World(time_scale=0.01)
    world.after(3, drift())
    assert world.sent == [("FeatureDrift", (("price", "firing"),))]


def test_the_fingerprint_is_alertmanagers() -> None:
    assert fingerprint({}) == "cbf29ce484222325", "the offset of FNV-1a"
    assert fingerprint({"b": "2", "a": "1"}) == fingerprint({"a": "1", "b": "2"})
