"""Progress of a run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self, TextIO

from stream_generator.sending.pacing import Clock

LINE_EVERY_S = 5.0


class ProgressDisplay(Protocol):
    """Used as a context around the run; :meth:`show` is called several times a second."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, done: int, details: str) -> None: ...


class PlainProgress:
    """A line every few seconds, so that logs stay short."""

    def __init__(self, total: int | None, clock: Clock, stream: TextIO) -> None:
        self._of_total = "" if total is None else f" of {total}"
        self._clock = clock
        self._stream = stream
        self._next_at = clock.now() + LINE_EVERY_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to undo."""

    def show(self, done: int, details: str) -> None:
        if self._clock.now() < self._next_at:
            return
        self._next_at = self._clock.now() + LINE_EVERY_S
        self._stream.write(f"{done}{self._of_total}: {details}\n")
        self._stream.flush()


class BarProgress:
    """A bar with rate and time left (time gone, when there is no end)."""

    def __init__(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as TimeLeftColumn

        time_column = TimeElapsedColumn() if total is None else TimeLeftColumn()
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            time_column,
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, done: int, details: str) -> None:
        self._progress.update(self._task, completed=done, description=details)


def progress_display(total: int | None, clock: Clock) -> ProgressDisplay:
    """The one that fits where standard error goes."""
    return BarProgress(total) if sys.stderr.isatty() else PlainProgress(total, clock, sys.stderr)
