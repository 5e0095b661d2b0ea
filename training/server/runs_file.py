"""The book of runs in one file, which survives restarts; one server at a time holds it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from event_backbone.errors import Fault, SettingsError, StopError
from event_backbone.process.file_lock import try_lock
from event_backbone.process.files import replace_file
from training.server.runs import RunHistory

_FILE, _LOCK = "runs.json", "lock"


class RunsFile:
    """Keeps a :class:`RunHistory`: what was kept is there after a restart and after a power cut."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`SettingsError` when another server holds the folder."""
        self._path = folder / _FILE
        lock = try_lock(folder / _LOCK)
        if lock is None:
            message = f"another training server works with {folder}"
            raise SettingsError("settings", [Fault("STATE_DIR", "held", message)])
        self._lock = lock

    def read(self) -> RunHistory:
        """Raises :class:`StopError` for a file that is no book: with an empty one, episodes would be trained again."""
        if not self._path.is_file():
            return RunHistory()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=RunHistory)
        except msgspec.DecodeError as error:
            raise StopError(f"{self._path} can't be read: {error}; remove it to begin anew") from None

    def keep(self, history: RunHistory) -> None:
        replace_file(self._path, msgspec.json.encode(history), durable=True)

    def close(self) -> None:
        self._lock.release()
