"""One decoder tried with many inputs made by chance, in a process of its own: what it took, how long, how much memory.

``python -m fuzz_measuring NAME INPUTS SEED FOLDER`` prints the figures as JSON. Inputs that reach a line of ours that
none reached before are spoiled again themselves (from Python 3.12 on, where watching lines costs nothing once they
were seen); so the same seed gives the same inputs on the same Python.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog
from fuzzed_decoder import Decoder
from fuzzed_decoders import decoders_in
from fuzzed_inputs import size_of
from mutations import Mutator

ROOT = Path(__file__).parents[2]
#: An input of a size that is taken may need as much of a thread's time.
MOST_SECONDS = 1.0
#: Memory may grow by so much between the first tenth of the inputs and the end.
MOST_GROWN_MB = 8.0
_KILLED_AFTER_S = 60.0
#: Inputs that reached something new and are spoiled again; the oldest of them make room.
_MOST_KNOWN, _LONGEST_KNOWN = 300, 1500
_MOST_FAILURES_TOLD = 20


@dataclass
class Figures:
    """What came of one run. ``failures`` are told once for each place in the code."""

    decoder: str
    inputs: int
    seed: int
    accepted: int = 0
    refused: int = 0
    failed: int = 0
    cpu_s: float = 0.0
    slowest_ms: float = 0.0
    slowest_bytes: int = 0
    largest_bytes: int = 0
    grown_mb: float = 0.0
    peak_mb: float = 0.0
    known: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        return not self.failed and self.slowest_ms < MOST_SECONDS * 1000 and self.grown_mb < MOST_GROWN_MB


class HangingError(BaseException):
    """An input took so long that nobody waits for its end."""


class NewLines:
    """Whether a line of ours ran that never ran before."""

    def __init__(self) -> None:
        self.seen = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        if sys.version_info < (3, 12):
            yield
            return
        monitoring = sys.monitoring
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "fuzzing")
        monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, self._on_line)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)
        monitoring.restart_events()  # of lines that a run before has seen
        try:
            yield
        finally:
            monitoring.set_events(monitoring.COVERAGE_ID, 0)
            monitoring.free_tool_id(monitoring.COVERAGE_ID)

    def _on_line(self, code: Any, _line: int) -> Any:
        if code.co_filename.startswith(str(ROOT)) and f"{os.sep}tests{os.sep}" not in code.co_filename:
            self.seen = True
        return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]  # since 3.12


class Known:
    """Inputs to spoil: the good ones, and the newest that reached something new."""

    def __init__(self, good: list[Any]) -> None:
        self.good = good
        self.inputs = list(good)

    def add(self, made: Any) -> None:
        if size_of(made) > _LONGEST_KNOWN:
            return
        self.inputs.append(made)
        if len(self.inputs) > _MOST_KNOWN:
            del self.inputs[len(self.good)]


def measured(name: str, decoder: Decoder, inputs: int, seed: int, keep: Callable[[Any], str]) -> Figures:
    """The figures of so many inputs; ``keep`` stores one that failed and returns where."""
    figures, mutator = Figures(name, inputs, seed), Mutator(seed)
    known, lines, places = Known(list(decoder.inputs.good)), NewLines(), set[str]()
    before_mb = 0.0
    gc.collect()
    gc.freeze()  # and left so; else some input would be called slow for what all modules hold
    began_s = time.process_time()
    with lines.watched(), _no_hanging() as alive:
        for number in range(inputs):
            if number == inputs // 10:
                before_mb = _resident_mb()
            if number % 1000 == 0:
                alive()
            made = decoder.inputs.spoiled(mutator, known.good if mutator.one_in(4) else known.inputs)
            lines.seen = False
            started_s = time.thread_time()
            try:
                taken = decoder.takes(made)
            except (Exception, HangingError) as error:
                figures.failed += 1
                _tell(figures, places, error, made, keep)
            else:
                figures.accepted += taken
                figures.refused += not taken
            _time(figures, made, 1000 * (time.thread_time() - started_s), keep)
            if lines.seen:
                known.add(made)
    figures.cpu_s = round(time.process_time() - began_s, 1)
    figures.grown_mb = round(_resident_mb() - before_mb, 1)
    figures.peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    figures.known = len(known.inputs)
    return figures


def _time(figures: Figures, made: Any, took_ms: float, keep: Callable[[Any], str]) -> None:
    figures.largest_bytes = max(figures.largest_bytes, size_of(made))
    if took_ms > figures.slowest_ms:
        figures.slowest_ms, figures.slowest_bytes = round(took_ms, 1), size_of(made)
        if took_ms > MOST_SECONDS * 1000:
            figures.failures.append(f"{took_ms:.0f} ms for {size_of(made):,} bytes: {keep(made)}")


def _tell(figures: Figures, places: set[str], error: BaseException, made: Any, keep: Callable[[Any], str]) -> None:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if str(ROOT) in frame.filename] or frames
    place = f"{type(error).__name__} in {Path(ours[-1].filename).name}:{ours[-1].lineno}"
    if place not in places and len(places) < _MOST_FAILURES_TOLD:
        places.add(place)
        figures.failures.append(f"{place}: {str(error)[:200]!r} for {repr(made)[:300]} ({keep(made)})")


@contextlib.contextmanager
def _no_hanging() -> Iterator[Callable[[], None]]:
    """What is yielded is called every few inputs; without it for long, the input in hand is given up."""

    def given_up(*_: Any) -> None:
        raise HangingError("took too long")

    def alive() -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, _KILLED_AFTER_S)

    before = signal.signal(signal.SIGVTALRM, given_up)
    try:
        yield alive
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _resident_mb() -> float:
    """Without what is free inside the allocator: holes that large inputs left say nothing of growth."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main(name: str, inputs: str, seed: str, kept_in: str) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    folder = Path.cwd()

    def keep(made: Any) -> str:
        place = Path(kept_in) / f"{name.replace(' ', '-')}-{seed}-{len(list(Path(kept_in).iterdir()))}.txt"
        place.write_text(repr(made))
        return place.name

    figures = measured(name, decoders_in(folder)[name], int(inputs), int(seed), keep)
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main(*sys.argv[1:])
