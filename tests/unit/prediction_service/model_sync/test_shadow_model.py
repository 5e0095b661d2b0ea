"""The shadow in the sidecar: it follows its alias, says something about every answer, and holds nobody up."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from prediction_world import MODEL, made_case, made_record, made_score, prediction, servable_parts, shelve

from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.events.schema import Envelope, Erasure, Event, Label, ModelRef, Shadow, encode_json
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.in_memory.sink import MemorySink
from event_backbone.model.bundle import BundleStore, write_bundle
from event_backbone.model.scoring import Scorer
from event_backbone.ports import Refusal
from event_backbone.prediction_log.journal_layout import entry_of
from prediction_service.bootstrap import shadow_sinks
from prediction_service.delivery.cursors import RelayState
from prediction_service.delivery.relay import Relay
from prediction_service.delivery.shadow_sink import ShadowSink
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import Journal
from prediction_service.model_sync.alias_follower import AliasFollower
from prediction_service.model_sync.shadow_model import ShadowModel
from prediction_service.serving.journal_maintenance import JournalMaintenance
from prediction_service.settings import SidecarSettings

ALIAS, NOW = "challenger", "2026-01-01T00:00:00.000000Z"


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = MemoryRegistry()
        self.behind = MemorySink()
        self.model = self.started()

    def started(self) -> ShadowModel:
        bundles = BundleStore(self.folder / "bundles", "shadow")
        follower = AliasFollower(self.registry, bundles, made_case(), MODEL.name, ALIAS)
        return ShadowModel(follower, bundles, made_case())

    @property
    def sink(self) -> ShadowSink:
        return ShadowSink(self.behind, self.model, made_case())

    def release(self, *, threshold: float = 0.7) -> str:
        """A version under the shadow's alias that decides otherwise; its bundle."""
        folder = self.folder / f"made-{threshold}"
        parts = {**servable_parts(made_case()), "decision.json": encode_json({"threshold": threshold})}
        sha256 = write_bundle(folder, made_case(), parts)
        self.registry.register(folder, sha256, name=MODEL.name, alias=ALIAS, run_id="run")
        return sha256

    def said(self) -> dict[str, Shadow]:
        events = [envelope.event for envelope in self.behind.kept.values()]
        return {event.record_id: event for event in events if isinstance(event, Shadow)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def rows(*events: Event) -> list[Envelope]:
    return [Envelope("journal-1", seq, event) for seq, event in enumerate(events, start=1)]


def answers(*leaves: int) -> list[Event]:
    return [prediction(f"r{count}", record=made_record(leaves=count)) for count in leaves]


def test_every_answer_gets_a_second_opinion_and_nothing_else_does(world: World) -> None:
    sha256 = world.release()
    world.model.follow()
    world.sink.deliver(rows(*answers(60, 80), Label("r60", "garden", "yes", NOW), Erasure("r1", "garden", NOW)))
    assert len(world.behind.kept) == 2
    for record_id, decided in (("r60", "no"), ("r80", "yes")):
        said = world.said()[record_id]
        score = made_score(made_record(leaves=int(record_id[1:])))
        assert said.score == pytest.approx(score, abs=1e-6)
        assert (said.prediction, said.model, said.bundle_sha256) == (decided, ModelRef(MODEL.name, "1"), sha256)
    assert {envelope.source for envelope in world.behind.kept.values()} == {"journal-1-shadow"}


def test_what_it_says_again_is_the_same(world: World) -> None:
    world.release()
    world.model.follow()
    world.sink.deliver(rows(*answers(60, 80)))
    before = dict(world.behind.kept)
    world.sink.deliver(rows(*answers(60, 80)))
    assert world.behind.kept == before


def test_rows_pass_by_while_no_version_has_the_alias(world: World) -> None:
    world.model.follow()
    assert not world.sink.deliver(rows(*answers(60))).refused
    assert world.behind.kept == {}


def test_rows_wait_until_it_is_known_whether_there_is_a_shadow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prediction_service.delivery.shadow_sink._START_WITHIN_S", 0.0)
    with pytest.raises(TryAgainLaterError, match="not known yet"):
        world.sink.deliver(rows(*answers(60)))


def test_an_alias_that_was_taken_away_ends_the_shadow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.release()
    world.model.follow()
    assert world.model.scorer is not None
    monkeypatch.setattr(world.registry, "resolve", lambda *_: None)
    world.model.follow()
    assert world.model.scorer is None
    assert world.started().scorer is None


def test_a_start_without_the_registry_goes_on_with_the_last_shadow(world: World) -> None:
    world.release()
    world.model.follow()
    world.registry.away = True
    world.model = world.started()
    world.model.follow()
    world.sink.deliver(rows(*answers(60)))
    assert list(world.said()) == ["r60"]


def test_another_version_takes_over_and_a_broken_one_does_not(world: World) -> None:
    for threshold, version in ((0.7, "1"), (0.8, "2")):
        world.release(threshold=threshold)
        world.model.follow()
        assert world.model.scorer is not None
        assert world.model.scorer.model.version == version
    folder = world.folder / "broken"
    parts = {**servable_parts(made_case()), "model.onnx": b"no model"}
    sha256 = write_bundle(folder, made_case(), parts)
    world.registry.register(folder, sha256, name=MODEL.name, alias=ALIAS, run_id="run")
    world.model.follow()
    assert world.model.scorer.model.version == "2"
    note = world.model.status()
    assert note.version == "2"
    assert "version 3 was refused" in (note.fault or "")


def test_what_its_own_version_answered_needs_no_second_opinion(world: World) -> None:
    sha256 = world.release()
    world.model.follow()
    world.sink.deliver(rows(prediction("r1", bundle_sha256=sha256), *answers(60)))
    assert list(world.said()) == ["r60"]


def test_a_record_of_an_older_case_file_is_refused_with_its_reason(world: World) -> None:
    world.release()
    world.model.follow()
    delivered = world.sink.deliver(rows(prediction("r1", record={"height": 3}), *answers(60)))
    assert delivered.refused == [Refusal(1, "record")]
    assert list(world.said()) == ["r60"]


def test_a_record_that_it_gives_no_number_for_is_refused_and_spoils_no_neighbour(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release()
    world.model.follow()
    monkeypatch.setattr(Scorer, "score", lambda _, records: [math.nan] * (len(records) - 1) + [0.5])
    outcome = world.sink.deliver(rows(*answers(60, 70, 80)))
    assert outcome.refused == [Refusal(1, "score"), Refusal(2, "score")]
    assert list(world.said()) == ["r80"]


def test_the_pointers_of_champion_and_shadow_stand_side_by_side(world: World) -> None:
    registered = shelve(world.folder / "bundles", made_case())
    champion = BundleStore(world.folder / "bundles")
    champion.repoint(registered)
    world.release()
    world.model.follow()
    assert champion.current() == registered


# With a journal -------------------------------------------------------------------------------------------------------


def relayed(world: World, slot: Path, *, batch_rows: int = 2) -> int:
    """One delivery by a relay that was just started."""
    with (
        contextlib.closing(JournalReader(slot / "journal.sqlite")) as reader,
        contextlib.closing(RelayState(slot / "relay.sqlite", ["memory", "memory-shadow"])) as state,
    ):
        return Relay(reader, state, world.sink, batch_rows=batch_rows).deliver_once()


def journal_with(slot: Path, events: Sequence[Event]) -> Journal:
    journal = Journal(slot / "journal.sqlite", max_bytes=2**30)
    journal.append([entry_of(event) for event in events])  # type: ignore[arg-type]  # no shadows
    return journal


def test_a_crash_before_the_cursor_moves_loses_nothing_and_doubles_nothing(world: World, tmp_path: Path) -> None:
    world.release()
    world.model.follow()
    with contextlib.closing(journal_with(tmp_path, answers(10, 20, 30))):
        world.behind.away = "cut"
        with pytest.raises(TryAgainLaterError):
            relayed(world, tmp_path)
        world.behind.away = None
        while relayed(world, tmp_path):
            continue
    assert sorted(world.said()) == ["r10", "r20", "r30"]


def keeper(journal: Journal, slot: Path, *, retention_bytes: int) -> JournalMaintenance:
    return JournalMaintenance(journal, slot / "relay.sqlite", retention_s=0, retention_bytes=retention_bytes)


@pytest.mark.parametrize(("retention_bytes", "left"), [(2**30, 3), (0, 0)], ids=["waits", "unless it is large"])
def test_the_journal_waits_for_a_shadow_unless_it_is_large(tmp_path: Path, retention_bytes: int, left: int) -> None:
    with contextlib.closing(journal_with(tmp_path, answers(10, 20, 30))) as journal:
        with contextlib.closing(RelayState(tmp_path / "relay.sqlite", ["memory", "memory-shadow"])) as state:
            state.advance("memory", 3)
        keeper(journal, tmp_path, retention_bytes=retention_bytes)()
        assert journal.row_counts().get("prediction", 0) == left


def test_kafka_is_not_told_what_a_shadow_says(world: World) -> None:
    urls = ["http://127.0.0.1:1", "kafka://127.0.0.1:2"]
    sinks = shadow_sinks(SidecarSettings(sinks=urls), made_case(), world.model)
    assert [sink.name for sink in sinks] == ["monitoring-shadow"]
    with pytest.raises(SettingsError, match="Kafka is not told"):
        shadow_sinks(SidecarSettings(shadow_sinks=urls), made_case(), world.model)
    with pytest.raises(SettingsError, match="names nobody"):
        shadow_sinks(SidecarSettings(sinks=urls[1:]), made_case(), world.model)
