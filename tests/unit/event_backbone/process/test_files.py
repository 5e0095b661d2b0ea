"""Files and folders that appear in one step: what is synced and in which order, and what a failure or a kill leaves."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from event_backbone.errors import SettingsError
from event_backbone.events.schema import ModelRef
from event_backbone.model.bundle import BundleStore
from event_backbone.ports import RegisteredBundle
from event_backbone.process.file_lock import try_lock
from event_backbone.process.files import close_to_others, make_folder, put_in_place, replace_file
from monitoring_service.reports.folder import ReportFolder
from prediction_service.model_sync.sync_files import RegistryFault, SyncFiles
from stream_generator.sending.resuming import ReplayOf, ReplayState, StateFile
from training.data.rows import LabelledRows
from training.data.splits_on_disk import write_splits
from training.server.runs import RunHistory
from training.server.runs_file import RunsFile

_SIZE = 200_000


class Disk:
    """Notes what is synced and renamed, by name; a file in the making is called by the name that it will have."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self.steps: list[str] = []
        self.refuses: dict[str, int] = {}
        self._fsync, self._replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self._note_sync)
        monkeypatch.setattr(os, "replace", self._note_replace)

    def _name(self, path: str | Path) -> str:
        name = str(Path(path).relative_to(self._root))
        return re.sub(r"\.([^/]+)-[0-9a-f]{8}$", r"\1~", name)

    def _do(self, step: str) -> None:
        self.steps.append(step)
        if step in self.refuses:
            raise OSError(self.refuses[step], os.strerror(self.refuses[step]))

    def _note_sync(self, descriptor: int) -> None:
        self._do(f"sync {self._name(Path(f'/proc/self/fd/{descriptor}').readlink())}")
        self._fsync(descriptor)

    def _note_replace(self, made: Path, place: Path) -> None:
        self._do(f"{self._name(made)} -> {self._name(place)}")
        self._replace(made, place)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path.resolve(), monkeypatch)


def test_a_durable_file_is_synced_named_and_then_its_folder_is_synced(tmp_path: Path, disk: Disk) -> None:
    replace_file(tmp_path / "note", b"new", durable=True)
    assert disk.steps == ["sync note~", "note~ -> note", "sync ."]
    assert (tmp_path / "note").read_bytes() == b"new"


def test_folders_that_a_durable_file_needs_are_synced_from_the_top(tmp_path: Path, disk: Disk) -> None:
    replace_file(tmp_path / "a" / "b" / "note", b"new", durable=True)
    assert disk.steps == ["sync .", "sync a", "sync a/b/note~", "a/b/note~ -> a/b/note", "sync a/b"]


def test_a_file_that_need_not_be_durable_waits_for_no_disk(tmp_path: Path, disk: Disk) -> None:
    replace_file(tmp_path / "a" / "page", b"new", durable=False)
    assert disk.steps == ["a/page~ -> a/page"]


@pytest.mark.parametrize("step", ["sync note~", "note~ -> note"])
def test_a_failure_leaves_the_old_file_and_nothing_beside(tmp_path: Path, disk: Disk, step: str) -> None:
    (tmp_path / "note").write_bytes(b"old")
    disk.refuses = {step: errno.EIO}
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(tmp_path / "note", b"new", durable=True)
    assert (tmp_path / "note").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_a_folder_that_the_disk_refuses_to_sync_is_no_success(tmp_path: Path, disk: Disk) -> None:
    disk.refuses = {"sync .": errno.EIO}
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(tmp_path / "note", b"new", durable=True)


def test_a_file_system_that_knows_no_sync_of_a_folder_is_no_failure(tmp_path: Path, disk: Disk) -> None:
    disk.refuses = {"sync .": errno.EINVAL}
    replace_file(tmp_path / "note", b"new", durable=True)
    assert (tmp_path / "note").read_bytes() == b"new"


def test_permission_bits_are_those_asked_for_or_those_there_or_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    (tmp_path / "closed").write_bytes(b"old")
    (tmp_path / "closed").chmod(0o640)
    replace_file(tmp_path / "closed", b"new", durable=False)
    replace_file(tmp_path / "secret", b"new", durable=False, mode=0o440)
    replace_file(tmp_path / "new", b"new", durable=False)
    bits = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert bits == {"usual": bits["usual"], "new": bits["usual"], "closed": 0o640, "secret": 0o440}


def test_a_folder_is_synced_with_all_that_is_in_it_before_it_is_named(tmp_path: Path, disk: Disk) -> None:
    (tmp_path / "made" / "inside").mkdir(parents=True)
    (tmp_path / "made" / "inside" / "model").write_bytes(b"1")
    (tmp_path / "made" / "manifest").write_bytes(b"2")
    put_in_place(tmp_path / "made", tmp_path / "place")
    inside = {"sync made/inside", "sync made/inside/model", "sync made/manifest", "sync made"}
    assert set(disk.steps[:4]) == inside
    assert disk.steps[4:] == ["made -> place", "sync ."]


def test_a_place_that_is_taken_by_a_folder_is_told(tmp_path: Path) -> None:
    for name in ("made", "place"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(OSError, match="not empty"):
        put_in_place(tmp_path / "made", tmp_path / "place")
    assert (tmp_path / "place" / "file").read_text() == "place"


def test_only_folders_that_were_missing_are_synced(tmp_path: Path, disk: Disk) -> None:
    make_folder(tmp_path / "journals" / "00")
    make_folder(tmp_path / "journals" / "01")
    make_folder(tmp_path / "journals" / "01")
    assert disk.steps == ["sync .", "sync journals", "sync journals"]


def test_a_folder_below_a_file_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "file" / "folder" / "below")


# What promises to be durable ------------------------------------------------------------------------------------------


def _pointer(folder: Path) -> None:
    BundleStore(folder).repoint(RegisteredBundle(ModelRef("model", "1"), "0" * 64))


def _ask(folder: Path) -> None:
    SyncFiles(folder).request_sync()


def _runs(folder: Path) -> None:
    RunsFile(folder).keep(RunHistory())


def _replay(folder: Path) -> None:
    replay = ReplayState(ReplayOf("case", "source", "target"), "run", "2026-01-01T00:00:00Z")
    StateFile(folder / "replay.json").write(replay)


def _splits(folder: Path) -> None:
    write_splits(folder, LabelledRows([], []), {"fingerprint": "1"})


DURABLE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "the pointer to a bundle": ("current", _pointer),
    "a fault of the registry": ("registry-fault", lambda it: SyncFiles(it).write_fault(RegistryFault("fetch", "x"))),
    "a request of the server": ("look-asked", _ask),
    "the runs": ("runs.json", _runs),
    "the state of a replay": ("replay.json", _replay),
    "the note of the splits": ("source.json", _splits),
    "the row that voids reports": (
        "void-until-row",
        lambda it: ReportFolder(it, kept=1, kept_s=1).void(1),
    ),
}


@pytest.mark.parametrize("what", DURABLE)
def test_what_promises_to_be_durable_syncs_file_and_folder(tmp_path: Path, disk: Disk, what: str) -> None:
    name, write = DURABLE[what]
    write(tmp_path / "state")
    assert disk.steps[0] == "sync ."  # the folder is new
    assert disk.steps[-3:] == [f"sync state/{name}~", f"state/{name}~ -> state/{name}", "sync state"]


def test_a_page_is_no_promise(tmp_path: Path, disk: Disk) -> None:
    ReportFolder(tmp_path / "reports", kept=1, kept_s=1e9).add(7, "demand", "<html>")
    assert [step for step in disk.steps if step.startswith("sync")] == []


def test_the_slot_of_a_journal_is_durable_before_anything_is_in_it(tmp_path: Path, disk: Disk) -> None:
    assert try_lock(tmp_path / "journals" / "00" / "writer.lock") is not None
    assert disk.steps == ["sync .", "sync journals"]


# A kill ---------------------------------------------------------------------------------------------------------------

_WRITER = f"""
import itertools, sys
from pathlib import Path
from event_backbone.process.files import replace_file
for number in itertools.count():
    replace_file(Path(sys.argv[1]), (b"%d " % (number % 10)) * {_SIZE // 2}, durable=number % 2 == 0)
    if number == 4:
        print("writing", flush=True)
"""


@pytest.mark.parametrize("attempt", range(5))
def test_a_reader_and_a_kill_meet_whole_files_only(tmp_path: Path, attempt: int) -> None:
    path = tmp_path / "note"
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        for _ in range(50 + attempt * 7):
            content = path.read_bytes()
            assert content == content[:2] * (_SIZE // 2)
        writer.send_signal(signal.SIGKILL)
    content = path.read_bytes()
    assert content == content[:2] * (_SIZE // 2)
    replace_file(path, b"the next process", durable=True)
    assert path.read_bytes() == b"the next process"


def test_a_replay_state_that_can_not_be_written_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="not a directory"):
        _replay(tmp_path / "file")


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def _folder(path: Path, mode: int) -> Path:
    path.mkdir()
    path.chmod(mode)
    return path


def test_folders_of_before_are_closed_to_others_and_what_is_in_them_is_left(tmp_path: Path) -> None:
    ours = _folder(tmp_path / "ours", 0o2755)
    (ours / "kept").touch(mode=0o644)
    close_to_others([tmp_path / "missing", ours, ours / "kept"])
    assert (_mode(ours), _mode(ours / "kept")) == (0o2700, 0o644)
    assert _mode(tmp_path) & 0o700 == 0o700
    assert not (tmp_path / "missing").exists()


def test_a_link_to_a_folder_elsewhere_is_not_followed(tmp_path: Path) -> None:
    elsewhere = _folder(tmp_path / "elsewhere", 0o755)
    (tmp_path / "link").symlink_to(elsewhere)
    close_to_others([tmp_path / "link"])
    assert _mode(elsewhere) == 0o755


def test_the_folder_of_somebody_else_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = _folder(tmp_path / "theirs", 0o775)
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)
    close_to_others([theirs])
    assert _mode(theirs) == 0o775


def test_a_file_system_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    folder = _folder(tmp_path / "folder", 0o755)
    monkeypatch.setattr(os, "fchmod", refuse)
    close_to_others([folder])
    assert _mode(folder) == 0o755
