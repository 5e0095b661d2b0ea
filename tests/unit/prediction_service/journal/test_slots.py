"""Journal folders: each has one writer and one relay at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from event_backbone.errors import StopError
from event_backbone.process.file_lock import try_lock
from prediction_service.journal.slots import JOURNAL_FILE, MAX_SLOTS, claim_slot, slots_with_a_journal


def test_two_servers_never_share_a_slot(tmp_path: Path) -> None:
    claims = [claim_slot(tmp_path) for _ in range(3)]
    assert [slot.name for slot, _ in claims] == ["00", "01", "02"]


def test_a_released_slot_is_claimed_again(tmp_path: Path) -> None:
    (_, first), (_, _second) = claim_slot(tmp_path), claim_slot(tmp_path)
    first.release()
    assert claim_slot(tmp_path)[0].name == "00"


def test_a_slot_held_by_another_process_is_passed_over_until_that_process_dies(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from prediction_service.journal.slots import claim_slot;"
        "slot, lock = claim_slot(pathlib.Path(sys.argv[1])); print(slot.name, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "00\n"
            slot, lock = claim_slot(tmp_path)
            assert slot.name == "01"
            lock.release()
        finally:
            other.kill()
            other.wait(10)
    assert claim_slot(tmp_path)[0].name == "00"


def test_writer_and_relay_hold_locks_of_their_own(tmp_path: Path) -> None:
    slot, _writer = claim_slot(tmp_path)
    relay = try_lock(slot / "relay.lock")
    assert relay is not None
    assert try_lock(slot / "relay.lock") is None
    relay.release()
    assert try_lock(slot / "relay.lock") is not None


def test_only_slots_that_hold_a_journal_are_relayed(tmp_path: Path) -> None:
    for name in ("01", "00", "7", "old", "02"):
        (tmp_path / name).mkdir()
        if name != "02":
            (tmp_path / name / JOURNAL_FILE).touch()
    assert [slot.name for slot in slots_with_a_journal(tmp_path)] == ["00", "01"]
    assert slots_with_a_journal(tmp_path / "nowhere") == []


def test_when_every_slot_is_taken_the_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prediction_service.journal.slots.MAX_SLOTS", 2)
    held = [claim_slot(tmp_path) for _ in range(2)]
    assert len(held) == 2 < MAX_SLOTS
    with pytest.raises(StopError, match="all 2 journal slots"):
        claim_slot(tmp_path)
