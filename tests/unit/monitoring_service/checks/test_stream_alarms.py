"""What the stream detectors say in the service: the same however often it was restarted."""

from __future__ import annotations

from pathlib import Path

import pytest
from monitoring_world import MODEL, enveloped, install_bundle, made_case, predictions

from event_backbone.events.schema import ModelRef, Prediction
from monitoring_service.checks.detector_alarms import DetectorRunner, ReferenceKey, first_row_needed
from monitoring_service.drift import detectors
from monitoring_service.inbox.store import Inbox
from monitoring_service.lifecycle.restore import restored_windows
from monitoring_service.references.store import References
from monitoring_service.state.monitor_state import MonitorState
from monitoring_service.windows.sliding_window import Windows

CASE = made_case(window_rows=200, minimum_rows=100, check_every_rows=20)


class World:
    """An inbox, its windows and the alarms of one process after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle_sha256 = install_bundle(folder / "bundles", CASE)
        self.inbox = Inbox(folder / "inbox.sqlite", CASE)
        self.windows = Windows(CASE, rows_counted=0, checked_row=0)
        self.alarms = self._new_alarms()

    def _new_alarms(self) -> DetectorRunner:
        references = References(CASE, self.folder / "bundles", self.folder / "accepted")
        return DetectorRunner(CASE, self.windows, self.inbox, references)

    def restart(self) -> None:
        self.inbox.close()
        self.inbox = Inbox(self.folder / "inbox.sqlite", CASE)
        self.windows = restored_windows(CASE, self.inbox, MonitorState(checked_row=self.windows.next_check_row - 20))
        self.alarms = self._new_alarms()

    def receive(self, events: list[Prediction]) -> None:
        stored = self.inbox.store(enveloped(events))
        self.windows.add(stored.rows, stored.rejected, stored.rows_counted)

    def check_all(self) -> dict[int, frozenset[str]]:
        compared, found = ReferenceKey(MODEL, self.bundle_sha256, None), {}
        while (view := self.windows.wait_for_due(0)) is not None:
            found[view.row] = self.alarms.at(view.row, compared)
            self.windows.mark_checked(view.row)
            needed = first_row_needed(self.windows, CASE.monitoring.check_every_rows)
            self.inbox.trim(first_row_needed=needed, received_before=0, limit=10_000)
        return found


def stream(bundle_sha256: str) -> list[Prediction]:
    moved = predictions(900, first=1500, bundle_sha256=bundle_sha256, price_shift=15)
    return predictions(1500, bundle_sha256=bundle_sha256) + moved


@pytest.fixture
def uninterrupted(tmp_path: Path) -> dict[int, frozenset[str]]:
    world = World(tmp_path / "one")
    world.receive(stream(world.bundle_sha256))
    return world.check_all()


def test_a_change_in_the_stream_is_an_alarm_of_its_column_and_of_the_score(
    uninterrupted: dict[int, frozenset[str]],
) -> None:
    before = [alarms for row, alarms in uninterrupted.items() if row <= 1500]
    assert set().union(*before) == set()
    assert uninterrupted[2400] >= {"price", "score"}
    assert "payment" not in uninterrupted[2400]


@pytest.mark.parametrize("restarts", [(700,), (1720, 1740, 1900)])
def test_restarts_change_no_alarm(
    tmp_path: Path, uninterrupted: dict[int, frozenset[str]], restarts: tuple[int, ...]
) -> None:
    world, found, events = World(tmp_path / "two"), {}, stream(World(tmp_path / "two").bundle_sha256)
    for first, last in zip((0, *restarts), (*restarts, len(events)), strict=True):
        for start in range(first, last, 33):
            world.receive(events[start : min(start + 33, last)])
            found |= world.check_all()
        world.restart()
    assert found == uninterrupted


def test_a_restart_within_a_later_generation_needs_the_rows_of_that_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "GENERATION_ROWS", 800)
    first = World(tmp_path / "one")
    first.receive(stream(first.bundle_sha256))
    expected = first.check_all()
    second = World(tmp_path / "two")
    events = stream(second.bundle_sha256)
    second.receive(events[:2000])
    found = second.check_all()
    assert len(second.inbox.rows_from(1)) == 400, "records of earlier generations are not kept"
    second.restart()
    second.receive(events[2000:])
    assert found | second.check_all() == expected


def test_checks_that_were_passed_over_are_caught_up_with(
    tmp_path: Path, uninterrupted: dict[int, frozenset[str]]
) -> None:
    world = World(tmp_path / "two")
    world.receive(stream(world.bundle_sha256))
    compared = ReferenceKey(MODEL, world.bundle_sha256, None)
    assert world.alarms.at(1000, compared) == uninterrupted[1000]
    world.windows.mark_checked(2380)
    assert world.alarms.at(2400, compared) == uninterrupted[2400]


def test_without_a_reference_there_is_no_alarm(tmp_path: Path) -> None:
    world = World(tmp_path / "one")
    world.receive(predictions(300, bundle_sha256="e" * 64))
    assert world.alarms.at(300, ReferenceKey(MODEL, "e" * 64, None)) == frozenset()


def alarms_at(world: World, rows: int, compared: ReferenceKey) -> frozenset[str]:
    while (view := world.windows.wait_for_due(0)) is not None and view.row < rows:
        world.windows.mark_checked(view.row)
    return world.alarms.at(rows, compared)


def test_what_came_before_the_reference_was_decided_on_is_not_held_against_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    sha256 = world.bundle_sha256
    moved = predictions(900, bundle_sha256=sha256, price_shift=15)
    # So few that the return to normal is not seen yet.
    world.receive(moved + predictions(20, first=900, bundle_sha256=sha256))
    assert "price" in alarms_at(world, 920, ReferenceKey(MODEL, sha256, None))
    assert alarms_at(world, 920, ReferenceKey(MODEL, sha256, "0" * 64, since_row=900)) == set()
    assert alarms_at(world, 920, ReferenceKey(MODEL, sha256, None, since_row=890)) == set()


def test_what_came_before_a_model_made_its_first_prediction_is_not_held_against_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = ModelRef(MODEL.name, "other")
    world.receive(predictions(900, bundle_sha256=world.bundle_sha256, price_shift=15))
    assert alarms_at(world, 900, ReferenceKey(other, world.bundle_sha256, None)) == set()
