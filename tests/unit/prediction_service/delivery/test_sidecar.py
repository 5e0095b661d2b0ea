"""The sidecar: relays every journal that nobody else relays, whatever goes wrong with one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from monitoring_process import poll_until
from prediction_world import made_case, prediction

from event_backbone.events.schema import Envelope, Prediction
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.in_memory.sink import MemorySink
from event_backbone.in_memory.stream import MemoryBroker, MemoryPublisher
from event_backbone.kafka.dead_letters import DeadLetter, dead_letter_in
from event_backbone.model.bundle import BundleStore
from event_backbone.ports import Delivered
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.process.file_lock import try_lock
from prediction_service.delivery.dead_letter_publishing import DeadLetterPublishing
from prediction_service.delivery.sidecar import Sidecar
from prediction_service.journal.writer import Journal
from prediction_service.model_sync.alias_follower import AliasFollower
from prediction_service.model_sync.registry_watch import RegistryWatch
from prediction_service.model_sync.sync_files import SyncFiles

PATIENCE_S = 20


class WatchedSink(MemorySink):
    """Lets a test wait until an event has come; ``trouble`` holds errors for the first deliveries."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(name)
        self.trouble: list[Exception] = []
        self.closed = threading.Event()
        self._came = threading.Condition()

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        if self.trouble:
            raise self.trouble.pop()
        delivered = super().deliver(batch)
        with self._came:
            self._came.notify_all()
        return delivered

    def wait_for(self, *record_ids: str) -> None:
        def has_all() -> bool:
            return set(record_ids) <= {envelope.event.record_id for envelope in self.kept.values()}

        with self._came:
            assert self._came.wait_for(has_all, PATIENCE_S)

    def close(self) -> None:
        self.closed.set()


class World:
    """Journals, sinks and a sidecar between them."""

    def __init__(self, folder: Path) -> None:
        self.journals = folder / "journals"
        self.sinks = [WatchedSink()]
        folder_of_bundles = folder / "bundles"
        registry, bundles = MemoryRegistry(), BundleStore(folder_of_bundles)
        follower = AliasFollower(registry, bundles, made_case(), "streamgauge-garden", "champion")
        self._watch = RegistryWatch(follower, SyncFiles(folder_of_bundles))
        self._publishing: DeadLetterPublishing | None = None
        self.sidecar = self._made()

    def _made(self) -> Sidecar:
        return Sidecar(
            self.journals,
            lambda: list(self.sinks),
            self._watch,
            batch_rows=10,
            follow_interval_s=60,
            publishing=self._publishing,
        )

    def publish_dead_letters_to(self, broker: MemoryBroker) -> None:
        self._publishing = DeadLetterPublishing(
            lambda: MemoryPublisher(broker), "garden.dead-letters", poll_every_s=0.05
        )
        self.sidecar = self._made()

    def keep(self, slot: str, *record_ids: str) -> None:
        with closing(Journal(self.journals / slot / "journal.sqlite", max_bytes=2**30)) as journal:
            journal.append([entry_of(prediction(record_id)) for record_id in record_ids])

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.sidecar.run)
        thread.start()
        try:
            yield
        finally:
            self.sidecar.stop()
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
            self.sidecar = self._made()  # one that was stopped does not run again


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_journal_is_relayed_also_one_that_comes_later(world: World) -> None:
    world.keep("00", "a")
    world.keep("01", "b")
    with world.running():
        world.sinks[0].wait_for("a", "b")
        world.keep("02", "c")
        world.sinks[0].wait_for("c")
        world.keep("00", "d")
        world.sinks[0].wait_for("d")
    assert world.sinks[0].closed.is_set()


def test_a_sink_that_is_away_holds_up_no_other(world: World) -> None:
    away, there = WatchedSink("away"), WatchedSink("there")
    away.away = "cable cut"
    world.sinks = [away, there]
    world.keep("00", "a")
    with world.running():
        there.wait_for("a")
    assert away.kept == {}


@pytest.mark.parametrize("error", [ValueError("not JSON"), KeyError("refused"), RuntimeError("what now")])
def test_an_error_nobody_expected_does_not_end_a_relay(world: World, error: Exception) -> None:
    world.sinks[0].trouble = [error]
    world.keep("00", "a")
    with world.running():
        world.sinks[0].wait_for("a")


def test_a_journal_another_sidecar_relays_is_left_alone_until_that_one_is_gone(world: World) -> None:
    world.keep("00", "a")
    world.keep("01", "b")
    lock = try_lock(world.journals / "00" / "relay.lock")
    assert lock is not None
    with world.running():
        world.sinks[0].wait_for("b")
        assert len(world.sinks[0].kept) == 1
        lock.release()
        world.sinks[0].wait_for("a")


def test_a_slot_that_can_not_be_relayed_now_is_tried_again_and_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.keep("00", "a")
    world.keep("01", "b")
    relay_slot: Callable[[Path], None] = world.sidecar._relay_slot
    failures = [OSError("disk full")]

    def fail_once(slot: Path) -> None:
        if slot.name == "00" and failures:
            raise failures.pop()
        relay_slot(slot)

    monkeypatch.setattr(world.sidecar, "_relay_slot", fail_once)
    with world.running():
        world.sinks[0].wait_for("a", "b")


def test_after_its_end_another_sidecar_may_take_over(world: World) -> None:
    world.keep("00", "a")
    with world.running():
        world.sinks[0].wait_for("a")
    assert try_lock(world.journals / "00" / "relay.lock") is not None


# Dead letters ---------------------------------------------------------------------------------------------------------


class Picky(WatchedSink):
    """Refuses one record for good."""

    def __init__(self) -> None:
        super().__init__()
        self.refuse = lambda envelope: "case" if event_key(envelope) == "poison" else None


def event_key(envelope: Envelope) -> str:
    event = envelope.event
    assert isinstance(event, Prediction)
    return event.record_id


def published_in(broker: MemoryBroker) -> list[DeadLetter]:
    return [dead_letter_in(message) for message in broker.messages("garden.dead-letters")]


def test_a_row_that_a_sink_refused_is_published_as_a_dead_letter_once(tmp_path: Path) -> None:
    broker, world = MemoryBroker(), World(tmp_path)
    broker.create_topics(["garden.dead-letters"])
    world.sinks = [Picky()]
    world.publish_dead_letters_to(broker)
    world.keep("00", "a", "poison", "b")
    with world.running():
        poll_until(lambda: published_in(broker), PATIENCE_S)
    with world.running():
        world.keep("00", "c")
        world.sinks[0].wait_for("c")
    (letter,) = published_in(broker)
    assert (letter.reason, letter.key, letter.sink, letter.seq) == ("case", b"poison", "memory", 2)


def test_a_kafka_that_is_away_holds_up_no_relay_and_gets_the_dead_letters_when_it_comes(tmp_path: Path) -> None:
    broker, world = MemoryBroker(), World(tmp_path)
    broker.create_topics(["garden.dead-letters"])
    broker.away = "cable cut"
    world.sinks = [Picky()]
    world.publish_dead_letters_to(broker)
    world.keep("00", "poison", "a")
    with world.running():
        world.sinks[0].wait_for("a")
        assert published_in(broker) == []
        broker.away = None
        poll_until(lambda: published_in(broker), PATIENCE_S)


def test_a_dead_letter_that_is_too_large_is_published_without_its_content(tmp_path: Path) -> None:
    broker, world = MemoryBroker(max_message_bytes=100), World(tmp_path)
    broker.create_topics(["garden.dead-letters"])
    world.sinks = [Picky()]
    world.publish_dead_letters_to(broker)
    world.keep("00", "poison")
    with world.running():
        (letter,) = poll_until(lambda: published_in(broker), PATIENCE_S)
    assert letter.value is None
    assert (letter.omitted_bytes or 0) > 100
