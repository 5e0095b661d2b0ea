"""Atomic writes of files and folders, durable where that is promised (docs/adr/0018)."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO
#: What some file systems say of syncing a folder: they can't, and need not be asked again.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})


def replace_file(path: Path, content: bytes, *, durable: bool, mode: int | None = None) -> None:
    """Replace a file in one step: a reader sees the old content or the new, never a part.

    With ``durable``, content and name survive a power cut on return. Without, they survive the death of the process;
    after a power cut the file may be the old one, or an empty one.

    Missing folders are made. The new file has the permission bits ``mode``, or else those of the file it replaces, or
    of any new file. Any thread and process may call it; the last one stands. Until it is complete, the content is in a
    hidden file beside, ``.<name>-<random>``.

    Raises:
        OSError: nothing is left beside, and the old file stands, unless only the sync of its folder failed.
    """
    if durable:
        make_folder(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        _write(beside, content, durable=durable, mode=_mode_of(path) if mode is None else mode)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    if durable:
        _sync(path.parent)


def put_in_place(made: Path, place: Path) -> None:
    """Rename a finished file or folder to its name; durable on return, with everything in it.

    Raises:
        OSError: ``place`` is a folder that holds something, or the disk refuses; without the sync of the last folder
            ``made`` may have its place already.
    """
    for path in (*made.rglob("*"), made):
        _sync(path)
    made.replace(place)
    _sync(place.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing; durable on return."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        _sync(one.parent)


def close_to_others(folders: Iterable[Path]) -> None:
    """Take away what group and others may do in folders of ours: nobody else reaches a file in them, whatever its bits.

    Whoever made a folder with an open umask left it so. What is not there, a symbolic link or another's stays as it is,
    and so does all of a file system that is read-only or knows no permissions.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                _close_to_others(descriptor)
            finally:
                os.close(descriptor)


def _close_to_others(descriptor: int) -> None:
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and found.st_mode & _OF_OTHERS:
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~_OF_OTHERS)


def _mode_of(path: Path) -> int | None:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _write(beside: Path, content: bytes, *, durable: bool, mode: int | None) -> None:
    # Closed to others until it has its own bits: it may hold a secret.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if mode is not None:
            os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        if durable:
            os.fsync(descriptor)


def _sync(path: Path) -> None:
    """fsync of a file's content, or of the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in _NO_FOLDER_SYNC):
            raise
    finally:
        os.close(descriptor)
