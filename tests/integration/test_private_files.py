"""Files that services keep hold records: their owner alone may read them, whatever the caller's umask is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring_process import MonitoringProcess, poll_until
from prediction_process import running
from prediction_world import made_record


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path, kept_before: set[Path]) -> list[str]:
    made = sorted(set(folder.rglob("*")) - kept_before)
    assert made, "nothing was made"
    return [f"{path} {stat.filemode(path.stat().st_mode)}" for path in made if path.stat().st_mode & 0o077]


def test_a_replicas_files(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        state = tmp_path / "state"
        before = {path for path in state.rglob("*") if "journals" not in path.parts}
        assert server.predict(made_record()).status == 200
        assert readable_by_others(state, before) == []


def test_a_folder_of_before_is_closed_at_the_start_and_no_other(tmp_path: Path) -> None:
    """What an earlier version made with an open umask; the folder above it may be anybody's."""
    with running(tmp_path) as server:
        case_dir = next((tmp_path / "state").rglob("journals")).parent
        assert server.predict(made_record()).status == 200
    for path in (case_dir, *case_dir.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    case_dir.parent.chmod(0o755)
    with running(tmp_path):
        assert stat.S_IMODE(case_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(case_dir.parent.stat().st_mode) == 0o755


def test_monitorings_files(tmp_path: Path) -> None:
    service = MonitoringProcess(tmp_path)
    before = set((tmp_path / "var").rglob("*"))
    service.start()
    try:
        poll_until(lambda: list((tmp_path / "var").rglob("inbox.sqlite*")), what="the inbox")
        assert readable_by_others(tmp_path / "var", before) == []
    finally:
        service.stop()
