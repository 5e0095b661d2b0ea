"""No room: a full disk and a journal at its bound refuse, keep what was answered, and go on once there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from fault_figures import checked_by_the_command, note_figures, size
from full_stack import LONG, SEEDS
from monitoring_process import poll_until
from real_parts_cache import give_up
from replica import EMBEDDED, Client, check_books, check_counted, running_replica
from serving_world import install_champion

from prediction_service.journal.reader import JournalReader

DISK_BYTES = 24 * 1024 * 1024
#: Times that the disk fills, and has room again.
FILLS = int(size("FILLS", short=1, long=10))
#: Of a journal that is not to take more.
_MAX_BYTES = 1024 * 1024
WITHOUT_MONITORING = [name for name in EMBEDDED if name != "monitoring"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """The folder of the journals as a file system of its own."""
    folder = tmp_path / "state" / "shop" / "journals"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        give_up("may not mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, but_bytes: int) -> Path:
    """A file that leaves so much room, taken in one step: others write meanwhile."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        while True:
            room = os.statvfs(disk)
            try:
                os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - but_bytes)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            else:
                return ballast


def wait_for_refusals(client: Client) -> None:
    before = len(client.refusals)
    poll_until(lambda: len(client.refusals) > before + 20, 60, "requests are refused")
    assert {status for status, _ in client.refusals} == {503}
    assert all(retry_after and int(retry_after) >= 1 for _, retry_after in client.refusals)


def wait_for_answers(client: Client, count: int = 100) -> None:
    answered = len(client.answers)
    poll_until(lambda: len(client.answers) >= answered + count, 60, "requests are answered")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(1200 if LONG else 180)
def test_a_full_disk_refuses_and_loses_nothing_and_goes_on_when_there_is_room(
    small_disk: Path, seed: int, tmp_path: Path
) -> None:
    install_champion(tmp_path / "state", tmp_path / "cases")
    with running_replica(tmp_path / "state", tmp_path / "cases", names=WITHOUT_MONITORING) as replica:
        client = Client(replica.prediction_url, seed)
        client.start()
        try:
            for _ in range(FILLS):
                wait_for_answers(client)
                ballast = fill(small_disk, but_bytes=256 * 1024)
                wait_for_refusals(client)
                assert requests.get(f"{replica.prediction_url}/livez", timeout=5).ok
                ballast.unlink()
                wait_for_answers(client)
        finally:
            client.finish()
        # Nobody took anything so far: a stream that went on while monitoring starts would fill the disk once more.
        replica.start("monitoring")
        replica.wait_until_ready()
        check_books(client, replica)
        note_figures(fills=FILLS, **checked_by_the_command(replica, [str(replica.journal_path)], tmp_path, client))


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_process_that_is_killed_on_a_full_disk_starts_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    install_champion(tmp_path / "state", tmp_path / "cases")
    with running_replica(tmp_path / "state", tmp_path / "cases") as replica:
        client = Client(replica.prediction_url, seed=2)
        client.start()
        try:
            wait_for_answers(client)
            ballast = fill(small_disk, but_bytes=256 * 1024)
            wait_for_refusals(client)
            for name in ("serving", "sidecar"):
                replica.kill(name)
            ballast.unlink()
            for name in ("serving", "sidecar"):
                replica.start(name)
            replica.wait_until_ready()
            wait_for_answers(client)
        finally:
            client.finish()
        check_books(client, replica)


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_journal_at_its_bound_refuses_until_the_sinks_have_what_it_holds(tmp_path: Path) -> None:
    install_champion(tmp_path / "state", tmp_path / "cases")
    # An id is known for as long as the journal retains it: for longer than a busy machine holds a duplicate up.
    bounds = {"JOURNAL_MAX_BYTES": str(_MAX_BYTES), "JOURNAL_RETENTION_BYTES": str(_MAX_BYTES // 2)}
    with running_replica(tmp_path / "state", tmp_path / "cases", names=WITHOUT_MONITORING, **bounds) as replica:
        client = Client(replica.prediction_url, seed=3)
        client.start()
        try:
            wait_for_refusals(client)
            assert not requests.get(f"{replica.prediction_url}/readyz", timeout=5).ok
            assert replica.status()["journal"]["bytes"] < 2 * _MAX_BYTES
            held = JournalReader(replica.journal_path).last_seq()
            replica.start("monitoring")
            wait_for_answers(client, count=2 * held)
        finally:
            client.finish()
        check_counted(client, replica)
