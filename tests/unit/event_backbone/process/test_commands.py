"""The frame of a command line."""

from __future__ import annotations

import os
from pathlib import Path

from event_backbone.process.commands import run_command


def test_what_a_command_makes_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run_command("some", lambda: ((tmp_path / "folder").mkdir(), (tmp_path / "file").write_text("a record")))
        (tmp_path / "later").touch()
    finally:
        os.umask(before)
    assert [oct((tmp_path / name).stat().st_mode & 0o777) for name in ("folder", "file", "later")] == [
        "0o700",
        "0o600",
        "0o644",
    ]
