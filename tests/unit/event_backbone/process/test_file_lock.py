"""The one lock on a file: who gets it, for how long one waits, and when it is free again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from event_backbone.process.file_lock import try_lock

_HOLDER = """
import sys, time
from pathlib import Path
from event_backbone.process.file_lock import try_lock
lock = try_lock(Path(sys.argv[1]))
print(lock is not None, flush=True)
time.sleep(60)
"""


class Clock:
    """Time that passes while somebody sleeps, and what is done meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, object] = {}

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)
        if (action := self.at.get(self.now)) is not None:
            assert callable(action)
            action()


def test_one_holds_it_until_it_is_released(tmp_path: Path) -> None:
    first = try_lock(tmp_path / "run" / "lock")
    assert first is not None
    assert try_lock(tmp_path / "run" / "lock") is None
    first.release()
    first.release()
    assert try_lock(tmp_path / "run" / "lock") is not None


def test_who_has_patience_gets_it_once_it_is_free(tmp_path: Path) -> None:
    held, clock = try_lock(tmp_path / "lock"), Clock()
    assert held is not None
    clock.at = {0.5: held.release}
    assert try_lock(tmp_path / "lock", patience_s=2.0, clock=clock, sleep=clock.sleep) is not None
    assert clock.now == 0.5


def test_patience_ends(tmp_path: Path) -> None:
    held, clock = try_lock(tmp_path / "lock"), Clock()
    assert held is not None
    assert try_lock(tmp_path / "lock", patience_s=2.0, clock=clock, sleep=clock.sleep) is None
    assert clock.now == 2.0


def test_the_kernel_releases_it_when_its_process_dies(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert try_lock(tmp_path / "lock") is None
        holder.kill()
        holder.wait()
    assert try_lock(tmp_path / "lock") is not None


def test_a_program_that_is_started_does_not_hold_it(tmp_path: Path) -> None:
    held = try_lock(tmp_path / "lock")
    assert held is not None
    with subprocess.Popen(["sleep", "60"], close_fds=False) as program:
        held.release()
        assert try_lock(tmp_path / "lock") is not None
        program.kill()


def test_a_file_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        try_lock(tmp_path / "file" / "run" / "lock")
