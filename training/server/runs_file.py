"""The run history in one file, durable over restarts; one server at a time holds it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import Fault, SettingsError, StopError
from event_backbone.process.file_lock import try_lock
from event_backbone.process.files import replace_file
from training.server.runs import RunHistory

_FILE, _LOCK = "runs.json", "lock"


class RunsFile:
    """Stores a :class:`RunHistory`; durable over a restart and a power cut."""

    def __init__(self, folder: Path) -> None:
        """Raises :class:`SettingsError` when another server holds the folder."""
        self._path = folder / _FILE
        lock = try_lock(folder / _LOCK)
        if lock is None:
            message = f"another training server works with {folder}"
            raise SettingsError("settings", [Fault("STATE_DIR", "held", message)])
        self._lock = lock

    def read(self) -> RunHistory:
        """Raises :class:`StopError` for a file that can't be decoded: an empty history would train episodes again."""
        if not self._path.is_file():
            return RunHistory()
        try:
            return decode_bounded(self._path.read_bytes(), RunHistory)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StopError(f"{self._path} can't be read: {error}; remove it to begin anew") from None

    def keep(self, history: RunHistory) -> None:
        replace_file(self._path, msgspec.json.encode(history), durable=True)

    def close(self) -> None:
        self._lock.release()
