"""One run of a command: send everything, keep the progress, and report the summary."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import click
import msgspec

from event_backbone.events.schema import utc_now
from event_backbone.process.lifetime import StopDeadline
from event_backbone.process.urls import without_login
from stream_generator.books.file import BookedRun, BooksWriter
from stream_generator.bootstrap import build_open_loop, monitoring_count, persistence
from stream_generator.commands.options import Delivery
from stream_generator.commands.progress import progress_display
from stream_generator.commands.summary import ScenarioRun, Summary, summarize, summary_lines, write_summary
from stream_generator.scenario.scenarios import NO_DRIFT
from stream_generator.sending.pacing import Clock, StoppableClock
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.resuming import LowWaterMark, Mark, Marks, NoMarks, ReplayState, StateFile
from stream_generator.sending.tally import Tally
from stream_generator.settings import GeneratorSettings

NOTHING_INJECTED = ScenarioRun(NO_DRIFT.name, 0, [])
KEEP_EVERY_S = 0.5
#: After a SIGTERM; what a run did since its state was last kept is then sent again, which is safe.
_STOP_WITHIN_S = 9.5


class ReplayKeeper:
    """Writes a replay's state while it runs, and at its end."""

    def __init__(self, file: StateFile, state: ReplayState) -> None:
        self.marks = LowWaterMark(state.mark)
        self._file = file
        self._state = state
        self._next_at = 0.0

    @property
    def done_before(self) -> int:
        return self._state.mark.done

    def keep(self, clock: Clock) -> None:
        """Write how far the replay is, if the last time is long enough ago; that spares the disk."""
        if clock.now() >= self._next_at:
            self._write(self.marks.reached(), finished=False)
            self._next_at = clock.now() + KEEP_EVERY_S

    def end(self, total: int, *, went_through: bool) -> str:
        """The last state; return a line for people. ``went_through``: nothing of the recording was left out."""
        mark, finished = self.marks.reached(), went_through and self.marks.is_complete
        self._write(mark, finished=finished)
        how = "finished" if finished else f"{mark.done} of {total} done; --resume goes on behind them"
        return f"state      {how} ({self._file.path})"

    def _write(self, mark: Mark, *, finished: bool) -> None:
        self._file.write(msgspec.structs.replace(self._state, mark=mark, finished=finished))


@dataclass(frozen=True, slots=True)
class StreamRun:
    """One run, once it is known what will be sent. ``asked`` is ``None`` when it has no end."""

    settings: GeneratorSettings
    delivery: Delivery
    asked: int | None = None
    seed: int = 0
    scenario: ScenarioRun = NOTHING_INJECTED
    keeper: ReplayKeeper | None = None

    def execute(self, items: Iterator[Outgoing], clock: StoppableClock | None = None) -> int:
        """Send everything, print and write the summary; return the exit code: 0, 1 or 128 + the signal."""
        clock, tally = clock or StoppableClock(), Tally()
        signals = _stop_on_signals(clock)
        ended = False
        try:
            seconds = self._send(items, clock, tally)
            ended = not signals
        finally:
            # Whatever ended it, a later run goes on from here.
            state_line = None if self.keeper is None else self.keeper.end(self.asked or 0, went_through=ended)
        self._report(self._summary(tally, seconds, interrupted=bool(signals)), state_line)
        return 128 + signals[0] if signals else int(not tally.totals().all_well)

    def _send(self, items: Iterator[Outgoing], clock: StoppableClock, tally: Tally) -> float:
        """Return the seconds it took."""
        with self._books(clock) as books, progress_display(self.asked, clock) as progress:
            loop = build_open_loop(self.settings, self.delivery, clock, tally, self._marks, books)

            def show() -> None:
                totals = tally.totals()
                if self.keeper is None:
                    progress.show(totals.sent, totals.as_text())
                else:
                    progress.show(self.keeper.marks.items_begun, totals.as_text())
                    self.keeper.keep(clock)

            return loop.run(items, show)

    @contextlib.contextmanager
    def _books(self, clock: Clock) -> Iterator[BooksWriter | None]:
        """The books, with the start of this run in them."""
        if self.delivery.books_path is None:
            yield None
            return
        counted = self._counted_before(clock)
        with contextlib.closing(BooksWriter(self.delivery.books_path)) as books:
            target = without_login(self.delivery.target or self.settings.prediction_url)
            books.write([BookedRun(self.delivery.run_id, self.settings.case, target, utc_now(), counted)])
            yield books

    def _counted_before(self, clock: Clock) -> int | None:
        if self.delivery.monitoring_url is None:
            return None
        count = monitoring_count(self.delivery.monitoring_url, self.settings)
        return persistence(self.settings, clock).until_done(count.predictions)

    @property
    def _marks(self) -> Marks:
        return NoMarks() if self.keeper is None else self.keeper.marks

    @property
    def _remaining(self) -> int | None:
        if self.asked is None or self.keeper is None:
            return self.asked
        return max(0, self.asked - self.keeper.done_before)

    def _summary(self, tally: Tally, seconds: float, *, interrupted: bool) -> Summary:
        return summarize(
            tally.totals(),
            run_id=self.delivery.run_id,
            seed=self.seed,
            asked=self._remaining,
            seconds=seconds,
            scenario=self.scenario,
            interrupted=interrupted,
        )

    def _report(self, summary: Summary, state_line: str | None) -> None:
        for line in summary_lines(summary):
            click.echo(line)
        if state_line is not None:
            click.echo(state_line)
        if self.delivery.summary_path is not None:
            write_summary(summary, self.delivery.summary_path)


def _stop_on_signals(clock: StoppableClock) -> list[int]:
    """Let SIGINT or SIGTERM end the run in order, and a SIGINT after that at once; return where they are noted.

    After a SIGTERM the end has a deadline: whoever sends one does not wait for ever.
    """
    received: list[int] = []
    deadline = StopDeadline(_STOP_WITHIN_S)

    def stop(number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Handlers interrupt each other, and the clock's lock may be taken once: the first one stops it.
        if number == signal.SIGTERM:
            deadline.begin()
        if not received:
            received.append(number)
            clock.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return received
