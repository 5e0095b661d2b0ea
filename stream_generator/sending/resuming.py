"""Progress of a replay: which records have an outcome, and the file by which a later run goes on."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import content_hash
from event_backbone.process.files import replace_file
from stream_generator.sending.planning import Outgoing

FORMAT = 1


class Mark(Struct, frozen=True):
    """Everything before it has an outcome: ``done`` items; ``cursor`` is the last one's, ``None`` at the start."""

    done: int = 0
    cursor: str | None = None


class Marks(Protocol):
    """Receives the outcomes of a stream's items. Thread-safe.

    An item is begun in its order. It is settled when it and its label will not be sent again, whether they were taken
    or refused; lost when nobody knows what the other side made of it.
    """

    def begun(self, item: Outgoing) -> None: ...

    def settled(self, index: int) -> None: ...

    def lost(self, index: int) -> None: ...


class NoMarks:
    """For streams that nobody resumes."""

    def begun(self, item: Outgoing) -> None:
        """Not kept."""

    def settled(self, index: int) -> None:
        """Not kept."""

    def lost(self, index: int) -> None:
        """Not kept."""


class LowWaterMark:
    """The first item without an outcome is where a later run begins.

    Holds the items between the mark and the newest begun: as many as are sent while one is tried and its label waits.
    A lost item stops the mark for this run, and nothing behind it is held.
    """

    def __init__(self, start: Mark) -> None:
        self._mark = start
        self._begun = start.done
        self._open: deque[tuple[int, str | None]] = deque()
        self._settled: set[int] = set()
        self._first_lost: float = float("inf")
        self._lock = threading.Lock()

    def begun(self, item: Outgoing) -> None:
        with self._lock:
            self._begun = item.index + 1
            if item.index < self._first_lost:
                self._open.append((item.index, item.cursor))

    def settled(self, index: int) -> None:
        with self._lock:
            if index < self._first_lost:
                self._settled.add(index)
                self._advance()

    def lost(self, index: int) -> None:
        with self._lock:
            self._first_lost = min(self._first_lost, index)
            while self._open and self._open[-1][0] >= self._first_lost:
                self._settled.discard(self._open.pop()[0])

    def reached(self) -> Mark:
        with self._lock:
            return self._mark

    @property
    def items_begun(self) -> int:
        """With those of earlier runs."""
        with self._lock:
            return self._begun

    @property
    def is_complete(self) -> bool:
        """Whether everything that was begun is settled."""
        with self._lock:
            return not self._open and self._first_lost == float("inf")

    def _advance(self) -> None:
        while self._open and self._open[0][0] in self._settled:
            index, cursor = self._open.popleft()
            self._settled.discard(index)
            self._mark = Mark(index + 1, cursor)


class ReplayOf(Struct, frozen=True):
    """The identity of a replay: source and target; a state is valid for this alone. URLs hold no password here."""

    case: str
    source: str
    target: str
    since: str | None = None
    until: str | None = None
    labels: bool = True
    new_ids: bool = False

    @property
    def digest(self) -> str:
        return content_hash(msgspec.to_builtins(self))


class ReplayState(Struct, frozen=True):
    """The content of the file. ``started_at`` (RFC 3339) and ``run_id`` are the first run's, whoever goes on."""

    replay: ReplayOf
    run_id: str
    started_at: str
    mark: Mark = Mark()
    finished: bool = False
    format: int = FORMAT


class StateFile:
    """One replay's state, replaced as a whole: a reader sees the old one or the new one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, replay: ReplayOf) -> ReplayState | None:
        """``None`` when there is none yet.

        Raises:
            SettingsError: the file is of another replay, with every difference, or no state at all.
        """
        try:
            body = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("unreadable", (error.strerror or "can not be read").lower()) from None
        state = self._decoded(body)
        self._check_is_of(replay, state.replay)
        return state

    def write(self, state: ReplayState) -> None:
        """Durable on return.

        Raises:
            SettingsError: the file can't be written.
        """
        try:
            replace_file(self.path, msgspec.json.encode(state) + b"\n", durable=True)
        except OSError as error:
            raise self._error("unwritable", (error.strerror or "can not be written").lower()) from None

    def _decoded(self, body: bytes) -> ReplayState:
        try:
            state = decode_bounded(body, ReplayState)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._error("state", "is no state of a replay") from None
        if state.format != FORMAT:
            raise self._error("format", f"has format {state.format}, this is format {FORMAT}")
        return state

    def _check_is_of(self, replay: ReplayOf, kept: ReplayOf) -> None:
        faults = [
            Fault(name, "other_replay", f"is {asked!r} now and was {was!r}")
            for name in ReplayOf.__struct_fields__
            if (asked := getattr(replay, name)) != (was := getattr(kept, name))
        ]
        if faults:
            raise SettingsError(f"{self.path} is the state of another replay; name another file with --state", faults)

    def _error(self, reason: str, message: str) -> SettingsError:
        return SettingsError(str(self.path), [Fault("--state", reason, message)])
